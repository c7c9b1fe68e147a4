import type { BlockBody, Tip } from "../core/block.ts";
import type { Hash } from "../core/ids.ts";
import { genesisLedger, type Ledger } from "./sim-ledger.ts";

/** A block that was applied, with the ledger after it. */
export interface TreeBlock {
  readonly tip: Tip;
  /** Null: the ledger was streamed to this node. */
  readonly body: BlockBody | null;
  readonly ledger: Ledger;
}

/** What leads from one tip to another: blocks of the old chain alone, and of the new one alone, the oldest first. */
export interface Path {
  readonly undone: readonly TreeBlock[];
  readonly done: readonly TreeBlock[];
}

export type Tree = ReadonlyMap<Hash, TreeBlock>;

export const genesisTree = (genesis: Tip, ballast: number): Map<Hash, TreeBlock> =>
  new Map([
    [genesis.hash, { tip: genesis, body: { transactions: [], snarks: [] }, ledger: genesisLedger(ballast) }],
  ]);

/** The block and its ancestors, as far as they are kept, the newest first. */
export function chainOf(tree: Tree, hash: Hash): readonly TreeBlock[] {
  const chain: TreeBlock[] = [];
  for (let block = tree.get(hash); block !== undefined; block = tree.get(block.tip.parent)) chain.push(block);
  return chain;
}

export function pathBetween(tree: Tree, from: Hash, to: Hash): Path {
  const [old, next] = [chainOf(tree, from), chainOf(tree, to)];
  const [inOld, inNext] = [new Set(old), new Set(next)];
  return {
    undone: old.filter((block) => !inNext.has(block)).reverse(),
    done: next.filter((block) => !inOld.has(block)).reverse(),
  };
}

export const itemsOf = (body: BlockBody | null): readonly Hash[] =>
  body === null ? [] : [...body.transactions, ...body.snarks.map(({ hash }) => hash)];
