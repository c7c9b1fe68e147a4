import type { PeerId } from "../core/ids.ts";
import { WITHHELD_MIN, WITHHELD_WINDOW_MS } from "../core/limits.ts";
import type { FetchRecord, Promptness } from "../core/state.ts";
import type { Context, StateDraft } from "./rules.ts";
import { livePeer, updateLive } from "./state.ts";

/** Who serves what it announces, and how soon: who is asked first, and who is asked no more (7.4, section 5). */

export const freshRecord = (timeMs: number): FetchRecord => ({
  promptness: "new",
  asked: 0,
  withheld: 0,
  sinceMs: timeMs,
});

export function notePromptness(draft: StateDraft, peerId: PeerId, promptness: Promptness): void {
  if (livePeer(draft, peerId)?.record.promptness === promptness) return;
  update(draft, peerId, (record) => ({ ...record, promptness }));
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
    const { promptness } = live.record;
    live.record = change(isOver ? { ...freshRecord(draft.timeMs), promptness } : live.record);
  });
}
