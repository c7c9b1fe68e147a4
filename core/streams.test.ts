import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addChunk, chunksIn, chunksOf, type Runs, runOf, takeRun } from "./streams.ts";

const membersOf = (runs: Runs): readonly number[] =>
  [...runs.entries()].flatMap(([from, to]) => chunksOf({ from, count: to - from }));

describe("streams: a set of chunks as runs", () => {
  test("behaves like a set, in order, with runs that neither overlap nor touch", () => {
    const operation = fc.oneof(
      fc.record({ tag: fc.constant("add" as const), index: fc.nat(40) }),
      fc.record({ tag: fc.constant("take" as const), max: fc.integer({ min: 1, max: 9 }) }),
    );
    fc.assert(
      fc.property(fc.nat(40), fc.array(operation, { maxLength: 80 }), (count, operations) => {
        let runs = runOf(0, count);
        const oracle = new Set(chunksOf({ from: 0, count }));
        for (const step of operations) {
          if (step.tag === "add") {
            if (oracle.has(step.index)) continue;
            oracle.add(step.index);
            runs = addChunk(runs, step.index);
          } else {
            const taken = takeRun(runs, step.max);
            expect(taken === null).toBe(oracle.size === 0);
            if (taken === null) continue;
            const chunks = chunksOf(taken.run);
            expect(chunks.length).toBeLessThanOrEqual(step.max);
            expect(chunks[0]).toBe(Math.min(...oracle));
            for (const index of chunks) expect(oracle.delete(index)).toBe(true);
            runs = taken.rest;
          }
          expect(membersOf(runs)).toEqual([...oracle].sort((a, b) => a - b));
          expect(chunksIn(runs)).toBe(oracle.size);
          const bounds = [...runs.entries()].flat();
          expect(bounds).toEqual([...new Set(bounds)].sort((a, b) => a - b));
        }
      }),
    );
  });

  test("takes the whole first run at once if it may, and nothing if it may not", () => {
    expect(takeRun(runOf(3, 5), 8)).toEqual({ run: { from: 3, count: 5 }, rest: runOf(0, 0) });
    expect(takeRun(runOf(3, 5), 0)).toBeNull();
    expect(takeRun(runOf(0, 0), 8)).toBeNull();
  });

  test("what comes back one by one becomes one run again, in any order", () => {
    for (const order of [
      [0, 1, 2, 3, 4],
      [4, 3, 2, 1, 0],
      [0, 2, 4, 1, 3],
    ]) {
      const runs = order.reduce(addChunk, runOf(0, 0));
      expect([...runs.entries()]).toEqual([[0, 5]]);
    }
  });

  test("2^24 chunks cost what one does", () => {
    const runs = runOf(0, 2 ** 24);
    expect(runs.size).toBe(1);
    expect(takeRun(runs, 8)?.rest.size).toBe(1);
  });
});
