import { controlSchema } from "../../core/channels/control.ts";
import { rpcSchema } from "../../core/channels/rpc.ts";
import { CHANNELS, type ChannelName } from "../../core/channels/table.ts";
import { transactionSchema } from "../../core/channels/transaction.ts";
import { type Decoded, decode } from "../../core/codec/codec.ts";
import type { Schema } from "../../core/codec/schema.ts";
import { RATE_BURST, RPC_OPEN_MAX } from "../../core/limits.ts";
import type { Attempt, Early } from "../../core/state.ts";
import type { Context, StateDraft } from "../rules.ts";
import { livePeer, updateAttempt, updateLive } from "../state.ts";
import { accuse } from "./violation.ts";

/** What a peer may have sent before its Hello is here: what one permit per channel allows (section 4). */
const EARLY_MAX = { control: RATE_BURST, transaction: 2, rpc: RPC_OPEN_MAX } as const;

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
  noteHeard(draft, attempt);
  switch (channel) {
    case "control": {
      const decoded = decodeOn(channel, controlSchema, bytes);
      if (isRefused(decoded, attempt, channel, context)) return;
      const { value: message } = decoded;
      // A peer that is ready before us may ping already; its budget begins when we are.
      if (message.tag === "ping" && attempt.hello !== null)
        deliver(draft, attempt, { channel, message }, context);
      else context.dispatch({ type: "control/receive", attemptId: attempt.id, message });
      return;
    }
    case "transaction": {
      const decoded = decodeOn(channel, transactionSchema, bytes);
      if (isRefused(decoded, attempt, channel, context)) return;
      deliver(draft, attempt, { channel, message: decoded.value }, context);
      return;
    }
    case "rpc": {
      const decoded = decodeOn(channel, rpcSchema, bytes);
      if (isRefused(decoded, attempt, channel, context)) return;
      deliver(draft, attempt, { channel, message: decoded.value }, context);
    }
  }
}

const decodeOn = <T>(channel: ChannelName, schema: Schema<T>, bytes: Uint8Array): Decoded<T> =>
  decode(schema, bytes, CHANNELS[channel].bytesMax);

function isRefused<T>(
  decoded: Decoded<T>,
  { id: attemptId }: Attempt,
  channel: ChannelName,
  context: Context,
): decoded is Extract<Decoded<T>, { tag: "failed" }> {
  if (decoded.tag === "decoded") return false;
  accuse(attemptId, channel, decoded, context);
  return true;
}

/** Data channels are not ordered against each other: what overtakes the Hello waits for it. */
function deliver(draft: StateDraft, attempt: Attempt, entry: Early, context: Context): void {
  const { id: attemptId, peerId } = attempt;
  if (attempt.phase.tag !== "ready") {
    const waiting = attempt.early.filter(({ channel }) => channel === entry.channel).length;
    if (waiting >= EARLY_MAX[entry.channel]) {
      const detail = `more than ${EARLY_MAX[entry.channel]} messages on ${entry.channel} before the connection is ready`;
      context.propose({ type: "connection/disconnect", attemptId, reason: "overLimit", detail });
      return;
    }
    updateAttempt(draft, attemptId, (changed) => {
      changed.early = [...changed.early, entry];
    });
  } else if (peerId !== null) {
    // Not enabled, and so ignored, on a channel that one of us does not use.
    if (entry.channel === "control")
      context.propose({ type: "control/receive", attemptId, message: entry.message });
    else if (entry.channel === "transaction")
      context.propose({ type: "transaction/receive", peerId, message: entry.message });
    else context.propose({ type: "rpc/receive", peerId, message: entry.message });
  }
}

function noteHeard(draft: StateDraft, { phase, peerId }: Attempt): void {
  if (phase.tag !== "ready" || peerId === null) return;
  const live = livePeer(draft, peerId);
  if (live === undefined || draft.timeMs < live.control.heardMs + HEARD_STEP_MS) return;
  updateLive(draft, peerId, (changed) => {
    changed.control = { ...changed.control, heardMs: draft.timeMs };
  });
}
