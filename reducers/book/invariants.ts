import type { AddressBook } from "../../core/address-book.ts";
import type { PeerId } from "../../core/ids.ts";
import {
  BOOK_ASKED_MAX,
  BOOK_NEW_BUCKETS,
  BOOK_NEW_SLOTS,
  BOOK_PER_SOURCE_MAX,
  BOOK_TRIED_BUCKETS,
  BOOK_TRIED_SLOTS,
} from "../../core/limits.ts";
import { formatMultiaddr } from "../../core/multiaddr.ts";
import type { LivePeer, State } from "../../core/state.ts";

/** What always holds of the address book: part of invariants.ts. */

type Must = (holds: boolean, what: string) => void;

export function checkBook(state: State, must: Must): void {
  const { addresses, asked } = state.book;
  for (const sentence of brokenIn(addresses)) must(false, sentence);
  must(asked.size <= BOOK_ASKED_MAX, "the table of peers that were asked is bounded");
}

/** Costs the size of the book, once for each. */
function brokenIn(book: AddressBook): readonly string[] {
  const known = checked.get(book);
  if (known !== undefined) return known;
  const broken: string[] = [];
  const must: Must = (holds, what) => {
    if (!holds) broken.push(what);
  };
  const { entries, fresh, tried, bySource } = book;
  must(fresh.keys.size <= BOOK_NEW_BUCKETS * BOOK_NEW_SLOTS, "unproven addresses are bounded");
  must(tried.keys.size <= BOOK_TRIED_BUCKETS * BOOK_TRIED_SLOTS, "proven addresses are bounded");
  must(fresh.keys.size + tried.keys.size === entries.size, "every address has one place");
  const counts = new Map<PeerId, number>();
  for (const [key, { address, table, place, source, successMs }] of entries.entries()) {
    must(formatMultiaddr(address) === key && book[table].keys.get(place) === key, "an address has its place");
    must(table === "fresh" || successMs !== null, "P17: a proven address was found to be right");
    if (table === "fresh") counts.set(source.peerId, (counts.get(source.peerId) ?? 0) + 1);
  }
  must(counts.size === bySource.size, "every source of unproven addresses is counted");
  for (const [peerId, count] of counts)
    must(
      count === bySource.get(peerId) && count <= BOOK_PER_SOURCE_MAX,
      "one source has few unproven addresses",
    );
  checked.set(book, broken);
  return broken;
}

/** Most steps leave the book as it was. */
const checked = new WeakMap<AddressBook, readonly string[]>();

/** Deadlines of this layer, by their first word; undefined: another layer's. */
export function isBookDeadline(state: State, kind: string, live: LivePeer | null): boolean | undefined {
  const isUsed = state.config.peersMin > 0 && !state.stopping;
  switch (kind) {
    case "book":
      return isUsed;
    case "verify":
      return isUsed && live?.direction === "incoming";
    default:
      return undefined;
  }
}
