import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { playForks } from "./forks.ts";
import { runs } from "./runs.ts";

describe("P31: chain selection says what 7.3 says", () => {
  test("of all pairs of tips on random branches", () => {
    const agree = fc.property(fc.integer(), (seed) => {
      expect(playForks(seed)).toEqual([]);
    });
    fc.assert(agree, { numRuns: runs(50) });
  });
});
