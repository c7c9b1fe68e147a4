import { spawnSync } from "node:child_process";
import { z } from "zod";

/** Those that need neither sockets nor timers of the machine. */
const FILES = ["best-tip", "connection", "permit-giver", "permit-holder", "rpc", "streaming"];
const VITEST = new URL("../../node_modules/vitest/vitest.mjs", import.meta.url).pathname;
const ENDLESS_MS = 300_000;
const OUTPUT_BYTES_MAX = 1 << 26;

const reportSchema = z.object({
  numTotalTests: z.int().positive(),
  testResults: z.array(
    z.object({
      message: z.string(),
      assertionResults: z.array(
        z.object({ title: z.string(), status: z.string(), failureMessages: z.array(z.string()) }),
      ),
    }),
  ),
});

/**
 * The model-based tests, from this seed on.
 *
 * @returns the test that fails, or null, also if they do not end
 * @throws Error if they could not be run: that is no bug found
 */
export function playModels(seed: number): string | null {
  const files = FILES.map((name) => `fuzz/models/${name}`);
  const { stdout, signal, error } = spawnSync(
    process.execPath,
    // Threads end with their process when it is killed; forks would stay, and run on.
    [
      VITEST,
      "run",
      ...files,
      "--reporter=json",
      "--bail=1",
      "--maxWorkers=1",
      "--pool=threads",
      `--testTimeout=${ENDLESS_MS}`,
    ],
    {
      env: { ...process.env, POLLEN_TEST_SEED: `${seed}` },
      encoding: "utf8",
      timeout: ENDLESS_MS,
      killSignal: "SIGKILL",
      maxBuffer: OUTPUT_BYTES_MAX,
    },
  );
  // An endless run says nothing: the scenarios may find out what is wrong.
  if (signal === "SIGKILL") return null;
  if (error !== undefined || signal !== null) throw new Error(`vitest: ${error?.message ?? signal}`);
  const { testResults } = reportSchema.parse(JSON.parse(stdout));
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const failed = tests.find(({ status }) => status === "failed");
  if (failed !== undefined) return `${failed.title}: ${failed.failureMessages[0] ?? ""}`;
  const broken = testResults.find(({ message }) => message !== "");
  if (broken !== undefined) throw new Error(`vitest: ${broken.message}`);
  return null;
}
