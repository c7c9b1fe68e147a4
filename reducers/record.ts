import type { PeerId } from "../core/ids.ts";
import { WITHHELD_MIN, WITHHELD_WINDOW_MS } from "../core/limits.ts";
import type { FetchRecord } from "../core/state.ts";
import type { Context, StateDraft } from "./rules.ts";
import { livePeer, updateLive } from "./state.ts";

/** Who serves what it announces, and how soon: who is asked first, and who is asked no more (7.4, section 5). */

export const freshRecord = (timeMs: number): FetchRecord => ({
  isSlow: false,
  asked: 0,
  withheld: 0,
  sinceMs: timeMs,
});

export function noteSlow(draft: StateDraft, peerId: PeerId, isSlow: boolean): void {
  if (livePeer(draft, peerId)?.record.isSlow === isSlow) return;
  update(draft, peerId, (record) => ({ ...record, isSlow }));
}

export function noteAsked(draft: StateDraft, peerId: PeerId, items: number): void {
  update(draft, peerId, (record) => ({ ...record, asked: record.asked + items }));
}

/** More than half of what it announced did not come: it wastes our time, meant or not. */
export function noteWithheld(draft: StateDraft, peerId: PeerId, { propose }: Context): void {
  update(draft, peerId, (record) => ({ ...record, withheld: record.withheld + 1 }));
  const live = livePeer(draft, peerId);
  if (live === undefined) return;
  const { asked, withheld } = live.record;
  if (asked < WITHHELD_MIN || 2 * withheld <= asked) return;
  const detail = `did not serve ${withheld} of ${asked} items it announced`;
  propose({ type: "connection/disconnect", attemptId: live.attemptId, reason: "doesNotHave", detail });
}

function update(draft: StateDraft, peerId: PeerId, change: (record: FetchRecord) => FetchRecord): void {
  updateLive(draft, peerId, (live) => {
    const isOver = draft.timeMs >= live.record.sinceMs + WITHHELD_WINDOW_MS;
    live.record = change(isOver ? { ...freshRecord(draft.timeMs), isSlow: live.record.isSlow } : live.record);
  });
}
