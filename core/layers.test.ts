import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";

/** What must not compile, or not pass the linter, in a pure layer: planted into one, and found there. */

const root = resolve(import.meta.dirname, "..");
const run = promisify(execFile);

/** The output of a tool of the project, whether it finds fault or not. */
async function outputOf(tool: string, args: readonly string[]): Promise<string> {
  const result = await run(join(root, "node_modules", ".bin", tool), [...args], { cwd: root }).catch(
    (failed: { stdout: string; stderr: string }) => failed,
  );
  return result.stdout + result.stderr;
}

mkdirSync(join(root, ".cache"), { recursive: true });
const folder = mkdtempSync(join(root, ".cache", "layer-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Sources that only differ in what is forbidden, and the files they are in. */
const plant = (sources: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(sources).map(([name, source]) => {
    writeFileSync(join(folder, `${name}.ts`), `${source}\n`);
    return name;
  });

test("layers: timers, the console, the network, node modules and upward imports do not compile in core", async () => {
  const upward = relative(folder, join(root, "reducers", "step.ts"));
  const names = plant({
    timer: "export const forbidden = setTimeout;",
    console: 'export const forbidden = console.log("x");',
    network: 'export const forbidden = fetch("http://127.0.0.1");',
    entropy: "export const forbidden = crypto.getRandomValues(new Uint8Array(8));",
    process: "export const forbidden = process.env;",
    buffer: 'export const forbidden = Buffer.from("x");',
    module: 'import { readFileSync } from "node:fs";\nexport const forbidden = readFileSync;',
    upward: `import { step } from "${upward}";\nexport const forbidden = step;`,
  });
  const config = join(folder, "tsconfig.json");
  const base = join(root, "core", "tsconfig.json");
  const compilerOptions = { rootDir: root, outDir: join(folder, "types") };
  writeFileSync(config, JSON.stringify({ extends: base, compilerOptions, include: ["./*.ts"], exclude: [] }));
  const output = await outputOf("tsc", ["-p", config]);
  for (const name of names) expect(output).toMatch(new RegExp(`${name}\\.ts\\(\\d+,\\d+\\): error`));
  expect(output).toMatch(/upward\.ts.*reducers\/step\.ts' is not listed/);
});

test("layers: the date, randomness and locales do not pass the linter in core", async () => {
  // The rules go by folder: the file has to lie in one, and under a name that nothing else picks up.
  const path = join(root, "core", `planted-${process.pid}.ts`);
  const source = [
    "export const date = Date.now();",
    "export const random = Math.random();",
    'export const locale = "a".localeCompare("b");',
    "export const intl = Intl;",
    "export const ambient = globalThis;",
  ];
  writeFileSync(path, `${source.join("\n")}\n`);
  try {
    const output = await outputOf("biome", ["lint", "--colors=off", relative(root, path)]);
    for (const line of source.keys()) expect(output).toContain(`planted-${process.pid}.ts:${line + 1}:`);
  } finally {
    rmSync(path);
  }
});
