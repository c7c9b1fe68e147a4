import type { ChannelName } from "../../core/channels/table.ts";
import type { PeerId } from "../../core/ids.ts";
import { IGNORED_BURST, IGNORED_PER_SECOND } from "../../core/limits.ts";
import { refill, spend } from "../buckets.ts";
import type { Context, StateDraft } from "../rules.ts";
import { livePeer, updateLive } from "../state.ts";
import { accuse } from "./violation.ts";

const IGNORED_RATE = { burst: IGNORED_BURST, perSecond: IGNORED_PER_SECOND };

/**
 * A message means nothing by now, or never did, and nobody is to blame (section 4). It still had to be read: who sends
 * nothing else would otherwise never end.
 */
export function ignore(draft: StateDraft, peerId: PeerId, channel: ChannelName, context: Context): void {
  const live = livePeer(draft, peerId);
  if (live === undefined) return;
  const { control } = live;
  const { budget, waitS } = spend(refill(control.ignoredBudget, IGNORED_RATE, draft.timeMs), IGNORED_RATE);
  updateLive(draft, peerId, (changed) => {
    changed.control = { ...control, ignoredBudget: budget };
  });
  const detail = "a flood of messages that mean nothing";
  if (waitS > 0) accuse(live.attemptId, channel, { reason: "overLimit", detail }, context);
}
