import { spawn } from "node:child_process";
import { z } from "zod";
import type { Place } from "./places.ts";
import type { Tree } from "./tree.ts";

/** What became of a tree that was fuzzed. Only `caught` says that a checker has found fault. */
export type Outcome =
  | { readonly tag: "caught"; readonly seed: number; readonly suite: string; readonly failure: string }
  | { readonly tag: "survived" }
  | { readonly tag: "error"; readonly detail: string };

/** What `run-seeds.ts` prints, and nothing else. */
const foundSchema = z.strictObject({
  seeds: z.int(),
  caughtAt: z.int().nullable(),
  suite: z.string().nullable(),
  failure: z.string().nullable(),
});

export type Found = z.infer<typeof foundSchema>;

/** A bug that makes a run endless is no bug for this. */
const HUNT_MS_MAX = 1_800_000;
const STDERR_CHARS = 600;

export interface Look {
  readonly seeds: number;
  readonly suites: string;
  /** Where to look first, if that is known. */
  readonly first?: Place | undefined;
}

export async function hunt(tree: Tree, { seeds, suites, first }: Look): Promise<Outcome> {
  const { code, signal, stdout, stderr } = await runNode(tree.root, [
    "--import",
    "tsx",
    "fuzz/mutants/run-seeds.ts",
    `${seeds}`,
    suites,
    ...(first === undefined ? [] : [`${first.suite}:${first.seed}`]),
  ]);
  const died = (why: string): Outcome => ({
    tag: "error",
    detail: `${why} ${stderr.slice(-STDERR_CHARS)}`.trim(),
  });
  if (signal !== null) return died(`killed by ${signal}`);
  if (code !== 0 && code !== 1) return died(`exit code ${code}`);
  const found = parseFound(stdout);
  if (found === undefined) return died(`exit code ${code} without a result`);
  const { caughtAt, suite, failure } = found;
  if (code === 0 && caughtAt === null && found.seeds === seeds) return { tag: "survived" };
  if (code === 1 && caughtAt !== null && suite !== null && failure !== null)
    return { tag: "caught", seed: caughtAt, suite, failure };
  return died(`exit code ${code} with ${stdout}`);
}

function parseFound(text: string): Found | undefined {
  try {
    return foundSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runNode(cwd: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: HUNT_MS_MAX,
      killSignal: "SIGKILL",
    });
    const kill = (): unknown => child.kill("SIGKILL");
    process.once("exit", kill);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-10 * STDERR_CHARS);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      process.off("exit", kill);
      resolve({ code, signal, stdout, stderr });
    });
  });
}
