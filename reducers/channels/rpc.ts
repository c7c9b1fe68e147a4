import type { RpcAction } from "../../core/actions.ts";
import type {
  OurRequest,
  RpcChannel,
  RpcMessage,
  RpcPurpose,
  RpcRequest,
  RpcResponse,
} from "../../core/channels/rpc.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import { RPC_BLOCK_TIMEOUT_MS, RPC_BLOCKED_MS, RPC_OPEN_MAX, RPC_TIMEOUT_MS } from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { serve } from "../serve.ts";
import { forgetWake, liveAttempt, livePeer, updateChannel, wakeAt } from "../state.ts";
import { accuse, type Violation } from "./violation.ts";

/** 7.7: a request is the permit for exactly one response, and every request is answered. */

export const rpc: Rules<RpcAction> = {
  "rpc/receive": {
    enabled: (state, { peerId }) => channelOf(state, peerId) !== undefined,
    reduce: (draft, { peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel === undefined) return;
      const violation = violationOf(channel, message);
      if (violation !== null) {
        accuse(live.attemptId, "rpc", violation, context);
      } else if (message.tag === "request") {
        accept(draft, live, peerId, message, context);
      } else {
        conclude(draft, live, peerId, message, context);
      }
    },
  },

  "rpc/request": {
    enabled: (state, { peerId }) => canRequest(state, peerId),
    reduce: (draft, { peerId, purpose, body }, context) => {
      openRequest(draft, peerId, purpose, body, context);
    },
  },

  "rpc/expire": {
    enabled: (state, { peerId, attemptId, id }) => {
      const live = liveAttempt(state, peerId, attemptId);
      return live?.rpc?.ours.some((request) => request.id === id && !request.abandoned) ?? false;
    },
    reduce: (draft, { peerId, attemptId, id }, context) => {
      const request = channelOf(draft, peerId)?.ours.find((open) => open.id === id);
      if (request === undefined) return;
      updateChannel(draft, peerId, "rpc", (channel) => {
        channel.ours = channel.ours.map((open) => (open.id === id ? { ...open, abandoned: true } : open));
        if (channel.ours.length >= RPC_OPEN_MAX && channel.ours.every(({ abandoned }) => abandoned)) {
          channel.blockedSinceMs = draft.timeMs;
        }
      });
      if (channelOf(draft, peerId)?.blockedSinceMs === draft.timeMs) {
        const action = { type: "rpc/expireBlocked", peerId, attemptId } as const;
        wakeAt(draft, `rpcBlocked ${attemptId}`, draft.timeMs + RPC_BLOCKED_MS, action);
      }
      tell(peerId, request, null, context);
    },
  },

  "rpc/expireBlocked": {
    enabled: (state, { peerId, attemptId }) => {
      const blockedSinceMs = liveAttempt(state, peerId, attemptId)?.rpc?.blockedSinceMs ?? null;
      return blockedSinceMs !== null && state.timeMs >= blockedSinceMs + RPC_BLOCKED_MS;
    },
    reduce: (_draft, { attemptId }, { propose }) => {
      const detail = `rpc: no response to any of ${RPC_OPEN_MAX} requests`;
      propose({ type: "connection/disconnect", attemptId, reason: "timeout", detail });
    },
  },

  "rpc/respond": {
    enabled: (state, { peerId, attemptId, id }) => isOpen(liveAttempt(state, peerId, attemptId), id),
    reduce: (draft, { peerId, attemptId, id, body }, { effect }) => {
      updateChannel(draft, peerId, "rpc", (channel) => {
        channel.theirs = channel.theirs.filter((request) => request.id !== id);
      });
      effect({ type: "effect/send", attemptId, channel: "rpc", message: { tag: "response", id, body } });
    },
  },
};

/** At once, for those who count on its number; only when `canRequest`. */
export function openRequest(
  draft: StateDraft,
  peerId: PeerId,
  purpose: RpcPurpose,
  body: RpcRequest,
  { effect }: Context,
): void {
  const live = livePeer(draft, peerId);
  if (live === undefined || live.rpc === null) return;
  const { attemptId } = live;
  const id = live.rpc.nextId;
  updateChannel(draft, peerId, "rpc", (changed) => {
    changed.nextId = id + 1;
    changed.ours = [...changed.ours, { id, sentMs: draft.timeMs, purpose, body, abandoned: false }];
  });
  effect({ type: "effect/send", attemptId, channel: "rpc", message: { tag: "request", id, body } });
  const expire = { type: "rpc/expire", peerId, attemptId, id } as const;
  wakeAt(draft, `rpc ${id} ${attemptId}`, draft.timeMs + timeoutOf(body), expire);
}

export function canRequest(state: State, peerId: PeerId): boolean {
  const live = livePeer(state, peerId);
  if (live === undefined || live.rpc === null || live.blocked.includes("rpc")) return false;
  return live.rpc.ours.length < RPC_OPEN_MAX;
}

const isOpen = (live: LivePeer | undefined, id: number): boolean =>
  live?.rpc?.theirs.some((request) => request.id === id) ?? false;

const channelOf = (state: State, peerId: PeerId): RpcChannel | undefined =>
  livePeer(state, peerId)?.rpc ?? undefined;

function violationOf(channel: RpcChannel, message: RpcMessage): Violation | null {
  if (message.tag === "request") {
    if (channel.theirs.length >= RPC_OPEN_MAX) return { reason: "overLimit", detail: "a fifth open request" };
    if (message.id !== channel.theirNextId) {
      return {
        reason: "badState",
        detail: `request id ${message.id} is not the next, ${channel.theirNextId}`,
      };
    }
    return null;
  }
  const request = channel.ours.find(({ id }) => id === message.id);
  if (request === undefined) {
    return { reason: "responseMismatch", detail: `response ${message.id} answers no open request` };
  }
  if (!fits(request, message.body)) {
    return {
      reason: "responseMismatch",
      detail: `response ${message.id} (${message.body.tag}) does not fit its request`,
    };
  }
  return null;
}

/** A response is of the kind that was asked for and has no more entries; what they say is checked by who asked. */
function fits({ body: asked }: OurRequest, body: RpcResponse): boolean {
  if (body.tag === "notFound" || body.tag === "busy") return true;
  switch (asked.tag) {
    case "transactions":
    case "snarks":
      return body.tag === "items" && body.found.length <= asked.hashes.length;
    case "ancestry":
      return body.tag === "ancestry" && body.headers.length <= asked.count;
    case "infosByShortId":
      return (
        body.tag === "infos" &&
        body.infos.tag === INFO_TAGS[asked.pool] &&
        body.infos.items.length <= asked.ids.length
      );
    default:
      return body.tag === asked.tag;
  }
}

/** The pools in the order of their numbers on the wire. */
const INFO_TAGS = ["transactions", "snarks", "commitments"];

const timeoutOf = ({ tag }: RpcRequest): number =>
  tag === "block" || tag === "ancestry" ? RPC_BLOCK_TIMEOUT_MS : RPC_TIMEOUT_MS;

function accept(
  draft: StateDraft,
  { attemptId, blocked }: LivePeer,
  peerId: PeerId,
  { id, body }: Extract<RpcMessage, { tag: "request" }>,
  context: Context,
): void {
  const waits = blocked.includes("rpc");
  updateChannel(draft, peerId, "rpc", (channel) => {
    channel.theirNextId = id + 1;
    channel.theirs = [...channel.theirs, { id, body, waits }];
  });
  if (!waits) serve(draft, peerId, attemptId, id, body, context);
}

/** What came while the transport was full is answered now. */
export function answerWaiting(
  draft: StateDraft,
  peerId: PeerId,
  attemptId: AttemptId,
  context: Context,
): void {
  const waiting = channelOf(draft, peerId)?.theirs.filter(({ waits }) => waits) ?? [];
  updateChannel(draft, peerId, "rpc", (channel) => {
    channel.theirs = channel.theirs.map((request) => ({ ...request, waits: false }));
  });
  for (const { id, body } of waiting) serve(draft, peerId, attemptId, id, body, context);
}

function conclude(
  draft: StateDraft,
  { attemptId }: LivePeer,
  peerId: PeerId,
  { id, body }: Extract<RpcMessage, { tag: "response" }>,
  context: Context,
): void {
  const request = channelOf(draft, peerId)?.ours.find((open) => open.id === id);
  if (request === undefined) return;
  forgetWake(draft, `rpc ${id} ${attemptId}`);
  forgetWake(draft, `rpcBlocked ${attemptId}`);
  const bodies = countBodies(draft, request, body);
  if (request.abandoned) {
    context.propose({ type: "fetch/next", peerId });
  } else {
    tell(peerId, request, body, context);
  }
  updateChannel(draft, peerId, "rpc", (channel) => {
    channel.ours = channel.ours.filter((open) => open.id !== id);
    channel.blockedSinceMs = null;
    if (request.abandoned) return;
    channel.served += bodies;
    channel.fastestMs = Math.min(
      channel.fastestMs ?? Number.POSITIVE_INFINITY,
      draft.timeMs - request.sentMs,
    );
  });
}

/** Tells who asked what came of it: the response, or null. The slot may be free for the fetcher now. */
function tell(
  peerId: PeerId,
  { purpose, body: request }: OurRequest,
  response: RpcResponse | null,
  { propose }: Context,
): void {
  propose({ type: `${purpose}/answered`, peerId, request, response });
  propose({ type: "fetch/next", peerId });
}

/** Each body should cross each node once: late and needless ones are counted too. @returns how many there are */
function countBodies(draft: StateDraft, { body: asked }: OurRequest, body: RpcResponse): number {
  if (body.tag !== "items") return 0;
  const pool = asked.tag === "snarks" ? "snark" : "transaction";
  const arrived = body.found.filter(({ tag }) => tag === "some").length;
  draft.bodies = { ...draft.bodies, [pool]: draft.bodies[pool] + arrived };
  return arrived;
}
