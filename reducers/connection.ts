import type { ConnectionAction, TransportEvent } from "../core/actions.ts";
import { placeAt } from "../core/address.ts";
import { remainingMs } from "../core/bans.ts";
import { freshBestTip } from "../core/channels/best-tip.ts";
import { freshControl, goodbye, PROTOCOL_VERSION } from "../core/channels/control.ts";
import { freshExchange } from "../core/channels/exchange.ts";
import { freshPermits, type PermitChannel } from "../core/channels/permits.ts";
import { freshRpc } from "../core/channels/rpc.ts";
import { freshStreaming } from "../core/channels/streaming-rpc.ts";
import { CHANNEL_BITS, CHANNEL_NAMES, CHANNELS, type ChannelName } from "../core/channels/table.ts";
import type { AttemptId, PeerId } from "../core/ids.ts";
import { DUPLICATE_PROBE_MS, SIMULTANEOUS_DIAL_MS, STALLED_AFTER_MS } from "../core/limits.ts";
import { POOL_NAMES, type PoolName } from "../core/pools.ts";
import { severity } from "../core/reasons.ts";
import type { Attempt, LivePeer, State } from "../core/state.ts";
import { abandon, endAttempt, forgetAttemptWakes } from "./attempts.ts";
import { deliver, receiveBytes } from "./channels/receive.ts";
import { answerWaiting } from "./channels/rpc.ts";
import { eviction } from "./eviction.ts";
import { freshRecord } from "./fetch-record.ts";
import { endLive, leave } from "./leave.ts";
import { bannedUntil, closedUntil, punish, shutOutBy } from "./penalties.ts";
import { takeResume } from "./resume.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { openDiscovery } from "./signaling/relay.ts";
import { attemptOf, forgetWake, livePeer, updateAttempt, updateLive, updatePeer, wakeAt } from "./state.ts";

/** Section 4: from a transport to a ready peer, and the one way in which a ready peer ends. */

type ConnectionEvent = Exclude<TransportEvent, { type: "event/localDescription" }>;

export const connection: Rules<ConnectionAction | ConnectionEvent> = {
  ...eviction,

  "event/connected": {
    enabled: (state, { attemptId }) => state.attempts.get(attemptId)?.phase.tag === "connecting",
    reduce: (draft, { attemptId, fingerprint, remoteAddress }, { dispatch }) => {
      const attempt = attemptOf(draft, attemptId);
      if (fingerprint !== attempt.fingerprint) {
        const detail = `the certificate of ${remoteAddress} is not the one of the signed SDP`;
        dispatch({ type: "attempt/fail", attemptId, detail, rejection: null, retryAfterMs: 0 });
        return;
      }
      updateAttempt(draft, attemptId, (changed) => {
        changed.connected = true;
        changed.selected = placeAt(remoteAddress);
      });
      forgetWake(draft, `candidates ${attemptId}`);
    },
  },

  "event/channelOpened": {
    enabled: (state, { attemptId, channel }) => {
      const attempt = state.attempts.get(attemptId);
      return attempt?.phase.tag === "connecting" && attempt.connected && !attempt.opened.includes(channel);
    },
    reduce: (draft, { attemptId, channel }, { effect, propose }) => {
      updateAttempt(draft, attemptId, (attempt) => {
        attempt.opened = [...attempt.opened, channel];
      });
      if (channel === "control") {
        const { session } = attemptOf(draft, attemptId);
        const { userAgent } = draft.config;
        const message = {
          tag: "hello",
          version: PROTOCOL_VERSION,
          session,
          userAgent,
          channels: CHANNEL_BITS,
        } as const;
        effect({ type: "effect/send", attemptId, channel, message });
      }
      propose({ type: "connection/checkReady", attemptId });
    },
  },

  "event/message": {
    enabled: (state, { attemptId }) => {
      const attempt = state.attempts.get(attemptId);
      return attempt?.phase.tag === "ready" || (attempt?.phase.tag === "connecting" && attempt.connected);
    },
    reduce: (draft, { attemptId, channel, bytes }, context) => {
      receiveBytes(draft, attemptOf(draft, attemptId), channel, bytes, context);
    },
  },

  "event/textReceived": {
    enabled: (state, { attemptId }) => isOpen(state.attempts.get(attemptId)),
    reduce: (_draft, { attemptId, channel }, { propose }) => {
      const detail = `a text frame on ${channel}`;
      propose({ type: "connection/disconnect", attemptId, reason: "undecodable", detail });
    },
  },

  "event/inboxFull": {
    enabled: (state, { attemptId }) => isOpen(state.attempts.get(attemptId)),
    reduce: (_draft, { attemptId }, { propose }) => {
      const detail = "sent ahead more than all its permits allow";
      propose({ type: "connection/disconnect", attemptId, reason: "overLimit", detail });
    },
  },

  "event/channelBlocked": {
    enabled: (state, { attemptId }) => readyPeerOf(state, attemptId) !== undefined,
    reduce: (draft, { attemptId, channel }) => {
      const peerId = readyPeerOf(draft, attemptId);
      if (peerId === undefined) return;
      if (!livePeer(draft, peerId)?.blocked.includes(channel)) {
        updateLive(draft, peerId, (live) => {
          live.blocked = [...live.blocked, channel];
        });
      }
      // Said again, it means progress: the peer has that long for the next part.
      const stalled = { type: "control/stalled", peerId, attemptId, channel } as const;
      wakeAt(draft, `stalled ${channel} ${attemptId}`, draft.timeMs + STALLED_AFTER_MS, stalled);
    },
  },

  "event/channelDrained": {
    enabled: (state, { attemptId, channel }) => {
      const peerId = readyPeerOf(state, attemptId);
      return peerId !== undefined && (livePeer(state, peerId)?.blocked.includes(channel) ?? false);
    },
    reduce: (draft, { attemptId, channel }, context) => {
      const peerId = readyPeerOf(draft, attemptId);
      if (peerId === undefined) return;
      updateLive(draft, peerId, (live) => {
        live.blocked = live.blocked.filter((blocked) => blocked !== channel);
      });
      forgetWake(draft, `stalled ${channel} ${attemptId}`);
      // What waited for the buffer is written now.
      resumeChannel(draft, channel, peerId, attemptId, context);
    },
  },

  "event/connectionClosed": {
    enabled: (state, { attemptId }) => state.attempts.get(attemptId)?.hasTransport ?? false,
    reduce: (draft, { attemptId, error }, context) => {
      updateAttempt(draft, attemptId, (attempt) => {
        attempt.hasTransport = false;
      });
      const attempt = attemptOf(draft, attemptId);
      const detail = error ?? "the transport closed";
      switch (attempt.phase.tag) {
        case "ready":
          endLive(draft, attempt, { reason: "connectionLost", by: "world", detail }, context);
          endAttempt(draft, attempt, context);
          return;
        case "closing":
          endAttempt(draft, attempt, context);
          return;
        default:
          context.dispatch({ type: "attempt/fail", attemptId, detail, rejection: null, retryAfterMs: 0 });
      }
    },
  },

  "connection/checkReady": {
    enabled: (state, { attemptId }) => {
      const attempt = state.attempts.get(attemptId);
      if (attempt?.phase.tag !== "connecting" || attempt.hello === null) return false;
      const { opened, hello } = attempt;
      return CHANNEL_NAMES.every((name) => !isShared(name, hello.channels) || opened.includes(name));
    },
    reduce: (draft, { attemptId }, { dispatch }) => {
      const attempt = attemptOf(draft, attemptId);
      const { peerId } = attempt;
      if (peerId === null) return;
      const shutOut = shutOutBy(draft, attempt, peerId);
      if (shutOut !== null) {
        dispatch({ type: "connection/disconnect", attemptId, ...shutOut });
        return;
      }
      const older = livePeer(draft, peerId);
      const isOlderKept =
        older !== undefined &&
        !isSilent(older, draft.timeMs) &&
        keepsOlder(draft, attemptOf(draft, older.attemptId), attempt, peerId);
      if (isOlderKept) {
        const detail = "another connection with this key stays";
        dispatch({ type: "connection/disconnect", attemptId, reason: "duplicate", detail });
        return;
      }
      if (older !== undefined) {
        const detail = "replaced by another connection with this key";
        dispatch({ type: "connection/disconnect", attemptId: older.attemptId, reason: "duplicate", detail });
      }
      dispatch({ type: "connection/ready", attemptId, peerId });
    },
  },

  "connection/ready": {
    enabled: (state, { attemptId, peerId }) =>
      state.attempts.get(attemptId)?.phase.tag === "connecting" && state.peers.get(peerId)?.live === null,
    reduce: (draft, { attemptId, peerId }, { propose }) => {
      const attempt = attemptOf(draft, attemptId);
      const { hello, direction } = attempt;
      if (hello === null) return;
      forgetAttemptWakes(draft, attemptId);
      updateAttempt(draft, attemptId, (changed) => {
        changed.phase = { tag: "ready" };
      });
      updatePeer(draft, peerId, (peer) => {
        if (peer.dialing === attemptId) peer.dialing = null;
        if (peer.answering === attemptId) peer.answering = null;
        peer.live = {
          attemptId,
          direction,
          sinceMs: draft.timeMs,
          version: Math.min(hello.version, PROTOCOL_VERSION),
          userAgent: hello.userAgent,
          control: freshControl(draft.timeMs),
          discovery: isShared("signaling/discovery", hello.channels) ? openDiscovery(draft, peerId) : null,
          exchange: isShared("signaling/exchange", hello.channels) ? freshExchange() : null,
          bestTip: isShared("best-tip", hello.channels) ? freshBestTip() : null,
          pools: openPools(draft, peerId, hello.channels),
          rpc: isShared("rpc", hello.channels) ? freshRpc() : null,
          streaming: isShared("streaming-rpc", hello.channels) ? freshStreaming() : null,
          fetching: { transaction: null, snark: null },
          record: freshRecord(draft.timeMs),
          blocked: [],
          probe: null,
        };
      });
      propose({ type: "control/keepAlive", peerId, attemptId });
      propose({ type: "connection/replayEarly", attemptId });
    },
  },

  "connection/replayEarly": {
    enabled: (state, { attemptId }) => readyPeerOf(state, attemptId) !== undefined,
    reduce: (draft, { attemptId }, context) => {
      const { propose } = context;
      const { early, peerId } = attemptOf(draft, attemptId);
      if (peerId === null) return;
      // One at a time: a violation in the first must end the connection before the second is looked at.
      const [first, ...others] = early;
      if (first === undefined) {
        // Only now, so that nothing that was sent without a permit can use one of these.
        propose({ type: "bestTip/givePermit", peerId });
        for (const pool of POOL_NAMES) propose({ type: "pool/givePermit", pool, peerId });
        propose({ type: "stream/peerReady", peerId });
        propose({ type: "discovery/givePermit", peerId, attemptId });
        propose({ type: "exchange/givePermits" });
        propose({ type: "connection/makeRoom" });
        propose({ type: "book/peerReady", peerId, attemptId });
        return;
      }
      updateAttempt(draft, attemptId, (attempt) => {
        attempt.early = others;
      });
      deliver(attemptOf(draft, attemptId), first, context);
      propose({ type: "connection/replayEarly", attemptId });
    },
  },

  "connection/disconnect": {
    enabled: (state, { attemptId }) => isOpen(state.attempts.get(attemptId)),
    reduce: (draft, { attemptId, reason, detail }, context) => {
      const attempt = attemptOf(draft, attemptId);
      // Before a Hello with the right session nobody has proven to own the key: it is not punished (section 4).
      if (attempt.hello !== null && attempt.peerId !== null) {
        punish(draft, attempt.peerId, reason, attempt.selected);
        // A banned key does not stay by another connection, nor come back by one that was being set up meanwhile.
        const { dialing = null, answering = null, live = null } = draft.peers.get(attempt.peerId) ?? {};
        const others = severity(reason) === "violation" ? [dialing, answering, live?.attemptId ?? null] : [];
        for (const other of others) {
          if (other !== null && other !== attemptId) abandon(other, reason, detail, context);
        }
      }
      if (attempt.opened.includes("control")) {
        const isProven = attempt.hello !== null && attempt.peerId !== null;
        const untilMs = isProven
          ? Math.max(bannedUntil(draft, attempt.peerId), closedUntil(draft, attempt.selected?.group ?? ""))
          : 0;
        const banMs = remainingMs(untilMs, draft.timeMs);
        context.effect({
          type: "effect/send",
          attemptId,
          channel: "control",
          message: goodbye(reason, banMs),
        });
      }
      leave(draft, attempt, { reason, by: "us", detail }, 0, context);
    },
  },

  "connection/ended": {
    enabled: () => true,
    reduce: (draft, { by, reason }) => {
      const key = `${by} ${reason}`;
      draft.endings = { ...draft.endings, [key]: (draft.endings[key] ?? 0) + 1 };
    },
  },

  "connection/cut": {
    enabled: (state, { attemptId }) => state.attempts.get(attemptId)?.phase.tag === "closing",
    reduce: (_draft, { attemptId }, { effect }) => {
      effect({ type: "effect/close", attemptId, graceful: false });
    },
  },
};

/** What waited for the transport is written now. */
function resumeChannel(
  draft: StateDraft,
  channel: ChannelName,
  peerId: PeerId,
  attemptId: AttemptId,
  context: Context,
): void {
  const { propose } = context;
  switch (channel) {
    case "control":
    case "signaling/discovery":
    case "signaling/exchange":
      return;
    case "best-tip":
      propose({ type: "bestTip/givePermit", peerId });
      propose({ type: "bestTip/announce", peerId });
      return;
    case "rpc":
      answerWaiting(draft, peerId, attemptId, context);
      propose({ type: "fetch/next", peerId });
      return;
    case "streaming-rpc":
      propose({ type: "stream/resume", peerId });
      return;
    default:
      propose({ type: "pool/sendInfos", pool: channel, peerId });
  }
}

/** The pools' channels; where an earlier connection with this key ended lately, they go on from there (7.4, Resume). */
function openPools(draft: StateDraft, peerId: PeerId, theirBits: number): LivePeer["pools"] {
  const resume = takeResume(draft, peerId);
  const open = (pool: PoolName): PermitChannel | null => {
    if (!isShared(pool, theirBits)) return null;
    const fresh = freshPermits(draft.timeMs, draft.floors[pool].mark);
    const point = resume?.pools[pool] ?? null;
    return point === null
      ? fresh
      : { ...fresh, settled: point.cursor, resume: point.cursor, lack: point.lack };
  };
  return {
    transaction: open("transaction"),
    snark: open("snark"),
    "snark-job-commitment": open("snark-job-commitment"),
  };
}

/** Channel `name` is used: both sides enable it. */
const isShared = (name: ChannelName, theirBits: number): boolean =>
  (CHANNEL_BITS & theirBits & (1 << CHANNELS[name].id)) !== 0;

const isOpen = (attempt: Attempt | undefined): boolean =>
  attempt?.phase.tag === "ready" || (attempt?.phase.tag === "connecting" && attempt.connected);

function readyPeerOf(state: State, attemptId: AttemptId): PeerId | undefined {
  const attempt = state.attempts.get(attemptId);
  return attempt?.phase.tag === "ready" ? (attempt.peerId ?? undefined) : undefined;
}

/** It left the probe for a newcomer (3.3) unanswered: the peer is not at its other end any more. */
const isSilent = ({ control: { awaitingPong } }: LivePeer, timeMs: number): boolean =>
  awaitingPong !== null && timeMs >= awaitingPong.sinceMs + DUPLICATE_PROBE_MS;

/** Which of two connections with one key stays, by signed values alone, so that both ends choose alike (3.3). */
function keepsOlder(state: State, older: Attempt, newer: Attempt, peerId: PeerId): boolean {
  const isSimultaneous = Math.abs(older.issuedAtMs - newer.issuedAtMs) <= SIMULTANEOUS_DIAL_MS;
  if (older.direction !== newer.direction && isSimultaneous) {
    const dialer = state.config.peerId > peerId ? "outgoing" : "incoming";
    return older.direction === dialer;
  }
  if (older.issuedAtMs !== newer.issuedAtMs) return older.issuedAtMs > newer.issuedAtMs;
  return older.nonce > newer.nonce;
}
