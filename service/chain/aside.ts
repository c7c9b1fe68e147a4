import type { Hash } from "../../core/ids.ts";
import type { ItemStore } from "./items.ts";

/** What blocks have driven out lies here until it fits again; beyond this the oldest is given up. */
const ASIDE_MAX = 8_192;

/**
 * Items that are not in the pool because of a block of the best chain - which came while they were valid, and made
 * them invalid - and that come back when they are valid again. Each is remembered as long as that block is kept.
 */
export interface Aside {
  /** @param since the block from which on the item is not valid */
  put(hash: Hash, since: Hash): void;
  take(hash: Hash): void;
  /** A copy: what it lists may be put and taken meanwhile. */
  entries(): readonly (readonly [hash: Hash, since: Hash])[];
  /** These blocks are not kept any more. */
  forget(blocks: ReadonlySet<Hash>): void;
  /** Gives up what is too much. */
  trim(): void;
}

export function createAside(items: ItemStore, entriesMax = ASIDE_MAX): Aside {
  const sinceOf = new Map<Hash, Hash>();
  const take = (hash: Hash): void => {
    if (sinceOf.delete(hash)) items.unpin([hash]);
  };
  return {
    put: (hash, since) => {
      if (!sinceOf.has(hash)) items.pin([hash]);
      sinceOf.set(hash, since);
    },
    take,
    entries: () => [...sinceOf],
    forget: (blocks) => {
      for (const [hash, since] of sinceOf) if (blocks.has(since)) take(hash);
    },
    trim: () => {
      for (const hash of sinceOf.keys()) {
        if (sinceOf.size <= entriesMax) break;
        take(hash);
      }
    },
  };
}
