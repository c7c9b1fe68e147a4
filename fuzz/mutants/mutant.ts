import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A planted bug: a unified diff whose first line says which rule it is against, and what it does. */
export interface Mutant {
  /** The file's name without `.patch`. */
  readonly name: string;
  readonly path: string;
  /** A pitfall (P01 to P36) or a reason of section 5. */
  readonly rule: string;
  readonly about: string;
}

const HEADER = /^# ([^:]+): (.+)$/;

/** @throws Error if a patch does not say what it is */
export function readMutants(folder: string): readonly Mutant[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".patch"));
  return files.sort().map((file) => {
    const path = join(folder, file);
    const [header = ""] = readFileSync(path, "utf8").split("\n", 1);
    const [, rule, about] = HEADER.exec(header) ?? [];
    if (rule === undefined || about === undefined)
      throw new Error(`${path}: the first line must be "# <rule>: <what the bug does>"`);
    return { name: file.slice(0, -".patch".length), path, rule, about };
  });
}
