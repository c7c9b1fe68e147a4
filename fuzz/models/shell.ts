import type { AsyncCommand } from "fast-check";
import { assert } from "../../core/assert.ts";

// What the tests of the asynchronous shell share.

/** One command, whose promises the scheduler orders among all others. */
export const asyncCommand = <Model extends object, Real>(
  name: string,
  run: (model: Model, real: Real) => Promise<void> | void,
): AsyncCommand<Model, Real> => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real);
  },
  toString: () => name,
});

/** Fails with what nobody caught while `body` ran. */
export async function withoutRejections(body: () => Promise<void>): Promise<void> {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => {
    unhandled.push(reason);
  };
  process.on("unhandledRejection", note);
  try {
    await body();
    await turn();
  } finally {
    process.off("unhandledRejection", note);
  }
  assert(unhandled.length === 0, `every rejection is caught: ${unhandled.join("; ")}`);
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
