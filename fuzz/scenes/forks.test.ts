import fc from "fast-check";
import { expect, test } from "vitest";
import { runs } from "../runs.ts";
import { playForks } from "./forks.ts";

test("P31: chain selection says what 7.3 says of pairs of tips on random branches", () => {
  const agree = fc.property(fc.integer(), (seed) => {
    expect(playForks(seed)).toEqual([]);
  });
  fc.assert(agree, { numRuns: runs(50) });
});
