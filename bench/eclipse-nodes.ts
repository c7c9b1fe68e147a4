import { benchEclipsedNodes } from "./eclipse.ts";

// tsx bench/eclipse-nodes.ts FIRST_SEED SEEDS: a part of ten thousand, so that every core can have its own.

const [firstSeed = 1, seeds = 100] = process.argv.slice(2).map(Number);
benchEclipsedNodes(firstSeed, seeds);
