import type { StreamAction } from "../../core/actions/stream.ts";
import type { StreamEvent } from "../../core/actions.ts";
import type { Manifest, StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import { CHUNK_BYTES, STREAM_BYTES_MAX, STREAM_TIMEOUT_MS } from "../../core/limits.ts";
import type { State } from "../../core/state.ts";
import { chunkCount } from "../../core/stream.ts";
import { addChunk, type Download, freshDownload, runOf, type Source } from "../../core/streams.ts";
import { accuse } from "../channels/violation.ts";
import { punish } from "../penalties.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { forgetWake, livePeer, wakeAt } from "../state.ts";
import { concludeIfAlone, concludeIfComplete, discardStream, failDownload, suspendDownload } from "./ends.ts";
import { ask, isAwaited, permitMore, permitOthers, relieve, removeSource } from "./sources.ts";

/**
 * 7.8: fetching. Every live peer is asked, and each gets permits for the next chunks that nobody has been asked for.
 * A permit is renewed when its chunk was verified (law 2); what a peer does not bring is asked of the others.
 */

type FetchingAction =
  | Extract<
      StreamAction,
      {
        type:
          | "stream/fetch"
          | "stream/abandon"
          | "stream/peerReady"
          | "stream/watch"
          | "stream/relieve"
          | "stream/forget";
      }
    >
  | Extract<StreamEvent, { type: "event/chunkStored" }>;

export const streamsFetch: Rules<FetchingAction> = {
  "stream/fetch": {
    enabled: (state) => !state.stopping && state.download?.isActive !== true,
    reduce: (draft, { root }, context) => {
      const { download: kept } = draft;
      forgetWake(draft, "stream keep");
      if (kept !== null && kept.root !== root) discardStream(kept.root, context);
      draft.download =
        kept?.root === root
          ? { ...kept, isActive: true, startedMs: draft.timeMs }
          : freshDownload(root, draft.timeMs);
      if (concludeIfComplete(draft, context)) return;
      for (const [peerId, { live }] of draft.peers.entries()) {
        if (live !== null) ask(draft, peerId, live, context);
      }
      concludeIfAlone(draft, context);
    },
  },

  "stream/abandon": {
    enabled: () => true,
    reduce: (draft, { root }, context) => {
      // What is not complete is kept for a while: it may be wanted again.
      if (draft.download?.root !== root) discardStream(root, context);
      else if (draft.download.isActive) suspendDownload(draft, context);
    },
  },

  "stream/peerReady": {
    enabled: (state, { peerId }) => isFetching(state) && livePeer(state, peerId) !== undefined,
    reduce: (draft, { peerId }, context) => {
      const live = livePeer(draft, peerId);
      if (live !== undefined) ask(draft, peerId, live, context);
    },
  },

  "stream/watch": {
    enabled: isFetching,
    reduce: (draft, _watch, { propose }) => {
      let nextMs = Number.POSITIVE_INFINITY;
      for (const source of draft.download?.sources.values() ?? []) {
        if (!isAwaited(source)) continue;
        const { attemptId, progressMs } = source;
        const dueMs = progressMs + STREAM_TIMEOUT_MS;
        if (draft.timeMs < dueMs) nextMs = Math.min(nextMs, dueMs);
        else {
          const detail = `streaming-rpc: no progress for ${STREAM_TIMEOUT_MS} ms`;
          propose({ type: "connection/disconnect", attemptId, reason: "timeout", detail });
        }
      }
      if (nextMs < Number.POSITIVE_INFINITY) wakeAt(draft, "stream watch", nextMs, { type: "stream/watch" });
    },
  },

  "stream/relieve": {
    enabled: isFetching,
    reduce: (draft, _relieve, context) => {
      relieve(draft, context);
      concludeIfAlone(draft, context);
    },
  },

  "stream/forget": {
    enabled: ({ download }, { root }) => download?.root === root && !download.isActive,
    reduce: (draft, { root }, context) => {
      draft.download = null;
      discardStream(root, context);
    },
  },

  "event/chunkStored": {
    enabled: ({ download }, { root, attemptId, streamId, index }) => {
      const origin = download?.storing.get(index);
      return download?.root === root && origin?.attemptId === attemptId && origin.streamId === streamId;
    },
    reduce: (draft, { root, index, outcome }, context) => {
      const peerId = draft.download?.storing.get(index)?.peerId;
      if (peerId === undefined) return;
      settle(draft, index, outcome === "stored");
      if (outcome === "failed") {
        failDownload(draft, root, context);
        return;
      }
      if (outcome === "invalid") blame(draft, peerId, index, context);
      else if (!concludeIfComplete(draft, context)) permitMore(draft, peerId, context);
      concludeIfAlone(draft, context);
    },
  },
};

/** The peer as a source of stream `id` of ours; undefined if that stream has ended. */
export function sourceOf({ download }: State, peerId: PeerId, id: number): Source | undefined {
  const source = download?.sources.get(peerId);
  return source?.streamId === id ? source : undefined;
}

/** The Manifest of an open source, which hashes to the root; null: it does not have it. */
export function acceptManifest(
  draft: StateDraft,
  peerId: PeerId,
  manifest: Manifest | null,
  context: Context,
): void {
  const { download } = draft;
  const source = download?.sources.get(peerId);
  if (download === null || source === undefined) return;
  if (manifest === null) {
    removeSource(draft, peerId, source);
    concludeIfAlone(draft, context);
  } else if (manifest.size > STREAM_BYTES_MAX) {
    // The root says so itself: it is the same with everybody, and nobody's fault.
    failDownload(draft, download.root, context);
  } else {
    const chunks = chunkCount(manifest.size);
    const described =
      download.manifest === null ? { ...download, manifest, chunks, missing: runOf(0, chunks) } : download;
    const serving = { ...source, isServing: true, progressMs: draft.timeMs };
    draft.download = { ...described, sources: described.sources.set(peerId, serving) };
    permitMore(draft, peerId, context);
  }
}

/** A chunk that an open source had a permit for. */
export function acceptChunk(
  draft: StateDraft,
  peerId: PeerId,
  { index, data, proof }: Extract<StreamingMessage, { tag: "chunk" }>,
  { effect }: Context,
): void {
  const { download } = draft;
  const source = download?.sources.get(peerId);
  if (download === null || download.manifest === null || source === undefined) return;
  const { root, manifest } = download;
  const { attemptId, streamId } = source;
  const changed = {
    ...source,
    permitted: source.permitted.filter((other) => other !== index),
    storing: source.storing + 1,
    progressMs: draft.timeMs,
  };
  draft.download = {
    ...download,
    storing: download.storing.set(index, { peerId, attemptId, streamId }),
    sources: download.sources.set(peerId, changed),
  };
  effect({ type: "effect/storeChunk", attemptId, streamId, chunk: { root, manifest, index, data, proof } });
}

/** An open source cancels. One that was of use is asked again: it may have waited too long for a Next. */
export function sourceEnded(draft: StateDraft, peerId: PeerId, context: Context): void {
  const source = draft.download?.sources.get(peerId);
  const live = livePeer(draft, peerId);
  if (source === undefined || live === undefined) return;
  removeSource(draft, peerId, source);
  if (source.stored > 0) ask(draft, peerId, live, context);
  permitOthers(draft, context);
  concludeIfAlone(draft, context);
}

/** A connection is over. */
export function loseSource(draft: StateDraft, peerId: PeerId, attemptId: AttemptId, context: Context): void {
  const source = draft.download?.sources.get(peerId);
  if (source?.attemptId !== attemptId) return;
  removeSource(draft, peerId, source);
  permitOthers(draft, context);
  concludeIfAlone(draft, context);
}

function isFetching({ download }: State): boolean {
  return download?.isActive === true;
}

/** A chunk is kept, or nobody has been asked for it. */
function settle(draft: StateDraft, index: number, isKept: boolean): void {
  const { download } = draft;
  const origin = download?.storing.get(index);
  if (download === null || origin === undefined) return;
  const { peerId, attemptId, streamId } = origin;
  const kept = isKept ? 1 : 0;
  draft.download = {
    ...download,
    storing: download.storing.delete(index),
    stored: download.stored + kept,
    storedBytes: download.storedBytes + kept * lengthOf(download, index),
    missing: isKept ? download.missing : addChunk(download.missing, index),
    // Only if the chunk came on the stream that is open now.
    sources: download.sources.update(peerId, (source) =>
      source.attemptId === attemptId && source.streamId === streamId
        ? { ...source, storing: source.storing - 1, stored: source.stored + kept }
        : source,
    ),
  };
}

const lengthOf = ({ manifest }: Download, index: number): number =>
  Math.min(CHUNK_BYTES, Number(manifest?.size ?? 0n) - index * CHUNK_BYTES);

/** The key is to blame even if the connection, or the stream, is over by now. */
function blame(draft: StateDraft, peerId: PeerId, index: number, context: Context): void {
  const live = livePeer(draft, peerId);
  const detail = `chunk ${index} is not what the root names`;
  if (live === undefined) punish(draft, peerId, "badChunk", null);
  else accuse(live.attemptId, "streaming-rpc", { reason: "badChunk", detail }, context);
  const source = draft.download?.sources.get(peerId);
  if (source !== undefined) removeSource(draft, peerId, source);
  permitOthers(draft, context);
}
