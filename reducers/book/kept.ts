import { type KeptEntry, restoreBook } from "../../core/address-book.ts";
import { setDeadline } from "../../core/deadlines.ts";
import { ANCHORS_MAX, BOOK_SOON_MS, DIAL_BACKOFF_MAX_MS } from "../../core/limits.ts";
import type { DialAddress } from "../../core/multiaddr.ts";
import type { State } from "../../core/state.ts";
import { operatorsPeers } from "../targets.ts";
import { usesBook } from "./soon.ts";

/** What of the addresses outlives the process. */
export interface KeptBook {
  readonly addresses: readonly KeptEntry[];
  readonly anchors: readonly DialAddress[];
}

export function keptBook(state: State): KeptBook {
  const { entries } = state.book.addresses;
  const addresses = [...entries.values()].map(({ place: _, ...kept }) => kept);
  return { addresses, anchors: anchorsOf(state) };
}

/**
 * The peers of our own choice that were kept longest, beside the operator's, which are dialed anyway. Whoever makes a node
 * start again must not get a new chance for each of its connections: it begins with these (P25).
 */
export function anchorsOf(state: State): readonly DialAddress[] {
  const wanted = operatorsPeers(state);
  const chosen = [...state.peers.values()].flatMap(({ peerId, live }) => {
    const target = live === null ? null : (state.attempts.get(live.attemptId)?.target ?? null);
    if (live === null || target === null || wanted.has(peerId)) return [];
    return [{ sinceMs: live.sinceMs, target }];
  });
  return chosen
    .sort((a, b) => a.sinceMs - b.sinceMs)
    .slice(0, ANCHORS_MAX)
    .map(({ target }) => target);
}

/** A node that has not begun yet, with what an earlier process has left. No wait is longer than one made today. */
export function withBook(state: State, { addresses, anchors }: KeptBook): State {
  const latestMs = state.timeMs + DIAL_BACKOFF_MAX_MS;
  const kept = addresses.map((entry) => ({ ...entry, nextMs: Math.min(entry.nextMs, latestMs) }));
  const book = {
    ...state.book,
    // By the secret of this process: a recording of it tells nothing of later ones.
    addresses: restoreBook(state.book.addresses.secret, kept),
    anchors: anchors.slice(0, ANCHORS_MAX),
  };
  if (!usesBook(state)) return { ...state, book };
  const look = { name: "book", atMs: state.timeMs + BOOK_SOON_MS, action: { type: "book/look" } } as const;
  return { ...state, book, deadlines: setDeadline(state.deadlines, look) };
}
