import { sha256 } from "@noble/hashes/sha2.js";
import { addressGroup, isLocalAddress, isLoopback, reachOf } from "./address.ts";
import { concatBytes, fromHex, type Hex } from "./bytes.ts";
import { encodeUtf8 } from "./codec/utf8.ts";
import { addKey, drawKeys, emptyIndex, type GroupIndex, removeKey } from "./group-index.ts";
import type { PeerId } from "./ids.ts";
import {
  BOOK_GROUP_PARTS,
  BOOK_NEW_BUCKETS,
  BOOK_NEW_SLOTS,
  BOOK_PER_SOURCE_MAX,
  BOOK_PICK_LOOKS_MAX,
  BOOK_POOR_FAILURES,
  BOOK_SOURCE_PARTS,
  BOOK_TRIED_BUCKETS,
  BOOK_TRIED_FAILURES,
  BOOK_TRIED_SLOTS,
} from "./limits.ts";
import { type DialAddress, formatMultiaddr } from "./multiaddr.ts";
import { drawInt, type Rng } from "./rng.ts";
import { SortedMap } from "./sorted-map.ts";

/**
 * Dial addresses of others: `fresh` ones that somebody told us of, and `tried` ones that we chose to dial and where the
 * peer of that key answered (P17). A secret, the group of an address and, for `fresh`, that of its source determine its
 * buckets: so one source, or one group, reaches few of them, and nobody else can compute which.
 * Immutable; every change costs O(log n).
 */
export interface AddressBook {
  readonly secret: Hex;
  /** By multiaddr. */
  readonly entries: SortedMap<string, BookEntry>;
  /** The multiaddr at each place that is taken. */
  readonly fresh: GroupIndex;
  readonly tried: GroupIndex;
  /** Fresh addresses, by who told of them. */
  readonly bySource: SortedMap<PeerId, number>;
}

export type BookTable = "fresh" | "tried";

export interface BookEntry {
  readonly address: DialAddress;
  readonly table: BookTable;
  readonly place: number;
  readonly source: Source;
  /** When its peer was last found there, or last left; null: never. */
  readonly successMs: number | null;
  readonly attemptMs: number | null;
  /** Dials that failed since the last success. */
  readonly failures: number;
  /** No dial before this time. */
  readonly nextMs: number;
}

/** Who told of an address, and where that peer is reached itself. */
export interface Source {
  readonly peerId: PeerId;
  readonly remoteAddress: string;
}

/** @param secret 16 bytes or more */
export const emptyBook = (secret: Hex): AddressBook => ({
  secret,
  entries: SortedMap.empty(),
  fresh: emptyIndex,
  tried: emptyIndex,
  bySource: SortedMap.empty(),
});

/** What is kept of an entry: its place follows from the rest. */
export type KeptEntry = Omit<BookEntry, "place">;

/** A book of these, as far as there are places for them: whatever they are, it is bounded like any other. */
export function restoreBook(secret: Hex, kept: readonly KeptEntry[]): AddressBook {
  let book = emptyBook(secret);
  for (const entry of kept) {
    const key = formatMultiaddr(entry.address);
    if (book.entries.has(key)) continue;
    const { table, ...rest } = entry;
    const isProven = table === "tried" && entry.successMs !== null;
    const place = triedPlace(book, entry.address, key);
    book = isProven && !book.tried.keys.has(place) ? putTried(book, rest, place) : putFresh(book, rest);
  }
  return book;
}

/**
 * Whether a partner at `remoteAddress` may tell us of this host, or be told of it. Private addresses mean something
 * only among peers that reach each other by such addresses, loopback ones only on one machine; names are for
 * operators: what they resolve to is not for others to say (P17).
 */
export function isTellable({ hostKind, host }: DialAddress, remoteAddress: string): boolean {
  if (hostKind !== "ip4" && hostKind !== "ip6") return false;
  if (isLoopback(host)) return isLoopback(remoteAddress);
  const reach = reachOf(host);
  return reach === "public" || (reach === "local" && isLocalAddress(remoteAddress));
}

/** Somebody claims that this is an address of somebody: it is kept if there is a place for it. */
export function hear(book: AddressBook, address: DialAddress, source: Source): AddressBook {
  if (!isTellable(address, source.remoteAddress) || book.entries.has(formatMultiaddr(address))) return book;
  return putFresh(book, { address, source, ...UNKNOWN });
}

const UNKNOWN = { successMs: null, attemptMs: null, failures: 0, nextMs: 0 } as const;

/** We dialed this address, and its peer answered there with its key. */
export function prove(book: AddressBook, address: DialAddress, source: Source, timeMs: number): AddressBook {
  const key = formatMultiaddr(address);
  const known = book.entries.get(key);
  const proven = {
    ...(known ?? { address, source }),
    successMs: timeMs,
    attemptMs: timeMs,
    failures: 0,
    nextMs: 0,
  };
  if (known?.table === "tried") return { ...book, entries: book.entries.set(key, { ...known, ...proven }) };
  const place = triedPlace(book, address, key);
  const residentKey = book.tried.keys.get(place);
  const resident = residentKey === undefined ? undefined : book.entries.get(residentKey);
  const rest = forget(book, key);
  // A resident that has not failed since its last success stays: no newcomer may push out who is reachable.
  if (resident !== undefined && resident.failures === 0) return putFresh(rest, proven);
  const cleared = resident === undefined ? rest : putFresh(forget(rest, residentKey ?? ""), resident);
  return putTried(cleared, proven, place);
}

/**
 * The peer of this key, which had come by itself, was found there: that is a proof, but no choice of ours. Who comes as
 * often as it likes would otherwise fill the table from which half of our peers are chosen (P25).
 */
export function confirm(
  book: AddressBook,
  address: DialAddress,
  source: Source,
  timeMs: number,
): AddressBook {
  const key = formatMultiaddr(address);
  const found = { successMs: timeMs, attemptMs: timeMs, failures: 0, nextMs: 0 };
  if (!book.entries.has(key)) return putFresh(book, { address, source, ...found });
  return { ...book, entries: book.entries.update(key, (entry) => ({ ...entry, ...found })) };
}

/** A dial has failed. After BOOK_TRIED_FAILURES in a row an address is proven no more. */
export function fail(book: AddressBook, key: string, nextMs: number): AddressBook {
  const known = book.entries.get(key);
  if (known === undefined) return book;
  const failed = { ...known, failures: known.failures + 1, nextMs };
  if (known.table === "tried" && failed.failures >= BOOK_TRIED_FAILURES)
    return putFresh(forget(book, key), failed);
  return { ...book, entries: book.entries.set(key, failed) };
}

export function update(
  book: AddressBook,
  key: string,
  changes: Partial<Pick<BookEntry, "attemptMs" | "successMs" | "nextMs">>,
): AddressBook {
  return { ...book, entries: book.entries.update(key, (entry) => ({ ...entry, ...changes })) };
}

/** Removes an address: for good, or to put it elsewhere. */
export function forget(book: AddressBook, key: string): AddressBook {
  const known = book.entries.get(key);
  if (known === undefined) return book;
  const { address, table, place, source } = known;
  const entries = book.entries.delete(key);
  if (table === "tried") return { ...book, entries, tried: removeKey(book.tried, bookGroup(address), place) };
  const left = (book.bySource.get(source.peerId) ?? 0) - 1;
  const bySource = left > 0 ? book.bySource.set(source.peerId, left) : book.bySource.delete(source.peerId);
  return { ...book, entries, fresh: removeKey(book.fresh, bookGroup(address), place), bySource };
}

/**
 * An address to dial, or null. Every group of a table is equally likely, so many addresses in few groups gain nothing.
 * A table is chosen in proportion to its groups: otherwise, once all honest addresses are proven, the attacker's
 * leftovers in fresh would get half of our peers. Fresh is chosen at most half the time: who wants to be all of our
 * picks must fill tried too, and that takes being dialed and answering.
 *
 * @param without groups (`bookGroup`) of which none is wanted
 */
export function pick(
  book: AddressBook,
  holder: { rng: Rng },
  isWelcome: (entry: BookEntry) => boolean,
  without: ReadonlySet<string> = NO_GROUPS,
): BookEntry | null {
  const [fresh, tried] = [book.fresh.groups.size, book.tried.groups.size];
  if (fresh + tried === 0) return null;
  const prefersTried = tried > 0 && drawInt(holder, tried + Math.min(fresh, tried)) < tried;
  for (const table of prefersTried ? (["tried", "fresh"] as const) : (["fresh", "tried"] as const)) {
    let looks = BOOK_PICK_LOOKS_MAX;
    for (const key of drawKeys(book[table], holder, PLACES[table], without)) {
      const entry = book.entries.get(key);
      if (entry !== undefined && isWelcome(entry)) return entry;
      if (--looks === 0) break;
    }
  }
  return null;
}

const NO_GROUPS: ReadonlySet<string> = new Set();

/** Up to `max` proven addresses that have not failed since, at most one per peer, in random order. */
export function sample(
  { entries }: AddressBook,
  holder: { rng: Rng },
  max: number,
  isWelcome: (entry: BookEntry) => boolean,
): readonly DialAddress[] {
  const left = [...entries.values()].flatMap((entry) =>
    entry.successMs !== null && entry.failures === 0 && isWelcome(entry) ? [entry.address] : [],
  );
  const chosen = new Map<PeerId, DialAddress>();
  while (left.length > 0 && chosen.size < max) {
    const at = drawInt(holder, left.length);
    const address = left[at];
    const last = left.pop();
    if (last !== undefined && at < left.length) left[at] = last;
    if (address !== undefined) chosen.set(address.peerId, address);
  }
  return [...chosen.values()];
}

const PLACES: Readonly<Record<BookTable, number>> = {
  fresh: BOOK_NEW_BUCKETS * BOOK_NEW_SLOTS,
  tried: BOOK_TRIED_BUCKETS * BOOK_TRIED_SLOTS,
};

function putTried(book: AddressBook, entry: Omit<KeptEntry, "table">, place: number): AddressBook {
  const key = formatMultiaddr(entry.address);
  return {
    ...book,
    entries: book.entries.set(key, { ...entry, table: "tried", place }),
    tried: addKey(book.tried, bookGroup(entry.address), place, key),
  };
}

/** Puts it into its place in `fresh`, if that is free or holds a poor address, and its source may have one more. */
function putFresh(book: AddressBook, entry: Omit<KeptEntry, "table">): AddressBook {
  const { address, source } = entry;
  if ((book.bySource.get(source.peerId) ?? 0) >= BOOK_PER_SOURCE_MAX) return book;
  const key = formatMultiaddr(address);
  const place = freshPlace(book, address, source, key);
  const residentKey = book.fresh.keys.get(place);
  const resident = residentKey === undefined ? undefined : book.entries.get(residentKey);
  if (resident !== undefined && resident.failures < BOOK_POOR_FAILURES) return book;
  const rest = residentKey === undefined ? book : forget(book, residentKey);
  return {
    ...rest,
    entries: rest.entries.set(key, { ...entry, table: "fresh", place }),
    fresh: addKey(rest.fresh, bookGroup(address), place, key),
    bySource: rest.bySource.set(source.peerId, (rest.bySource.get(source.peerId) ?? 0) + 1),
  };
}

/** What one group tells of lies in BOOK_SOURCE_PARTS buckets; of that, the addresses of one group in a single one. */
function freshPlace(book: AddressBook, address: DialAddress, source: Source, key: string): number {
  const teller = addressGroup(source.remoteAddress);
  const part = draw(book, BOOK_SOURCE_PARTS, "fresh group", teller, bookGroup(address));
  const bucket = draw(book, BOOK_NEW_BUCKETS, "fresh bucket", teller, String(part));
  return placeIn(book.fresh, bucket, BOOK_NEW_SLOTS, draw(book, BOOK_NEW_SLOTS, "fresh slot", key));
}

/** All of one group are in BOOK_GROUP_PARTS buckets. */
function triedPlace(book: AddressBook, address: DialAddress, key: string): number {
  const part = draw(book, BOOK_GROUP_PARTS, "tried group", key);
  const bucket = draw(book, BOOK_TRIED_BUCKETS, "tried bucket", bookGroup(address), String(part));
  return placeIn(book.tried, bucket, BOOK_TRIED_SLOTS, draw(book, BOOK_TRIED_SLOTS, "tried slot", key));
}

/** The first free place of a bucket from this slot on; if all are taken, that of the slot. */
function placeIn({ keys }: GroupIndex, bucket: number, slots: number, slot: number): number {
  for (let step = 0; step < slots; step++) {
    const place = bucket * slots + ((slot + step) % slots);
    if (!keys.has(place)) return place;
  }
  return bucket * slots + slot;
}

/** In a private network, small and all in one range, each socket is a group of its own. */
export const bookGroup = ({ host, port }: DialAddress): string =>
  isLocalAddress(host) ? `${host} ${port}` : addressGroup(host);

/** The same for the same parts, unknown to everybody else. 32 bits: the bias is nothing for a few thousand places. */
function draw({ secret }: AddressBook, below: number, ...parts: readonly string[]): number {
  const digest = sha256(concatBytes(fromHex(secret), encodeUtf8(parts.join("\n"))));
  return new DataView(digest.buffer, digest.byteOffset, 4).getUint32(0) % below;
}
