import { expect, test } from "vitest";
import { playEclipse } from "./eclipse.ts";
import { runs, runsTimeoutMs } from "./runs.ts";

/** Ten thousand of them: `bench/eclipse.ts`. */
test("eclipse: with four fifths of all that is told, in a fifth of the groups, an attacker owns no node", {
  timeout: runsTimeoutMs(120_000),
}, () => {
  const honest = Array.from({ length: runs(150) }, (_, seed) => playEclipse({ seed, honestPercent: 100 }));
  expect(Math.min(...honest)).toBeGreaterThanOrEqual(1);
  // 20 % of the groups get a fifth of the picks, or a little more.
  const mean = honest.reduce((sum, count) => sum + count, 0) / honest.length;
  expect(mean).toBeGreaterThanOrEqual(5);
});
