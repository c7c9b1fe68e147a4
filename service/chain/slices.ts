import { setImmediate as nextTurn } from "node:timers/promises";

/** Work of one turn of the event loop: short beside everything that a peer would notice (P26). */
export const SLICE_MS = 2;

/**
 * Long work in slices: starts one thing after the other, and lets everything else run whenever SLICE_MS are used up.
 * @param start never rejects; what it leaves to the thread pool is not waited for before the next is started
 * @returns all results, in order
 */
export async function inSlices<T, R>(
  values: Iterable<T>,
  start: (value: T) => R | Promise<R>,
): Promise<readonly R[]> {
  const results: (R | Promise<R>)[] = [];
  let startedMs = performance.now();
  for (const value of values) {
    if (performance.now() - startedMs >= SLICE_MS) {
      await nextTurn();
      startedMs = performance.now();
    }
    results.push(start(value));
  }
  return Promise.all(results);
}
