import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** A copy of the sources in a folder of its own, which may be changed and run. */
export interface Tree {
  readonly root: string;
  readonly remove: () => void;
}

/** All that tsconfig.json names, too: vitest reads it. */
const FOLDERS = ["core", "reducers", "effects", "fuzz", "service", "bench"];
const FILES = /^(package\.json|tsconfig.*\.json|vitest\..*\.ts)$/;

export function copyTree(from: string): Tree {
  const root = mkdtempSync(join(realpathSync(tmpdir()), "pollen-mutant-"));
  const files = readdirSync(from).filter((file) => FILES.test(file));
  for (const name of [...FOLDERS, ...files]) cpSync(join(from, name), join(root, name), { recursive: true });
  symlinkSync(realpathSync(join(from, "node_modules")), join(root, "node_modules"));
  const remove = (): void => {
    rmSync(root, { recursive: true, force: true });
    process.off("exit", remove);
  };
  process.on("exit", remove);
  return { root, remove };
}

/** @throws Error with what git says, if any part of the patch does not fit */
export async function applyPatch({ root }: Tree, path: string): Promise<void> {
  // In a folder of a repository git would pass over what it does not know, and succeed.
  const { GIT_DIR: _dir, GIT_WORK_TREE: _tree, ...env } = process.env;
  await promisify(execFile)("git", ["apply", "--whitespace=nowarn", path], {
    cwd: root,
    env: { ...env, GIT_CEILING_DIRECTORIES: dirname(root) },
  });
}
