import type { ChainEvent, RpcAction } from "../../core/actions.ts";
import type { Found, OurRequest, RpcChannel, RpcMessage, RpcResponse } from "../../core/channels/rpc.ts";
import type { AttemptId, Hash, PeerId } from "../../core/ids.ts";
import {
  ITEM_BYTES_MAX,
  RPC_BLOCKED_MS,
  RPC_BYTES_MAX,
  RPC_OPEN_MAX,
  RPC_TIMEOUT_MS,
} from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { attemptOf, forgetWake, liveAttempt, livePeer, updateLive, updateRpc, wakeAt } from "../state.ts";
import { accuse, type Violation } from "./violation.ts";

/** 7.7: a request is the permit for exactly one response, and every request is answered. */

type ItemsLoaded = Extract<ChainEvent, { type: "event/itemsLoaded" }>;

export const rpc: Rules<RpcAction | ItemsLoaded> = {
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
        serve(draft, live, peerId, message, context);
      } else {
        accept(draft, live, peerId, message, context);
      }
    },
  },

  "rpc/request": {
    enabled: (state, { peerId }) => canRequest(state, peerId),
    reduce: (draft, { peerId, body }, { effect }) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel === undefined) return;
      const { attemptId } = live;
      const id = channel.nextId;
      const hashes = body.tag === "transactions" ? body.hashes : [];
      updateRpc(draft, peerId, (changed) => {
        changed.nextId = id + 1;
        changed.ours = [...changed.ours, { id, sentMs: draft.timeMs, hashes, abandoned: false }];
      });
      effect({ type: "effect/send", attemptId, channel: "rpc", message: { tag: "request", id, body } });
      const expire = { type: "rpc/expire", peerId, attemptId, id } as const;
      wakeAt(draft, `rpc ${id} ${attemptId}`, draft.timeMs + RPC_TIMEOUT_MS, expire);
    },
  },

  "rpc/expire": {
    enabled: (state, { peerId, attemptId, id }) => {
      const live = liveAttempt(state, peerId, attemptId);
      return live?.rpc?.ours.some((request) => request.id === id && !request.abandoned) ?? false;
    },
    reduce: (draft, { peerId, attemptId, id }, context) => {
      const hashes = channelOf(draft, peerId)?.ours.find((request) => request.id === id)?.hashes ?? [];
      updateRpc(draft, peerId, (channel) => {
        channel.ours = channel.ours.map((request) =>
          request.id === id ? { ...request, abandoned: true } : request,
        );
        if (channel.ours.length >= RPC_OPEN_MAX && channel.ours.every(({ abandoned }) => abandoned)) {
          channel.blockedSinceMs = draft.timeMs;
        }
      });
      if (channelOf(draft, peerId)?.blockedSinceMs === draft.timeMs) {
        const action = { type: "rpc/expireBlocked", peerId, attemptId } as const;
        wakeAt(draft, `rpcBlocked ${attemptId}`, draft.timeMs + RPC_BLOCKED_MS, action);
      }
      endFetching(draft, peerId, id);
      for (const hash of hashes) context.propose({ type: "fetch/fail", peerId, hash });
      context.propose({ type: "fetch/next", peerId });
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
      updateRpc(draft, peerId, (channel) => {
        channel.theirs = channel.theirs.filter((request) => request.id !== id);
      });
      effect({ type: "effect/send", attemptId, channel: "rpc", message: { tag: "response", id, body } });
    },
  },

  "event/itemsLoaded": {
    enabled: (state, { attemptId, rpcId }) => {
      const peerId = state.attempts.get(attemptId)?.peerId ?? null;
      return peerId !== null && isOpen(liveAttempt(state, peerId, attemptId), rpcId);
    },
    reduce: (draft, { attemptId, rpcId, items }, { propose }) => {
      const { peerId } = attemptOf(draft, attemptId);
      if (peerId === null) return;
      propose({
        type: "rpc/respond",
        peerId,
        attemptId,
        id: rpcId,
        body: { tag: "items", found: packed(items) },
      });
    },
  },
};

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

/** This version requests transactions only. */
const fits = (request: OurRequest, body: RpcResponse): boolean =>
  body.tag === "notFound" ||
  body.tag === "busy" ||
  (body.tag === "items" && body.found.length <= request.hashes.length);

function serve(
  draft: StateDraft,
  { attemptId, blocked }: LivePeer,
  peerId: PeerId,
  { id, body }: Extract<RpcMessage, { tag: "request" }>,
  context: Context,
): void {
  const hashes = body.tag === "transactions" ? body.hashes : null;
  const waits = blocked.includes("rpc");
  updateRpc(draft, peerId, (channel) => {
    channel.theirNextId = id + 1;
    channel.theirs = [...channel.theirs, { id, hashes, waits }];
  });
  if (!waits) answer(attemptId, peerId, id, hashes, context);
}

/** What came while the transport was full is answered now. */
export function answerWaiting(
  draft: StateDraft,
  peerId: PeerId,
  attemptId: AttemptId,
  context: Context,
): void {
  const waiting = channelOf(draft, peerId)?.theirs.filter(({ waits }) => waits) ?? [];
  updateRpc(draft, peerId, (channel) => {
    channel.theirs = channel.theirs.map((request) => ({ ...request, waits: false }));
  });
  for (const { id, hashes } of waiting) answer(attemptId, peerId, id, hashes, context);
}

function answer(
  attemptId: AttemptId,
  peerId: PeerId,
  id: number,
  hashes: readonly Hash[] | null,
  { effect, propose }: Context,
): void {
  // Blocks, snarks and the rest come with their protocols: until then a node has none of them.
  if (hashes === null) propose({ type: "rpc/respond", peerId, attemptId, id, body: { tag: "notFound" } });
  else effect({ type: "effect/loadItems", attemptId, rpcId: id, hashes });
}

function accept(
  draft: StateDraft,
  { attemptId }: LivePeer,
  peerId: PeerId,
  { id, body }: Extract<RpcMessage, { tag: "response" }>,
  { propose }: Context,
): void {
  const request = channelOf(draft, peerId)?.ours.find((open) => open.id === id);
  if (request === undefined) return;
  updateRpc(draft, peerId, (channel) => {
    channel.ours = channel.ours.filter((open) => open.id !== id);
    channel.blockedSinceMs = null;
  });
  forgetWake(draft, `rpc ${id} ${attemptId}`);
  forgetWake(draft, `rpcBlocked ${attemptId}`);
  endFetching(draft, peerId, id);
  if (!request.abandoned) {
    if (body.tag === "items") {
      const items = body.found.map((found) => (found.tag === "some" ? found.bytes : null));
      propose({ type: "fetch/receive", peerId, hashes: request.hashes, items });
    } else {
      for (const hash of request.hashes) propose({ type: "fetch/fail", peerId, hash });
    }
  }
  propose({ type: "fetch/next", peerId });
}

function endFetching(draft: StateDraft, peerId: PeerId, id: number): void {
  if (livePeer(draft, peerId)?.fetching !== id) return;
  updateLive(draft, peerId, (live) => {
    live.fetching = null;
  });
}

/** Tags, id and the count of a response; tag and length of each entry. */
const RESPONSE_HEAD_BYTES = 1 + 4 + 1 + 4;
const FOUND_HEAD_BYTES = 1 + 4;

/** As many entries as fit into one message, at least one: a shorter list means the rest did not fit. */
function packed(items: readonly (Uint8Array | null)[]): readonly Found[] {
  const found: Found[] = [];
  let left = RPC_BYTES_MAX - RESPONSE_HEAD_BYTES;
  for (const bytes of items) {
    const entry: Found =
      bytes === null
        ? { tag: "none" }
        : bytes.length > ITEM_BYTES_MAX
          ? { tag: "stream" }
          : { tag: "some", bytes };
    left -= FOUND_HEAD_BYTES + (entry.tag === "some" ? entry.bytes.length : 0);
    if (left < 0 && found.length > 0) break;
    found.push(entry);
  }
  return found;
}
