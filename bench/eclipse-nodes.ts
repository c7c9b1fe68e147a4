import { DEFAULT_ECLIPSE } from "../fuzz/eclipse.ts";
import { benchEclipsedNodes } from "./eclipse.ts";

// tsx bench/eclipse-nodes.ts FIRST_SEED SEEDS LIFE_S: a part of ten thousand, so that every core can have its own, and
// two lines for each hundred, so that nothing is lost when it is ended.

const SEEDS_AT_ONCE = 100;

const [firstSeed = 1, seeds = 100, lifeS = DEFAULT_ECLIPSE.lifeMs / 1_000] = process.argv
  .slice(2)
  .map(Number);
const end = firstSeed + seeds;
for (let seed = firstSeed; seed < end; seed += SEEDS_AT_ONCE)
  benchEclipsedNodes(seed, Math.min(SEEDS_AT_ONCE, end - seed), 1_000 * lifeS);
