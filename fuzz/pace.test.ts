import { expect, test } from "vitest";
import type { Effect } from "../core/effects.ts";
import type { JobId } from "../core/ids.ts";
import { createPace } from "./pace.ts";

const proof: Effect = { type: "effect/makeSnark", jobId: "0b".repeat(32) as JobId, fee: 1n };

test("a proof each 100 ms is work, ten times as many are a loop", () => {
  const problemsAt = (everyMs: number): number => {
    const pace = createPace();
    let problems = 0;
    for (let timeMs = 0; timeMs < 120_000; timeMs += everyMs) problems += pace("0.0", timeMs, [proof]).length;
    return problems;
  };
  expect(problemsAt(100)).toBe(0);
  expect(problemsAt(10)).toBeGreaterThan(0);
});
