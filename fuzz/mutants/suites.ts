import { DEFAULT_OPTIONS, runSeed, type ScenarioName } from "../fuzz-run.ts";
import { playModels } from "./models.ts";

/** A scenario of the fuzzer or the models, and how often it is played: what is slow, seldom. */
export interface Suite {
  readonly name: ScenarioName | "models";
  /** It is played with seeds that leave this rest when they are divided by `every`. */
  readonly at: number;
  readonly every: number;
}

/** The first are the ones that have caught most. */
export const SUITES: readonly Suite[] = [
  { name: "models", at: 1, every: 50 },
  { name: "byzantine", at: 0, every: 1 },
  { name: "forks", at: 0, every: 1 },
  { name: "priorities", at: 0, every: 1 },
  { name: "chain", at: 0, every: 1 },
  { name: "crowded", at: 0, every: 2 },
  { name: "connections", at: 0, every: 2 },
  { name: "relay", at: 1, every: 2 },
  { name: "slots", at: 1, every: 4 },
  { name: "large-pools", at: 1, every: 4 },
  { name: "hub", at: 2, every: 5 },
  { name: "addresses", at: 3, every: 5 },
  { name: "withholders", at: 5, every: 10 },
  { name: "commitments", at: 7, every: 10 },
  { name: "far-behind", at: 8, every: 10 },
];

/** @returns what is wrong, or null */
export const playSuite = ({ name }: Suite, seed: number): string | null =>
  name === "models" ? playModels(seed) : runSeed(seed, { ...DEFAULT_OPTIONS, scenario: name }).failure;
