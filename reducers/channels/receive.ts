import { CHANNELS, type ChannelMessage, type ChannelName } from "../../core/channels/table.ts";
import { decode } from "../../core/codec/codec.ts";
import type { Schema } from "../../core/codec/schema.ts";
import type { PeerId } from "../../core/ids.ts";
import { RATE_BURST, RPC_OPEN_MAX } from "../../core/limits.ts";
import type { Attempt, LivePeer } from "../../core/state.ts";
import type { Context, StateDraft } from "../rules.ts";
import { liveAttempt, updateAttempt, updateLive } from "../state.ts";
import { ignore } from "./ignored.ts";
import { accuse } from "./violation.ts";

/** What a peer may have sent before its Hello is here: what one permit per channel allows (section 4). */
const EARLY_MAX: { readonly [Name in ChannelName]: number } = {
  control: RATE_BURST,
  "signaling/discovery": 1,
  "signaling/exchange": 1,
  "best-tip": 2,
  transaction: 2,
  snark: 2,
  "snark-job-commitment": 2,
  rpc: RPC_OPEN_MAX,
  "streaming-rpc": 2,
};

/** The time of the last message is kept this coarse, so that most messages do not change it. */
const HEARD_STEP_MS = 1_000;

/** Bytes of a peer become a message or a reason (law 3), and the message goes to its channel's rule. */
export function receiveBytes(
  draft: StateDraft,
  attempt: Attempt,
  channel: ChannelName,
  bytes: Uint8Array,
  context: Context,
): void {
  const { id: attemptId, peerId } = attempt;
  const live = peerId === null ? undefined : liveAttempt(draft, peerId, attemptId);
  if (peerId !== null && live !== undefined) noteHeard(draft, peerId, live);
  // The schema of a channel reads its messages; TypeScript cannot see that name and message belong together.
  const schema = CHANNELS[channel].schema as Schema<ChannelMessage["message"]>;
  const decoded = decode(schema, bytes, CHANNELS[channel].bytesMax);
  if (decoded.tag === "failed") {
    accuse(attemptId, channel, decoded, context);
    return;
  }
  const entry = { channel, message: decoded.value } as ChannelMessage;
  if (peerId !== null && live !== undefined) {
    if (isUsed(live, channel)) deliver(attempt, entry, context);
    else ignore(draft, peerId, channel, context);
    return;
  }
  // A peer that is ready before us may ping already; its budgets begin when we are.
  const isPing =
    entry.channel === "control" && (entry.message.tag === "ping" || entry.message.tag === "pong");
  const waits = entry.channel !== "control" || (isPing && attempt.hello !== null);
  if (waits) keepEarly(draft, attempt, entry, context);
  else deliver(attempt, entry, context);
}

/** Both enable it (section 4). */
function isUsed(live: LivePeer, channel: ChannelName): boolean {
  switch (channel) {
    case "control":
      return true;
    case "signaling/discovery":
      return live.discovery !== null;
    case "signaling/exchange":
      return live.exchange !== null;
    case "best-tip":
      return live.bestTip !== null;
    case "rpc":
      return live.rpc !== null;
    case "streaming-rpc":
      return live.streaming !== null;
    default:
      return live.pools[channel] !== null;
  }
}

/** To the rule of its channel; not enabled, and so ignored, on a channel that one of us does not use. */
export function deliver(
  { id: attemptId, peerId }: Attempt,
  entry: ChannelMessage,
  { propose }: Context,
): void {
  if (entry.channel === "control") {
    propose({ type: "control/receive", attemptId, message: entry.message });
    return;
  }
  if (peerId === null) return;
  switch (entry.channel) {
    case "signaling/discovery":
      propose({ type: "discovery/receive", peerId, message: entry.message });
      return;
    case "signaling/exchange":
      propose({ type: "exchange/receive", peerId, message: entry.message });
      return;
    case "best-tip":
      propose({ type: "bestTip/receive", peerId, message: entry.message });
      return;
    case "rpc":
      propose({ type: "rpc/receive", peerId, message: entry.message });
      return;
    case "streaming-rpc":
      propose({ type: "stream/receive", peerId, message: entry.message });
      return;
    default:
      propose({ type: "pool/receive", pool: entry.channel, peerId, message: entry.message });
  }
}

/** Data channels are not ordered against each other: what overtakes the Hello waits for it. */
function keepEarly(
  draft: StateDraft,
  { id: attemptId, early }: Attempt,
  entry: ChannelMessage,
  { propose }: Context,
): void {
  const waiting = early.filter(({ channel }) => channel === entry.channel).length;
  if (waiting >= EARLY_MAX[entry.channel]) {
    const detail = `more than ${EARLY_MAX[entry.channel]} messages on ${entry.channel} before the connection is ready`;
    propose({ type: "connection/disconnect", attemptId, reason: "overLimit", detail });
    return;
  }
  updateAttempt(draft, attemptId, (changed) => {
    changed.early = [...changed.early, entry];
  });
}

function noteHeard(draft: StateDraft, peerId: PeerId, { control }: LivePeer): void {
  if (draft.timeMs < control.heardMs + HEARD_STEP_MS) return;
  updateLive(draft, peerId, (changed) => {
    changed.control = { ...changed.control, heardMs: draft.timeMs };
  });
}
