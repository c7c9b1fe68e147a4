import { playByzantineSeed } from "../byzantine-run.ts";
import { playForks } from "../forks.ts";
import { DEFAULT_OPTIONS, problemsOf, runSeed, type ScenarioName } from "../fuzz-run.ts";
import { playConnections } from "./suites/connections.ts";
import { playFarBehind } from "./suites/far-behind.ts";
import { playLargePools } from "./suites/large-pools.ts";
import { playWithholders } from "./suites/withholders.ts";

/** One way to look for bugs: a seed is a run. */
export interface Suite {
  readonly name: string;
  /** It is played with seeds that leave this rest when they are divided by `every`: what is slow, seldom. */
  readonly at: number;
  readonly every: number;
  /** @returns what is wrong, or null. Does not throw. */
  readonly play: (seed: number) => string | null;
}

const suite = (
  name: string,
  at: number,
  every: number,
  play: (seed: number) => readonly string[],
): Suite => ({
  name,
  at,
  every,
  play: (seed) => problemsOf(() => play(seed)),
});

function failureOf(seed: number, scenario: ScenarioName): readonly string[] {
  const { failure } = runSeed(seed, { ...DEFAULT_OPTIONS, scenario });
  return failure === null ? [] : [failure];
}

export const SUITES: readonly Suite[] = [
  suite("forks", 0, 1, playForks),
  suite("network", 0, 1, (seed) => failureOf(seed, "chain")),
  suite("byzantine", 0, 1, playByzantineSeed),
  suite("crowded", 0, 2, (seed) => failureOf(seed, "crowded")),
  suite("connections", 0, 2, playConnections),
  suite("large pools", 1, 4, playLargePools),
  suite("withholders", 5, 10, playWithholders),
  suite("far behind", 8, 20, playFarBehind),
];
