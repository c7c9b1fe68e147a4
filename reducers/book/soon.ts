import { BOOK_LOOK_MS, BOOK_SOON_MS } from "../../core/limits.ts";
import type { State } from "../../core/state.ts";
import { isChosen } from "../attempts.ts";
import type { StateDraft } from "../rules.ts";
import { wakeAt } from "../state.ts";

/** A node that asks for no peers dials only what the operator says. */
export const usesBook = ({ config, stopping }: State): boolean => config.peersMin > 0 && !stopping;

/** Something has changed that may be a reason to dial. However often that is, looks keep their distance. */
export function lookSoon(draft: StateDraft): void {
  if (!usesBook(draft)) return;
  const atMs = Math.max(draft.timeMs + BOOK_SOON_MS, draft.book.lookedMs + BOOK_LOOK_MS);
  if ((draft.deadlines.byName.get("book") ?? Number.POSITIVE_INFINITY) > atMs)
    wakeAt(draft, "book", atMs, { type: "book/look" });
}

/** Peers that we have chosen ourselves, those that are being dialed included. */
export function outgoingCount(state: State): number {
  let count = 0;
  for (const peer of state.peers.values()) if (isChosen(state, peer)) count += 1;
  return count;
}
