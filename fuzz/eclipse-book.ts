import {
  type AddressBook,
  type BookEntry,
  bookGroup,
  emptyBook,
  fail,
  hear,
  pick,
  prove,
  type Source,
} from "../core/address-book.ts";
import type { PeerId } from "../core/ids.ts";
import { OUTGOING_RESERVE } from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { numberedPeer } from "../core/numbered-peers.fixture.ts";
import { createRng, drawHex, drawInt } from "../core/rng.ts";
import { ATTACKED_GROUPS, GROUPS, hostIn, isAttacked } from "./eclipse-groups.ts";

/**
 * The address book of fuzz/eclipse.ts alone: of all that was told by then, as many peers are chosen as a node wants, and nobody is asked
 * again or replaced. What spoils the choice itself shows here first, and it costs a fortieth of a whole node.
 */
export interface BookEclipseOptions {
  readonly seed: number;
  /** Of a hundred dials of an honest node: so many come in, however full it is. */
  readonly honestPercent: number;
}

const TELLERS = 10;
const HONEST_TELLERS = 2;
const TOLD_BY_EACH = 40;
const NOW_MS = 1_800_000_000_000;
const DIALS_MAX = 200;

/** @returns how many of its outgoing peers are honest, when it has as many as it wants */
export function playBookEclipse({ seed, honestPercent }: BookEclipseOptions): number {
  const holder = { rng: createRng(seed.toString(16).padStart(64, "0")) };
  let book: AddressBook = emptyBook(drawHex(holder, 32));
  for (let teller = 0; teller < TELLERS; teller++) {
    const isHonest = teller < HONEST_TELLERS;
    const source = sourceOf(isHonest ? honestGroup(holder) : attackedGroup(holder), teller);
    for (let told = 0; told < TOLD_BY_EACH; told++) {
      const group = isHonest ? honestGroup(holder) : attackedGroup(holder);
      book = hear(book, addressAt(group, 1 + drawInt(holder, 250)), source);
    }
  }
  const chosen = new Map<PeerId, boolean>();
  const groups = new Set<string>();
  for (let dials = 0; chosen.size < OUTGOING_RESERVE && dials < DIALS_MAX; dials++) {
    const isFree = ({ address, nextMs }: BookEntry): boolean =>
      nextMs <= NOW_MS && !chosen.has(address.peerId);
    // As reducers/book/look.ts does.
    const entry = pick(book, holder, isFree, groups) ?? pick(book, holder, isFree);
    if (entry === null) break;
    const { address, source } = entry;
    const isHonest = !isAttacked(address);
    if (isHonest && drawInt(holder, 100) >= honestPercent) {
      book = fail(book, formatMultiaddr(address), NOW_MS + 1);
      continue;
    }
    book = prove(book, address, source, NOW_MS);
    chosen.set(address.peerId, isHonest);
    groups.add(bookGroup(address));
  }
  return [...chosen.values()].filter(Boolean).length;
}

type Holder = Parameters<typeof drawInt>[0];

const attackedGroup = (holder: Holder): number => drawInt(holder, ATTACKED_GROUPS);
const honestGroup = (holder: Holder): number => ATTACKED_GROUPS + drawInt(holder, GROUPS - ATTACKED_GROUPS);

const addressAt = (group: number, number: number): DialAddress => ({
  scheme: "http",
  hostKind: "ip4",
  host: hostIn(group, number),
  port: 7_300,
  peerId: numberedPeer(256 * group + number),
});

const sourceOf = (group: number, teller: number): Source => ({
  peerId: numberedPeer(1_000_000 + teller),
  remoteAddress: hostIn(group, 254 - teller),
});
