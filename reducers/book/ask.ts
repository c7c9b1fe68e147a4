import { hear } from "../../core/address-book.ts";
import { isPublicKey, peerPublicKey } from "../../core/identity.ts";
import type { PeerId } from "../../core/ids.ts";
import { BOOK_ASK_AGAIN_MS, BOOK_ASK_MS, BOOK_ASKED_MAX } from "../../core/limits.ts";
import { parseMultiaddr } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import { canRequest, openRequest } from "../channels/rpc.ts";
import type { Context, StateDraft } from "../rules.ts";
import { livePeer } from "../state.ts";
import { remoteAddressOf } from "./tell.ts";

/** Addresses from others. Only peers that we have dialed are asked: who came by itself may have come for this. */

export function canAsk(state: State, peerId: PeerId): boolean {
  const { asked } = state.book;
  const isTooSoon = (asked.get(peerId) ?? 0) > state.timeMs;
  const isDialed = livePeer(state, peerId)?.direction === "outgoing";
  return isDialed && !isTooSoon && hasPlace(state) && canRequest(state, peerId);
}

/** Those whose time is over are forgotten when somebody is asked. */
const hasPlace = ({ book: { asked }, timeMs }: State): boolean =>
  asked.size < BOOK_ASKED_MAX || [...asked.values()].some((untilMs) => untilMs <= timeMs);

export function ask(draft: StateDraft, peerId: PeerId, context: Context): void {
  let { asked } = draft.book;
  for (const [other, untilMs] of asked.entries()) if (untilMs <= draft.timeMs) asked = asked.delete(other);
  draft.book = { ...draft.book, asked: asked.set(peerId, draft.timeMs + BOOK_ASK_MS) };
  openRequest(draft, peerId, "book", { tag: "peers" }, context);
}

/** It had nothing to tell. */
export function askAgain(draft: StateDraft, peerId: PeerId): void {
  const { asked } = draft.book;
  draft.book = { ...draft.book, asked: asked.update(peerId, () => draft.timeMs + BOOK_ASK_AGAIN_MS) };
}

/** All of it is hearsay. What cannot be read is for a version to come, or nonsense: neither is of use here. */
export function learn(draft: StateDraft, peerId: PeerId, addresses: readonly string[]): void {
  const source = { peerId, remoteAddress: remoteAddressOf(draft, peerId) };
  const told = new Set<PeerId>();
  let book = draft.book.addresses;
  for (const text of addresses) {
    const parsed = parseMultiaddr(text);
    if (parsed.tag === "malformed") continue;
    const { address } = parsed;
    const isNew = address.peerId !== draft.config.peerId && !told.has(address.peerId);
    told.add(address.peerId);
    // No offer can be sealed for an invalid key.
    if (isNew && isPublicKey(peerPublicKey(address.peerId))) book = hear(book, address, source);
  }
  draft.book = { ...draft.book, addresses: book };
}
