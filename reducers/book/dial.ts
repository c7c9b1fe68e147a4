import { addressGroup, canonicalAddress, isLoopback } from "../../core/address.ts";
import { type BookEntry, update } from "../../core/address-book.ts";
import { BOOK_DIALS_MAX, BOOK_GROUP_REST_MS, BOOK_IP_REST_MS } from "../../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import { isUnfinished } from "../attempts.ts";
import { startDial } from "../dialing.ts";
import { bannedUntil, restsUntil, shutOutUntil } from "../penalties.ts";
import type { Context, StateDraft } from "../rules.ts";

/** One dial from the book: who may be dialed now, and what that means for others at the same place. */

/** A few dials of our own at once: what the operator wants, and what only verifies, is not among them. */
export function hasDialsLeft(state: State): boolean {
  let count = 0;
  for (const attempt of state.attempts.values()) {
    const { target, isVerification } = attempt;
    const isOfOperator = target !== null && state.targets.has(formatMultiaddr(target));
    if (target !== null && !isOfOperator && !isVerification && isUnfinished(attempt)) count += 1;
  }
  return count < BOOK_DIALS_MAX;
}

export function isDialable(state: State, { address, table, nextMs }: BookEntry): boolean {
  const { peerId } = address;
  if (nextMs > state.timeMs || peerId === state.config.peerId || state.peers.has(peerId)) return false;
  if (bannedUntil(state, peerId) > 0 || restsUntil(state, peerId) > 0) return false;
  if (shutOutUntil(state, addressGroup(address.host), peerId) > 0) return false;
  // Addresses of the operator have their own back-off.
  if (state.targets.has(formatMultiaddr(address))) return false;
  return table === "tried" || isRested(state, address);
}

export function dialEntry(
  draft: StateDraft,
  { address, table }: BookEntry,
  context: Context,
  isVerification = false,
): void {
  const addresses = update(draft.book.addresses, formatMultiaddr(address), { attemptMs: draft.timeMs });
  let { resting } = draft.book;
  if (table === "fresh") {
    for (const [place, untilMs] of resting.entries())
      if (untilMs <= draft.timeMs) resting = resting.delete(place);
    for (const [place, restMs] of restsOf(address)) resting = resting.set(place, draft.timeMs + restMs);
  }
  draft.book = { ...draft.book, addresses, resting };
  startDial(draft, address, context, isVerification);
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
