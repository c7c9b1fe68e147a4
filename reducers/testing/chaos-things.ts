import { assert } from "../../core/assert.ts";
import { type BlockBody, bodyRoot, type Tip } from "../../core/block.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { CHAIN, childOf, START_MS } from "./chain.ts";
import { commitmentOf, type Item, itemOf, jobOf, snarkOf } from "./items.ts";
import { type Random, randomOf } from "./random.ts";
import { type Snapshot, snapshotOf } from "./streams.ts";

// What chaos is made of: few enough of everything that things meet.

/** Choices of one run. */
export interface Dice {
  readonly random: Random;
  readonly pick: <T>(values: readonly T[]) => T;
  readonly chance: (percent: number) => boolean;
  readonly bytes: (length: number) => Uint8Array;
}

export function diceOf(seed: number): Dice {
  const random = randomOf(seed);
  return {
    random,
    pick: (values) => {
      const value = values[random(values.length)];
      assert(value !== undefined, "there is something to pick");
      return value;
    },
    chance: (percent) => random(100) < percent,
    bytes: (length) => Uint8Array.from({ length }, () => random(256)),
  };
}

export const NAMES = Array.from({ length: 16 }, (_, index) => `peer ${index}`);
export const IPS = [
  "20.30.40.50",
  "20.30.40.51",
  "99.1.2.3",
  "127.0.0.1",
  "10.0.0.1",
  "2a00::1",
  "not an address",
];

export const JOBS: readonly JobId[] = Array.from({ length: 12 }, (_, index) => jobOf(`chaos ${index}`));

const TRANSACTIONS: readonly Item[] = Array.from({ length: 90 }, (_, index) =>
  itemOf(`chaos ${index}`, BigInt(10 ** (index % 5)), index % 9, `sender ${index % 7}`),
);
const SNARKS: readonly Item[] = Array.from({ length: 36 }, (_, index) =>
  snarkOf(`chaos ${index}`, BigInt(3 ** (index % 4)), `chaos ${index % JOBS.length}`),
);
const COMMITMENTS: readonly Item[] = Array.from({ length: 24 }, (_, index) =>
  commitmentOf(
    `chaos ${index}`,
    START_MS + 7_000 * index,
    BigInt(1 + (index % 3)),
    `chaos ${index % JOBS.length}`,
  ),
);

export const ITEMS = {
  transaction: TRANSACTIONS,
  snark: SNARKS,
  "snark-job-commitment": COMMITMENTS,
} as const;

/** Enough for a pool to be reconciled. */
export const MANY: readonly Item[] = Array.from({ length: 210 }, (_, index) =>
  index % 2 === 0 ? snarkOf(`many ${index}`) : itemOf(`many ${index}`),
).flatMap((item, index) => [item, ...(index % 2 === 0 ? [itemOf(`more ${index}`)] : [])]);

const BY_HASH: ReadonlyMap<Hash, Item> = new Map(
  Object.values(ITEMS).flatMap((items) => items.map((item) => [item.hash, item] as const)),
);
export const itemNamed = (hash: Hash): Item | undefined => BY_HASH.get(hash);

export const SNAPSHOTS: readonly Snapshot[] = Array.from({ length: 4 }, (_, index) =>
  snapshotOf(`chaos ${index}`, 6 + 10 * index),
);

export interface Block {
  readonly tip: Tip;
  readonly body: BlockBody;
}

/** A tree of blocks, most of them on one of the last ones; some with items that have to be fetched. */
export const BLOCKS: readonly Block[] = (() => {
  const { random, pick, chance } = diceOf(99);
  const blocks: Block[] = [{ tip: CHAIN.genesis, body: { transactions: [], snarks: [] } }];
  for (let count = 0; count < 40; count++) {
    const { tip: parent } = chance(70) ? pick(blocks.slice(-2)) : pick(blocks);
    const body: BlockBody = {
      transactions: chance(50) ? [pick(TRANSACTIONS).hash, pick(TRANSACTIONS).hash] : [],
      snarks: chance(30) ? [pick(SNARKS).info].flatMap((info) => ("prover" in info ? [info] : [])) : [],
    };
    const { root: ledgerRoot } = pick(SNAPSHOTS);
    const slot = parent.slot + 1 + random(3);
    const tip = childOf(parent, `chaos ${count}`, { bodyRoot: bodyRoot(body), ledgerRoot, slot });
    blocks.push({ tip, body });
  }
  return blocks;
})();

export const blockNamed = (hash: Hash): Block | undefined => BLOCKS.find(({ tip }) => tip.hash === hash);
