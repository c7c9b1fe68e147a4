import type { Block, BlockBody, BlockHeader } from "../../core/block.ts";
import type { Hash } from "../../core/ids.ts";
import { EMPTY_BODY, type Genesis } from "./genesis.ts";
import type { ItemStore } from "./items.ts";
import { type Ledger, ledgerOf } from "./ledger.ts";

/** A block whose ledger is known. */
export interface AppliedBlock {
  readonly hash: Hash;
  readonly header: BlockHeader;
  /** Null: the ledger was streamed to this node, and nobody has given it the body. */
  readonly body: BlockBody | null;
  readonly ledger: Ledger;
}

/** From one tip to another: what the old chain has alone, and the new one alone, the oldest first. */
export interface Path {
  readonly undone: readonly AppliedBlock[];
  readonly done: readonly AppliedBlock[];
}

/** The tree of applied blocks, and the candidates for it. All pin the items they refer to. */
export interface BlockTree {
  /** The block that the pools follow. */
  best(): AppliedBlock;
  adopt(hash: Hash): void;
  applied(hash: Hash): AppliedBlock | undefined;
  allApplied(): Iterable<AppliedBlock>;
  prepared(hash: Hash): Block | undefined;
  /** Remembers a candidate, or the body of an applied block that has none. Known ones stay as they are. */
  prepare(hash: Hash, block: Block): void;
  /** A block of the tree; it takes the place of the candidate, if there was one. */
  add(block: AppliedBlock): void;
  /** The genesis block and the best tip stay whatever is asked: without them there is no chain. */
  forget(hash: Hash): void;
  /** An applied block and its ancestors, the newest first, as far as they are kept. */
  chainOf(hash: Hash): Iterable<AppliedBlock>;
  path(from: Hash, to: Hash): Path;
  readonly size: number;
}

export function createBlockTree(genesis: Genesis, items: ItemStore): BlockTree {
  const first = genesisBlock(genesis);
  const applied = new Map<Hash, AppliedBlock>([[first.hash, first]]);
  const prepared = new Map<Hash, Block>();
  let best = first.hash;

  return {
    best: () => applied.get(best) ?? first,
    adopt: (hash) => {
      best = hash;
    },
    applied: (hash) => applied.get(hash),
    allApplied: () => applied.values(),
    prepared: (hash) => prepared.get(hash),
    prepare: (hash, block) => {
      const known = applied.get(hash);
      if (prepared.has(hash) || (known !== undefined && known.body !== null)) return;
      if (known === undefined) prepared.set(hash, block);
      else applied.set(hash, { ...known, body: block.body });
      items.pin(itemsOf(block.body));
    },
    add: (block) => {
      if (applied.has(block.hash)) return;
      const candidate = prepared.get(block.hash);
      applied.set(block.hash, block);
      prepared.delete(block.hash);
      // In this order, so that nothing vanishes in between.
      items.pin(itemsOf(block.body));
      if (candidate !== undefined) items.unpin(itemsOf(candidate.body));
    },
    forget: (hash) => {
      if (hash === first.hash || hash === best) return;
      const known = applied.get(hash) ?? prepared.get(hash);
      applied.delete(hash);
      prepared.delete(hash);
      if (known !== undefined) items.unpin(itemsOf(known.body));
    },
    chainOf: (hash) => chainOf(applied, hash),
    path: (from, to) => pathBetween(applied, first.hash, from, to),
    get size() {
      return applied.size + prepared.size;
    },
  };
}

/** Each item once, however often a body names it. */
export const itemsOf = (body: BlockBody | null): ReadonlySet<Hash> =>
  new Set(body === null ? [] : [...body.transactions, ...body.snarks.map(({ hash }) => hash)]);

type Applied = ReadonlyMap<Hash, AppliedBlock>;

function* chainOf(applied: Applied, hash: Hash): Generator<AppliedBlock> {
  let block = applied.get(hash);
  while (block !== undefined) {
    yield block;
    block = applied.get(block.header.parent);
  }
}

/**
 * Both chains are walked down, always the higher one, until they meet - or end, where a ledger was streamed. As every
 * block descends from the genesis block, that one is never undone.
 */
function pathBetween(applied: Applied, genesis: Hash, from: Hash, to: Hash): Path {
  const [undone, done]: [AppliedBlock[], AppliedBlock[]] = [[], []];
  let [old, next] = [applied.get(from), applied.get(to)];
  while (old !== undefined || next !== undefined) {
    if (old?.hash === next?.hash) break;
    if (old !== undefined && old.header.height >= (next?.header.height ?? 0)) {
      if (old.hash !== genesis) undone.push(old);
      old = applied.get(old.header.parent);
    } else if (next !== undefined) {
      done.push(next);
      next = applied.get(next.header.parent);
    }
  }
  return { undone: undone.reverse(), done: done.reverse() };
}

function genesisBlock({ accounts, parameters }: Genesis): AppliedBlock {
  const { hash, ...header } = parameters.genesis;
  return { hash, header, body: EMPTY_BODY, ledger: ledgerOf(accounts, []) };
}
