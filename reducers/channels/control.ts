import type { ControlAction } from "../../core/actions.ts";
import type { ControlMessage } from "../../core/channels/control.ts";
import type { PeerId } from "../../core/ids.ts";
import {
  PING_AFTER_MS,
  PINGS_PER_SECOND,
  PONG_TIMEOUT_MS,
  RATE_BURST,
  STALLED_AFTER_MS,
} from "../../core/limits.ts";
import { REASONS } from "../../core/reasons.ts";
import type { Attempt, LivePeer } from "../../core/state.ts";
import { refill, spend } from "../buckets.ts";
import { leave } from "../leave.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { attemptOf, liveAttempt, livePeer, updateAttempt, updateLive, wakeAt } from "../state.ts";
import { ignore } from "./ignored.ts";

/** Section 4: Hello, Goodbye, Ping, Pong and the keepalive. */

const PING_RATE = { burst: RATE_BURST, perSecond: PINGS_PER_SECOND };

export const control: Rules<ControlAction> = {
  "control/receive": {
    enabled: (state, { attemptId }) => {
      const phase = state.attempts.get(attemptId)?.phase.tag;
      return phase === "connecting" || phase === "ready";
    },
    reduce: (draft, { attemptId, message }, context) => {
      const attempt = attemptOf(draft, attemptId);
      if ((attempt.hello === null) !== (message.tag === "hello")) {
        const detail = attempt.hello === null ? `${message.tag} before Hello` : "a second Hello";
        context.propose({ type: "connection/disconnect", attemptId, reason: "badState", detail });
        return;
      }
      receive(draft, attempt, message, context);
    },
  },

  "control/keepAlive": {
    enabled: (state, { peerId, attemptId }) => liveAttempt(state, peerId, attemptId) !== undefined,
    reduce: (draft, { peerId, attemptId }, context) => {
      const live = liveAttempt(draft, peerId, attemptId);
      if (live === undefined) return;
      const { awaitingPong, heardMs } = live.control;
      if (awaitingPong !== null && draft.timeMs >= awaitingPong.sinceMs + PONG_TIMEOUT_MS) {
        const detail = `no Pong within ${PONG_TIMEOUT_MS} ms`;
        context.propose({ type: "connection/disconnect", attemptId, reason: "timeout", detail });
      } else if (awaitingPong === null && draft.timeMs >= heardMs + PING_AFTER_MS) {
        context.propose({ type: "control/sendPing", peerId, attemptId });
      } else {
        const dueMs =
          awaitingPong === null ? heardMs + PING_AFTER_MS : awaitingPong.sinceMs + PONG_TIMEOUT_MS;
        keepAliveAt(draft, peerId, attemptId, dueMs);
      }
    },
  },

  "control/sendPing": {
    enabled: (state, { peerId, attemptId }) =>
      liveAttempt(state, peerId, attemptId)?.control.awaitingPong === null,
    reduce: (draft, { peerId, attemptId }, { effect }) => {
      const n = livePeer(draft, peerId)?.control.nextPing ?? 0;
      updateLive(draft, peerId, (live) => {
        const nextPing = (n + 1) % 2 ** 32;
        live.control = { ...live.control, nextPing, awaitingPong: { n, sinceMs: draft.timeMs } };
      });
      effect({ type: "effect/send", attemptId, channel: "control", message: { tag: "ping", n } });
      keepAliveAt(draft, peerId, attemptId, draft.timeMs + PONG_TIMEOUT_MS);
    },
  },

  "control/stalled": {
    enabled: (state, { peerId, attemptId, channel }) =>
      liveAttempt(state, peerId, attemptId)?.blocked.includes(channel) ?? false,
    reduce: (_draft, { attemptId, channel }, { propose }) => {
      const detail = `${channel} took nothing for ${STALLED_AFTER_MS} ms`;
      propose({ type: "connection/disconnect", attemptId, reason: "stalled", detail });
    },
  },
};

/** The number of the ping whose answer proves that the peer is there: the open one, or one that is sent now. */
export function startPing(peerId: PeerId, live: LivePeer, { propose }: Context): number {
  const { awaitingPong, nextPing } = live.control;
  if (awaitingPong !== null) return awaitingPong.n;
  propose({ type: "control/sendPing", peerId, attemptId: live.attemptId });
  return nextPing;
}

function receive(draft: StateDraft, attempt: Attempt, message: ControlMessage, context: Context): void {
  const { id: attemptId } = attempt;
  switch (message.tag) {
    case "hello": {
      const { version, session, userAgent, channels } = message;
      if (session !== attempt.session) {
        const detail = "the Hello belongs to another session";
        context.propose({ type: "connection/disconnect", attemptId, reason: "badSignature", detail });
        return;
      }
      if (version < 1 || (channels & 1) === 0) {
        const detail = `a Hello of version ${version} for channels ${channels}`;
        context.propose({ type: "connection/disconnect", attemptId, reason: "undecodable", detail });
        return;
      }
      updateAttempt(draft, attemptId, (changed) => {
        changed.hello = { version, userAgent, channels };
      });
      context.propose({ type: "connection/checkReady", attemptId });
      return;
    }
    case "goodbye": {
      const reason = REASONS[message.reason] ?? "operator";
      leave(draft, attempt, { reason, by: "them", detail: "Goodbye" }, message.banMs, context);
      return;
    }
    case "ping":
      answerPing(draft, attempt, message.n, context);
      return;
    case "pong":
      acceptPong(draft, attempt, message.n, context);
  }
}

function answerPing(draft: StateDraft, attempt: Attempt, n: number, context: Context): void {
  const { id: attemptId, peerId } = attempt;
  const live = peerId === null ? undefined : liveAttempt(draft, peerId, attemptId);
  if (peerId === null || live === undefined) return;
  const { budget, waitS } = spend(refill(live.control.pingBudget, PING_RATE, draft.timeMs), PING_RATE);
  if (waitS > 0) {
    const detail = "pings faster than agreed";
    context.propose({ type: "connection/disconnect", attemptId, reason: "overLimit", detail });
    return;
  }
  updateLive(draft, peerId, (changed) => {
    changed.control = { ...changed.control, pingBudget: budget };
  });
  context.effect({ type: "effect/send", attemptId, channel: "control", message: { tag: "pong", n } });
}

/** A Pong that matches nothing is ignored. */
function acceptPong(
  draft: StateDraft,
  { id: attemptId, peerId }: Attempt,
  n: number,
  context: Context,
): void {
  const live = peerId === null ? undefined : liveAttempt(draft, peerId, attemptId);
  if (peerId === null || live === undefined) return;
  if (live.control.awaitingPong?.n !== n) {
    ignore(draft, peerId, "control", context);
    return;
  }
  updateLive(draft, peerId, (changed) => {
    changed.control = { ...changed.control, awaitingPong: null, heardMs: draft.timeMs };
  });
  keepAliveAt(draft, peerId, attemptId, draft.timeMs + PING_AFTER_MS);
  if (live.probe?.n === n) {
    context.propose({ type: "admission/endProbe", attemptId: live.probe.attemptId, answered: true });
  }
}

function keepAliveAt(draft: StateDraft, peerId: PeerId, attemptId: Attempt["id"], atMs: number): void {
  wakeAt(draft, `ping ${attemptId}`, atMs, { type: "control/keepAlive", peerId, attemptId });
}
