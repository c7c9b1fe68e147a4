import type { StreamAction } from "../../core/actions/stream.ts";
import type { StreamEvent } from "../../core/actions.ts";
import type { ServedStream, StreamingChannel, StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import {
  STREAM_IDLE_MS,
  STREAM_OPEN_TIMEOUT_MS,
  STREAM_OUTSTANDING_MAX,
  STREAM_REQUESTS_BURST,
  STREAM_REQUESTS_PER_SECOND,
} from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import { chunkCount, verifyManifest } from "../../core/stream.ts";
import { chunksOf } from "../../core/streams.ts";
import { refill } from "../buckets.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { attemptOf, forgetWake, liveAttempt, livePeer, updateChannel, wakeAt } from "../state.ts";
import { endDownload } from "../streams/ends.ts";
import { acceptChunk, acceptManifest, loseSource, sourceEnded, sourceOf } from "../streams/fetch.ts";
import { sending } from "../streams/sources.ts";
import { ignore } from "./ignored.ts";
import { accuse, type Violation } from "./violation.ts";

/**
 * 7.8: what may be said on the channel, and serving. Each chunk is sent for a permit of the peer, in the order of its
 * permits and one at a time, so that no more than one is held here and none while the transport is full.
 */

type ServingAction =
  | Extract<
      StreamAction,
      { type: "stream/receive" | "stream/resume" | "stream/endIdle" | "stream/peerLeft" | "stream/stop" }
    >
  | Extract<StreamEvent, { type: "event/streamOpened" | "event/chunkLoaded" }>;

export const streamingRpc: Rules<ServingAction> = {
  "stream/receive": {
    enabled: (state, { peerId }) => channelOf(state, peerId) !== undefined,
    reduce: (draft, { peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      const channel = channelOf(draft, peerId);
      if (live === undefined || channel === undefined) return;
      const violation = violationOf(draft, peerId, channel, message);
      if (violation !== null) accuse(live.attemptId, "streaming-rpc", violation, context);
      else if (isLate(draft, peerId, channel, message)) ignore(draft, peerId, "streaming-rpc", context);
      else receive(draft, peerId, live, message, context);
    },
  },

  "stream/resume": {
    enabled: (state, { peerId }) => canLoad(livePeer(state, peerId)),
    reduce: (draft, { peerId }, context) => loadNext(draft, peerId, context),
  },

  "stream/endIdle": {
    enabled: (state, { peerId, attemptId }) =>
      liveAttempt(state, peerId, attemptId)?.streaming?.theirs != null,
    reduce: (draft, { peerId, attemptId }, { effect }) => {
      const stream = channelOf(draft, peerId)?.theirs;
      if (stream == null) return;
      const { id, chunks, permitted, activeMs } = stream;
      if (chunks === null) {
        // Our own slowness: the peer had better ask somebody else.
        effect(sending(attemptId, { tag: "manifest", id, manifest: null }));
        endServing(draft, peerId, attemptId, id, effect);
      } else if (permitted.length === 0 && draft.timeMs >= activeMs + STREAM_IDLE_MS) {
        cancelServing(draft, peerId, attemptId, id, effect);
      } else {
        // While there is something to send it is not the peer that is idle.
        const fromMs = permitted.length === 0 ? activeMs : draft.timeMs;
        endIdleAt(draft, peerId, attemptId, fromMs + STREAM_IDLE_MS);
      }
    },
  },

  "stream/peerLeft": {
    enabled: () => true,
    reduce: (draft, { peerId, attemptId, serving }, context) => {
      forgetWake(draft, idleName(attemptId));
      if (serving !== null) context.effect({ type: "effect/closeStream", attemptId, streamId: serving });
      loseSource(draft, peerId, attemptId, context);
    },
  },

  "stream/stop": {
    enabled: () => true,
    reduce: (draft, _stop, context) => {
      for (const [peerId, { live }] of draft.peers.entries()) {
        const id = live?.streaming?.theirs?.id;
        if (live !== null && id !== undefined)
          cancelServing(draft, peerId, live.attemptId, id, context.effect);
      }
      const root = draft.download?.root;
      if (root === undefined) return;
      endDownload(draft, context);
      context.effect({ type: "effect/discardStream", root });
    },
  },

  "event/streamOpened": {
    enabled: (state, { attemptId, streamId }) => servedBy(state, attemptId, streamId)?.chunks === null,
    reduce: (draft, { attemptId, streamId, manifest }, { effect }) => {
      const { peerId } = attemptOf(draft, attemptId);
      if (peerId === null) return;
      effect(sending(attemptId, { tag: "manifest", id: streamId, manifest }));
      if (manifest === null) {
        forgetServing(draft, peerId, attemptId);
        return;
      }
      updateServed(draft, peerId, { chunks: chunkCount(manifest.size), activeMs: draft.timeMs });
      endIdleAt(draft, peerId, attemptId, draft.timeMs + STREAM_IDLE_MS);
    },
  },

  "event/chunkLoaded": {
    enabled: (state, { attemptId, streamId, index }) => {
      const stream = servedBy(state, attemptId, streamId);
      return stream?.isLoading === true && stream.permitted[0] === index;
    },
    reduce: (draft, { attemptId, streamId, index, chunk }, context) => {
      const { peerId } = attemptOf(draft, attemptId);
      if (peerId === null) return;
      if (chunk === null) {
        cancelServing(draft, peerId, attemptId, streamId, context.effect);
        return;
      }
      context.effect(sending(attemptId, { tag: "chunk", id: streamId, index, ...chunk }));
      const permitted = channelOf(draft, peerId)?.theirs?.permitted.slice(1) ?? [];
      updateServed(draft, peerId, { permitted, isLoading: false, activeMs: draft.timeMs });
      loadNext(draft, peerId, context);
    },
  },
};

const channelOf = (state: State, peerId: PeerId): StreamingChannel | undefined =>
  livePeer(state, peerId)?.streaming ?? undefined;

/** The stream that an event of the service is about, if it is still open. */
function servedBy(state: State, attemptId: AttemptId, streamId: number): ServedStream | undefined {
  const peerId = state.attempts.get(attemptId)?.peerId ?? null;
  const live = peerId === null ? undefined : liveAttempt(state, peerId, attemptId);
  const stream = live?.streaming?.theirs ?? undefined;
  return stream?.id === streamId ? stream : undefined;
}

/** Null for what is in order, and for what is about a stream that has ended: that is ignored. */
function violationOf(
  state: State,
  peerId: PeerId,
  { nextId, theirNextId, theirs }: StreamingChannel,
  message: StreamingMessage,
): Violation | null {
  const { id } = message;
  switch (message.tag) {
    case "request":
      if (theirs !== null) return { reason: "overLimit", detail: "a second open stream" };
      return id === theirNextId
        ? null
        : { reason: "badState", detail: `stream ${id} is not the next, ${theirNextId}` };
    case "next":
      if (id >= theirNextId) return { reason: "badState", detail: `a Next for stream ${id}, never opened` };
      return theirs?.id === id ? violationOfNext(theirs, message) : null;
    case "cancel":
      return id >= theirNextId && id >= nextId
        ? { reason: "badState", detail: `a Cancel of stream ${id}, never opened` }
        : null;
    case "manifest":
    case "chunk":
      if (id >= nextId)
        return { reason: "badState", detail: `a ${message.tag} of stream ${id}, never asked for` };
      return violationOfAnswer(state, peerId, message);
  }
}

/** What is about a stream that has ended. */
function isLate(
  state: State,
  peerId: PeerId,
  { theirs }: StreamingChannel,
  { tag, id }: StreamingMessage,
): boolean {
  const isTheirs = theirs?.id === id;
  const isOurs = sourceOf(state, peerId, id) !== undefined;
  switch (tag) {
    case "request":
      return false;
    case "next":
      return !isTheirs;
    case "cancel":
      return !isTheirs && !isOurs;
    case "manifest":
    case "chunk":
      return !isOurs;
  }
}

function violationOfNext(
  { chunks, permitted }: ServedStream,
  { from, count }: Extract<StreamingMessage, { tag: "next" }>,
): Violation | null {
  if (chunks === null) return { reason: "badState", detail: "a Next before the Manifest" };
  if (from + count > chunks) {
    return { reason: "overLimit", detail: `a Next for ${count} chunks from ${from} of ${chunks}` };
  }
  if (permitted.length + count > STREAM_OUTSTANDING_MAX) {
    return { reason: "overLimit", detail: `${permitted.length + count} chunks outstanding` };
  }
  return null;
}

function violationOfAnswer(
  state: State,
  peerId: PeerId,
  message: Extract<StreamingMessage, { tag: "manifest" | "chunk" }>,
): Violation | null {
  const source = sourceOf(state, peerId, message.id);
  if (source === undefined) return null;
  if (message.tag === "chunk") {
    return source.permitted.includes(message.index)
      ? null
      : { reason: "badState", detail: `chunk ${message.index} without a permit` };
  }
  if (source.isServing) return { reason: "badState", detail: "a second Manifest" };
  const { manifest } = message;
  return manifest === null || (state.download !== null && verifyManifest(state.download.root, manifest))
    ? null
    : { reason: "badChunk", detail: "the Manifest does not hash to the root" };
}

function receive(
  draft: StateDraft,
  peerId: PeerId,
  live: LivePeer,
  message: StreamingMessage,
  context: Context,
): void {
  switch (message.tag) {
    case "request":
      serve(draft, peerId, live, message, context);
      return;
    case "next":
      permit(draft, peerId, message, context);
      return;
    case "cancel":
      cancelled(draft, peerId, live, message.id, context);
      return;
    case "manifest":
      acceptManifest(draft, peerId, message.manifest, context);
      return;
    case "chunk":
      acceptChunk(draft, peerId, message, context);
  }
}

function serve(
  draft: StateDraft,
  peerId: PeerId,
  { attemptId }: LivePeer,
  { id, root }: Extract<StreamingMessage, { tag: "request" }>,
  { effect }: Context,
): void {
  const activeMs = draft.timeMs;
  const mayOpen = pay(draft, peerId);
  updateChannel(draft, peerId, "streaming", (channel) => {
    channel.theirNextId = id + 1;
    if (mayOpen) channel.theirs = { id, root, chunks: null, permitted: [], isLoading: false, activeMs };
  });
  if (!mayOpen) {
    effect(sending(attemptId, { tag: "manifest", id, manifest: null }));
    return;
  }
  effect({ type: "effect/openStream", attemptId, streamId: id, root });
  endIdleAt(draft, peerId, attemptId, draft.timeMs + STREAM_OPEN_TIMEOUT_MS);
}

/** Takes what opening a stream costs from the peer's bucket; false if that is empty. */
function pay(draft: StateDraft, peerId: PeerId): boolean {
  const budget = refill(channelOf(draft, peerId)?.requestBudget ?? undefined, REQUESTS, draft.timeMs);
  if (budget.tokens < 1) return false;
  updateChannel(draft, peerId, "streaming", (channel) => {
    channel.requestBudget = { tokens: budget.tokens - 1, atMs: budget.atMs };
  });
  return true;
}

const REQUESTS = { burst: STREAM_REQUESTS_BURST, perSecond: STREAM_REQUESTS_PER_SECOND };

function permit(
  draft: StateDraft,
  peerId: PeerId,
  { id, from, count }: Extract<StreamingMessage, { tag: "next" }>,
  context: Context,
): void {
  const stream = channelOf(draft, peerId)?.theirs;
  if (stream?.id !== id) return;
  const permitted = [...stream.permitted, ...chunksOf({ from, count })];
  updateServed(draft, peerId, { permitted, activeMs: draft.timeMs });
  loadNext(draft, peerId, context);
}

/**
 * The message does not say whose stream it ends. Where both directions have one under this number both are ended, and
 * the peer is told, so that neither side waits for what the other has given up.
 */
function cancelled(
  draft: StateDraft,
  peerId: PeerId,
  { attemptId, streaming }: LivePeer,
  id: number,
  context: Context,
): void {
  const isTheirs = streaming?.theirs?.id === id;
  const isOurs = sourceOf(draft, peerId, id) !== undefined;
  if (isTheirs) endServing(draft, peerId, attemptId, id, context.effect);
  if (isTheirs && isOurs) context.effect(sending(attemptId, { tag: "cancel", id }));
  if (isOurs) sourceEnded(draft, peerId, context);
}

function canLoad(live: LivePeer | undefined): boolean {
  const stream = live?.streaming?.theirs;
  if (live === undefined || stream == null || live.blocked.includes("streaming-rpc")) return false;
  return !stream.isLoading && stream.permitted.length > 0;
}

function loadNext(draft: StateDraft, peerId: PeerId, { effect }: Context): void {
  const live = livePeer(draft, peerId);
  const stream = live?.streaming?.theirs;
  const index = stream?.permitted[0];
  if (live === undefined || stream == null || index === undefined || !canLoad(live)) return;
  updateServed(draft, peerId, { isLoading: true });
  const { id: streamId, root } = stream;
  effect({ type: "effect/loadChunk", attemptId: live.attemptId, streamId, root, index });
}

/** For every chunk: without a draft, which would cost more than sending it does. */
function updateServed(draft: StateDraft, peerId: PeerId, changes: Partial<ServedStream>): void {
  draft.peers = draft.peers.update(peerId, (peer) => {
    const { live } = peer;
    if (live?.streaming?.theirs == null) return peer;
    const streaming = { ...live.streaming, theirs: { ...live.streaming.theirs, ...changes } };
    return { ...peer, live: { ...live, streaming } };
  });
}

function cancelServing(
  draft: StateDraft,
  peerId: PeerId,
  attemptId: AttemptId,
  id: number,
  effect: Context["effect"],
): void {
  effect(sending(attemptId, { tag: "cancel", id }));
  endServing(draft, peerId, attemptId, id, effect);
}

function endServing(
  draft: StateDraft,
  peerId: PeerId,
  attemptId: AttemptId,
  id: number,
  effect: Context["effect"],
): void {
  forgetServing(draft, peerId, attemptId);
  effect({ type: "effect/closeStream", attemptId, streamId: id });
}

function forgetServing(draft: StateDraft, peerId: PeerId, attemptId: AttemptId): void {
  forgetWake(draft, idleName(attemptId));
  updateChannel(draft, peerId, "streaming", (channel) => {
    channel.theirs = null;
  });
}

const idleName = (attemptId: AttemptId): string => `stream serve ${attemptId}`;

function endIdleAt(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, atMs: number): void {
  wakeAt(draft, idleName(attemptId), atMs, { type: "stream/endIdle", peerId, attemptId });
}
