import { addressGroup } from "../../core/address.ts";
import { type BookEntry, hear } from "../../core/address-book.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import { BOOK_POOR_FAILURES, BOOK_VERIFY_AGAIN_MS, BOOK_VERIFY_MS } from "../../core/limits.ts";
import { formatMultiaddr } from "../../core/multiaddr.ts";
import type { Attempt, State } from "../../core/state.ts";
import { isUnfinished } from "../attempts.ts";
import { closedUntil } from "../penalties.ts";
import type { Context, StateDraft } from "../rules.ts";
import { attemptOf, liveAttempt, wakeAt } from "../state.ts";
import { dialEntry, isRested } from "./dial.ts";
import { usesBook } from "./soon.ts";

/**
 * An incoming peer claims an address where it listens. Being connected, it would never be dialed there, and a node that
 * only others dial would have no proven address to tell (P17). So the address is dialed once: a signed refusal, because
 * it is connected already, is the proof.
 */
export function hearClaim(draft: StateDraft, peerId: PeerId, { id, listen, selected }: Attempt): void {
  if (listen === null) return;
  const addresses = hear(draft.book.addresses, listen, { peerId, remoteAddress: selected?.address ?? "" });
  draft.book = { ...draft.book, addresses };
  if (usesBook(draft) && claimed(draft, id) !== undefined) verifyAfter(draft, peerId, id, BOOK_VERIFY_MS);
}

export const isVerifiable = (state: State, peerId: PeerId, attemptId: AttemptId): boolean =>
  liveAttempt(state, peerId, attemptId) !== undefined && claimed(state, attemptId) !== undefined;

export function verify(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, context: Context): void {
  const entry = claimed(draft, attemptId);
  if (entry === undefined) return;
  const isFree = draft.peers.get(peerId)?.dialing === null;
  const isClosed = closedUntil(draft, addressGroup(entry.address.host)) > 0;
  const isDue = entry.nextMs <= draft.timeMs && isRested(draft, entry.address);
  if (isFree && isDue && !isClosed && !isVerifying(draft)) dialEntry(draft, entry, context, true);
  verifyAfter(draft, peerId, attemptId, BOOK_VERIFY_AGAIN_MS);
}

/** One at a time: a claimed address that does not answer delays only other claims, not the dials that we need. */
const isVerifying = ({ attempts }: State): boolean =>
  [...attempts.values()].some((attempt) => attempt.isVerification && isUnfinished(attempt));

/** What this connection's peer claims, as long as it may yet be proven. */
function claimed(state: State, attemptId: AttemptId): BookEntry | undefined {
  const { listen } = attemptOf(state, attemptId);
  if (listen === null) return undefined;
  const entry = state.book.addresses.entries.get(formatMultiaddr(listen));
  // It may have been found, and there was no place for it among the proven ones.
  const isOpen = entry?.table === "fresh" && entry.successMs === null;
  return isOpen && entry.failures < BOOK_POOR_FAILURES ? entry : undefined;
}

function verifyAfter(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, ms: number): void {
  wakeAt(draft, `verify ${attemptId}`, draft.timeMs + ms, { type: "book/verify", peerId, attemptId });
}
