import { expect, test } from "vitest";
import type { Tip } from "../core/block.ts";
import type { TipChange } from "../core/chain.ts";
import { type ChainState, genesisState } from "../core/chain-state.ts";
import type { Hash } from "../core/ids.ts";
import { testGenesis } from "./chain/genesis.ts";
import { createTipHistory } from "./tips.ts";

const { parameters } = testGenesis();

/** A chain of these branches, each the names of its blocks above the genesis block or above one that came before. */
function chainOf(...branches: readonly string[]): ChainState {
  const genesis = genesisState(parameters);
  let { blocks } = genesis;
  for (const branch of branches) {
    let parent: Hash = parameters.genesis.hash;
    for (const name of branch.split(" ") as Hash[]) {
      const height = (blocks.get(parent)?.height ?? 0) + 1;
      if (!blocks.has(name)) blocks = blocks.set(name, { parent, height });
      parent = name;
    }
  }
  return { ...genesis, blocks };
}

const changeTo = (hash: string, extendsOld: boolean): TipChange => ({
  tip: { ...parameters.genesis, hash: hash as Hash } satisfies Tip,
  extendsOld,
  removed: [],
  returned: [],
  jobsAdded: [],
  jobsRemoved: [],
  lockHeight: 0,
});

const FORKED = chainOf("a b c d", "a B C D E", "x");

test("tips: a block above the last one undoes nothing", () => {
  const tips = createTipHistory(FORKED);
  for (const hash of ["a", "b", "d"]) {
    tips.note(changeTo(hash, true), FORKED);
    expect(tips.undone()).toBe(0);
  }
  expect(tips.reorganisations()).toEqual({ count: 0, deepest: 0 });
});

test("tips: another branch undoes what is above the block that both have, higher or lower", () => {
  const tips = createTipHistory(FORKED);
  const undone = ["b", "B", "d", "E", "a", "x", "E"].map((hash, index) => {
    tips.note(changeTo(hash, index === 0), FORKED);
    return tips.undone();
  });
  expect(undone).toEqual([0, 1, 1, 3, 4, 1, 1]);
  expect(tips.reorganisations()).toEqual({ count: 6, deepest: 4 });
});

test("tips: after a snapshot nobody knows what was undone, and it is no reorganisation", () => {
  const tips = createTipHistory(FORKED);
  const { blocks } = chainOf("a b");
  const afterSnapshot = { ...FORKED, blocks: blocks.set("s" as Hash, { parent: "r" as Hash, height: 900 }) };
  tips.note(changeTo("b", true), FORKED);
  tips.note(changeTo("s", false), afterSnapshot);
  expect(tips.undone()).toBeNull();
  expect(tips.reorganisations()).toEqual({ count: 0, deepest: 0 });
});
