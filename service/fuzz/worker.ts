import { type FuzzOptions, type RunResult, runSeed } from "../../fuzz/fuzz-run.ts";

/** A process that plays one seed after the other for its parent, and ends with it. */

export interface Order {
  readonly seed: number;
  readonly options: FuzzOptions;
}

export interface Answer {
  readonly seed: number;
  readonly result: RunResult;
}

process.on("message", ({ seed, options }: Order) => {
  process.send?.({ seed, result: runSeed(seed, options) } satisfies Answer);
});
process.on("disconnect", () => process.exit());
// Ctrl-C in the terminal reaches the whole group: the parent decides.
process.on("SIGINT", () => undefined);
