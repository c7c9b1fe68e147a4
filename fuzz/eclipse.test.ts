import { expect, test } from "vitest";
import { OUTGOING_RESERVE } from "../core/limits.ts";
import { DEFAULT_ECLIPSE, playEclipse } from "./eclipse.ts";
import { playBookEclipse } from "./eclipse-book.ts";
import { runs, runsTimeoutMs } from "./runs.ts";

// Ten thousand of each: `bench/eclipse.ts`.

const mean = (counts: readonly number[]): number =>
  counts.reduce((sum, count) => sum + count, 0) / counts.length;

test("eclipse: with four fifths of all that is told and ten times the slots, an attacker owns no node", {
  timeout: runsTimeoutMs(120_000),
}, () => {
  const played = Array.from({ length: runs(4) }, (_, seed) => playEclipse({ ...DEFAULT_ECLIPSE, seed }));
  const lives = played.flatMap(({ beforeCrash, atEnd }) => [beforeCrash, atEnd]);
  for (const { attackedPercent } of played) expect(attackedPercent).toBeGreaterThanOrEqual(80);
  expect(Math.min(...lives.map(({ chosenHonest }) => chosenHonest))).toBeGreaterThanOrEqual(1);
  expect(mean(lives.map(({ chosen }) => chosen))).toBeGreaterThanOrEqual(OUTGOING_RESERVE - 1);
  expect(mean(lives.map(({ chosenHonest }) => chosenHonest))).toBeGreaterThanOrEqual(0.6 * OUTGOING_RESERVE);
});

test("eclipse: with four fifths of all that is told, in a fifth of the groups, an attacker is a fifth of the choice", {
  timeout: runsTimeoutMs(120_000),
}, () => {
  const honest = Array.from({ length: runs(150) }, (_, seed) =>
    playBookEclipse({ seed, honestPercent: 100 }),
  );
  expect(Math.min(...honest)).toBeGreaterThanOrEqual(1);
  // 20 % of the groups get a fifth of the picks, or a little more.
  expect(mean(honest)).toBeGreaterThanOrEqual(0.7 * OUTGOING_RESERVE);
});
