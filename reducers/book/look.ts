import { type BookEntry, bookGroup, pick } from "../../core/address-book.ts";
import { BOOK_IDLE_MS, BOOK_LOOK_MS } from "../../core/limits.ts";
import { formatMultiaddr } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import { outgoingReserve } from "../admission-budgets.ts";
import type { Context, StateDraft } from "../rules.ts";
import { wantsPeers } from "../signaling/dialer.ts";
import { wakeAt } from "../state.ts";
import { dialEntry, hasDialsLeft, isDialable } from "./dial.ts";
import { mayRotate, rotate } from "./rotate.ts";
import { outgoingCount, usesBook } from "./soon.ts";

/** Dialing from the book: one address at a time while peers are lacking, slowly where nobody was found yet. */

export function look(draft: StateDraft, context: Context): void {
  draft.book = { ...draft.book, lookedMs: draft.timeMs };
  const lacks = lacksPeers(draft);
  const hasDialed = lacks && hasDialsLeft(draft) && dialNext(draft, context);
  if (lacks && !hasDialed) {
    for (const { peerId, live } of draft.peers.values())
      if (live !== null) context.propose({ type: "book/ask", peerId });
  }
  if (!hasDialed && !wantsPeers(draft) && mayRotate(draft)) rotate(draft, context);
  wakeAt(draft, "book", draft.timeMs + (hasDialed ? BOOK_LOOK_MS : BOOK_IDLE_MS), { type: "book/look" });
}

/** Fewer than the operator wants, or fewer that we have chosen ourselves than are kept free for those (P25). */
export function lacksPeers(state: State): boolean {
  const { peersMax, peersMin } = state.config;
  if (!usesBook(state) || state.peers.size >= peersMax) return false;
  return state.peers.size < peersMin || outgoingCount(state) < outgoingReserve(peersMax);
}

/** Address groups in which we have, or are about to have, a peer of our choice. */
function groupsDialed({ attempts }: State): ReadonlySet<string> {
  const groups = new Set<string>();
  for (const { target, phase } of attempts.values())
    if (target !== null && phase.tag !== "closing") groups.add(bookGroup(target));
  return groups;
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
  const { addresses } = draft.book;
  const chosen = groupsDialed(draft);
  const isFree = (entry: BookEntry): boolean => isDialable(draft, entry);
  // Whoever has many addresses has them in few groups: only where there is nothing else is a second one dialed there.
  const picked = pick(addresses, draft, isFree, chosen) ?? pick(addresses, draft, isFree);
  if (picked === null) return false;
  dialEntry(draft, picked, context);
  return true;
}
