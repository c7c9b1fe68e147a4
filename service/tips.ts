import type { TipChange } from "../core/chain.ts";
import type { ChainState } from "../core/chain-state.ts";
import type { Hash } from "../core/ids.ts";

/** Follows the best tip of a node from one adoption to the next. */
export interface TipHistory {
  /** @param chain after the adoption */
  readonly note: (change: TipChange, chain: ChainState) => void;
  /** Blocks that the last adoption has undone; null: the two tips have no block in common that is still kept. */
  readonly undone: () => number | null;
  readonly reorganisations: () => Reorganisations;
}

export interface Reorganisations {
  readonly count: number;
  /** Blocks that the deepest one has undone. */
  readonly deepest: number;
}

export function createTipHistory({ tip }: ChainState): TipHistory {
  let last = tip.hash;
  let undone: number | null = 0;
  let reorganisations: Reorganisations = { count: 0, deepest: 0 };
  return {
    note: (change, chain) => {
      undone = change.extendsOld ? 0 : undoneBetween(chain, last, change.tip.hash);
      last = change.tip.hash;
      if (undone !== null && undone > 0) {
        const { count, deepest } = reorganisations;
        reorganisations = { count: count + 1, deepest: Math.max(deepest, undone) };
      }
    },
    undone: () => undone,
    reorganisations: () => reorganisations,
  };
}

/** How far down the left branch the first block is that the other one has too. */
function undoneBetween({ blocks }: ChainState, left: Hash, entered: Hash): number | null {
  let [a, b] = [left, entered];
  let undone = 0;
  while (a !== b) {
    const [ofA, ofB] = [blocks.get(a), blocks.get(b)];
    if (ofA === undefined || ofB === undefined) return null;
    if (ofA.height >= ofB.height) {
      a = ofA.parent;
      undone += 1;
    }
    if (ofB.height >= ofA.height) b = ofB.parent;
  }
  return undone;
}
