import { type ChildProcess, fork } from "node:child_process";
import { type FuzzOptions, type RunResult, runSeed } from "../../fuzz/fuzz-run.ts";
import { TSX_LOADER } from "../tsx-loader.ts";
import type { Answer, Order } from "./worker.ts";

/** The result of one seed. */
export interface SeedResult extends RunResult {
  readonly seed: number;
}

/**
 * Runs one seed after the other and gives their results in that order, whatever the number of processes. Stop by ending
 * the iteration; between two runs the caller is free to do other things.
 */
export function fuzz(
  seeds: Iterator<number, unknown>,
  options: FuzzOptions,
  jobs: number,
): AsyncGenerator<SeedResult> {
  return jobs === 1 ? fuzzHere(seeds, options) : fuzzInProcesses(seeds, options, jobs);
}

async function* fuzzHere(seeds: Iterator<number, unknown>, options: FuzzOptions): AsyncGenerator<SeedResult> {
  for (;;) {
    const next = seeds.next();
    if (next.done === true) return;
    yield { seed: next.value, ...runSeed(next.value, options) };
    // Signals are delivered between two runs.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** So many seeds may wait in a process: it never stands still, and little is lost when the run ends. */
const AHEAD = 2;
const WORKER = new URL("./worker.ts", import.meta.url);

async function* fuzzInProcesses(
  seeds: Iterator<number, unknown>,
  options: FuzzOptions,
  jobs: number,
): AsyncGenerator<SeedResult> {
  const results = new Map<number, RunResult>();
  const order: number[] = [];
  let wake: () => void = () => undefined;
  let failure: Error | undefined;
  const workers = Array.from({ length: jobs }, () =>
    fork(WORKER, [], { execArgv: ["--import", TSX_LOADER] }),
  );
  const give = (worker: ChildProcess): void => {
    const next = seeds.next();
    if (next.done === true) return;
    order.push(next.value);
    worker.send({ seed: next.value, options } satisfies Order);
  };
  for (const worker of workers) {
    worker.on("message", ({ seed, result }: Answer) => {
      results.set(seed, result);
      give(worker);
      wake();
    });
    worker.on("exit", (code) => {
      failure ??= new Error(`a process of the fuzzer ended with code ${code}`);
      wake();
    });
    for (let ahead = 0; ahead < AHEAD; ahead++) give(worker);
  }
  try {
    for (let at = 0; ; at++) {
      const seed = order[at];
      if (seed === undefined) return;
      let result = results.get(seed);
      while (result === undefined) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        result = results.get(seed);
      }
      results.delete(seed);
      yield { seed, ...result };
    }
  } finally {
    for (const worker of workers) {
      worker.removeAllListeners("exit");
      worker.kill();
    }
  }
}
