import type { Hash } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import type { Content } from "./content.ts";

export interface KeptItem {
  readonly bytes: Uint8Array;
  /** Null until somebody checked it: an item that was fetched for a block which is not applied yet. */
  readonly content: Content | null;
}

/**
 * The bytes of all items that somebody needs: the pool holds them, or a block (or what else counts its references)
 * pins them. Exactly those are kept. Pins may come before the bytes, and are counted.
 */
export interface ItemStore {
  get(hash: Hash): KeptItem | undefined;
  /** The pool holds this item from now on. */
  hold(item: ItemBytes, content: Content): void;
  /** The pool does not hold it any more. */
  release(hash: Hash): void;
  /** What the pool holds, in the order in which it came. */
  held(): Iterable<readonly [Hash, Content]>;
  /** Since when the pool holds it, ms; undefined if it does not. */
  heldSinceMs(hash: Hash): number | undefined;
  pin(hashes: Iterable<Hash>): void;
  unpin(hashes: Iterable<Hash>): void;
  /** Keeps the bytes of a pinned item; ignored for other items, and for those whose bytes are kept already. */
  supply(item: ItemBytes): void;
  /** An item turned out to be this; nothing happens if it is not kept any more. */
  learn(hash: Hash, content: Content): void;
  readonly size: number;
}

export function createItemStore(clock: () => number = () => 0): ItemStore {
  const kept = new Map<Hash, KeptItem>();
  const held = new Map<Hash, Content>();
  const heldSince = new Map<Hash, number>();
  const pins = new Map<Hash, number>();
  const dropUnneeded = (hash: Hash): void => {
    if (!held.has(hash) && !pins.has(hash)) kept.delete(hash);
  };
  return {
    get: (hash) => kept.get(hash),
    hold: ({ hash, bytes }, content) => {
      kept.set(hash, { bytes: kept.get(hash)?.bytes ?? copyOf(bytes), content });
      if (!held.has(hash)) heldSince.set(hash, clock());
      held.set(hash, content);
    },
    release: (hash) => {
      held.delete(hash);
      heldSince.delete(hash);
      dropUnneeded(hash);
    },
    held: () => held,
    heldSinceMs: (hash) => heldSince.get(hash),
    pin: (hashes) => {
      for (const hash of hashes) pins.set(hash, (pins.get(hash) ?? 0) + 1);
    },
    unpin: (hashes) => {
      for (const hash of hashes) {
        const left = (pins.get(hash) ?? 0) - 1;
        if (left > 0) pins.set(hash, left);
        else pins.delete(hash);
        dropUnneeded(hash);
      }
    },
    supply: ({ hash, bytes }) => {
      if (pins.has(hash) && !kept.has(hash)) kept.set(hash, { bytes: copyOf(bytes), content: null });
    },
    learn: (hash, content) => {
      const item = kept.get(hash);
      if (item !== undefined) kept.set(hash, { bytes: item.bytes, content });
    },
    get size() {
      return kept.size;
    },
  };
}

/** The bytes are a view of the message they came in, which may be a hundred times as long. A Buffer's `slice` is too. */
const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
