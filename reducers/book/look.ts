import { addressGroup, canonicalAddress, isLoopback } from "../../core/address.ts";
import { type BookEntry, pick, update } from "../../core/address-book.ts";
import {
  BOOK_DIALS_MAX,
  BOOK_GROUP_REST_MS,
  BOOK_IDLE_MS,
  BOOK_IP_REST_MS,
  BOOK_LOOK_MS,
} from "../../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import { outgoingReserve } from "../admission-budgets.ts";
import { isUnfinished } from "../attempts.ts";
import { startDial } from "../dialing.ts";
import { bannedUntil, restsUntil } from "../penalties.ts";
import type { Context, StateDraft } from "../rules.ts";
import { wakeAt } from "../state.ts";
import { usesBook } from "./soon.ts";

/** Dialing from the book: one address at a time while peers are lacking, slowly where nobody was found yet. */

export function look(draft: StateDraft, context: Context): void {
  draft.book = { ...draft.book, lookedMs: draft.timeMs };
  const hasDialed = lacksPeers(draft) && hasDialsLeft(draft) && dialNext(draft, context);
  if (!hasDialed && lacksPeers(draft)) {
    for (const { peerId, live } of draft.peers.values())
      if (live !== null) context.propose({ type: "book/ask", peerId });
  }
  wakeAt(draft, "book", draft.timeMs + (hasDialed ? BOOK_LOOK_MS : BOOK_IDLE_MS), { type: "book/look" });
}

/** Fewer than the operator wants, or fewer that we have chosen ourselves than are kept free for those (P25). */
export function lacksPeers(state: State): boolean {
  const { peersMax, peersMin } = state.config;
  if (!usesBook(state) || state.peers.size >= peersMax) return false;
  return state.peers.size < peersMin || outgoingCount(state) < outgoingReserve(peersMax);
}

function outgoingCount(state: State): number {
  let count = 0;
  for (const { live, dialing } of state.peers.values())
    if (dialing !== null || live?.direction === "outgoing") count += 1;
  return count;
}

/** A few dials of our own at once: what the operator wants is not among them. */
export function hasDialsLeft(state: State): boolean {
  let count = 0;
  for (const attempt of state.attempts.values()) {
    const { target } = attempt;
    if (target !== null && isUnfinished(attempt) && !state.targets.has(formatMultiaddr(target))) count += 1;
  }
  return count < BOOK_DIALS_MAX;
}

/** @returns false if there is nobody to dial now */
function dialNext(draft: StateDraft, context: Context): boolean {
  const { anchors } = draft.book;
  for (const [index, anchor] of anchors.entries()) {
    const entry = draft.book.addresses.entries.get(formatMultiaddr(anchor));
    if (entry === undefined || !isDialable(draft, entry)) continue;
    draft.book = { ...draft.book, anchors: anchors.toSpliced(index, 1) };
    dialEntry(draft, entry, context);
    return true;
  }
  const picked = pick(draft.book.addresses, draft, (entry) => isDialable(draft, entry));
  if (picked === null) return false;
  dialEntry(draft, picked, context);
  return true;
}

function isDialable(state: State, { address, table, nextMs }: BookEntry): boolean {
  const { peerId } = address;
  if (nextMs > state.timeMs || peerId === state.config.peerId || state.peers.has(peerId)) return false;
  if (bannedUntil(state, peerId) > 0 || restsUntil(state, peerId) > 0) return false;
  // What the operator wants has its own times.
  if (state.targets.has(formatMultiaddr(address))) return false;
  return table === "tried" || isRested(state, address);
}

export function dialEntry(draft: StateDraft, { address, table }: BookEntry, context: Context): void {
  const addresses = update(draft.book.addresses, formatMultiaddr(address), { attemptMs: draft.timeMs });
  let { resting } = draft.book;
  if (table === "fresh") {
    for (const [place, untilMs] of resting.entries())
      if (untilMs <= draft.timeMs) resting = resting.delete(place);
    for (const [place, restMs] of restsOf(address)) resting = resting.set(place, draft.timeMs + restMs);
  }
  draft.book = { ...draft.book, addresses, resting };
  startDial(draft, address, context);
}

/** Whoever makes us believe in addresses of somebody else must not make us a flood for him (P17). */
export const isRested = ({ book, timeMs }: State, address: DialAddress): boolean =>
  restsOf(address).every(([place]) => (book.resting.get(place) ?? 0) <= timeMs);

/** On one machine there are many nodes at one IP: there each socket counts by itself. */
function restsOf({ host, port }: DialAddress): readonly (readonly [string, number])[] {
  if (isLoopback(host)) return [[`${host} ${port}`, BOOK_IP_REST_MS]];
  return [
    [canonicalAddress(host), BOOK_IP_REST_MS],
    [addressGroup(host), BOOK_GROUP_REST_MS],
  ];
}
