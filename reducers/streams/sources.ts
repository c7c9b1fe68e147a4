import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import {
  STREAM_NEXT_MIN,
  STREAM_OUTSTANDING_MAX,
  STREAM_PATIENCE_MS,
  STREAM_TIMEOUT_MS,
} from "../../core/limits.ts";
import type { LivePeer } from "../../core/state.ts";
import { addChunk, chunksOf, type Source, takeRun } from "../../core/streams.ts";
import type { Context, StateDraft } from "../rules.ts";
import { liveAttempt, updateChannel, wakeAt } from "../state.ts";

/** 7.8: who is asked for which chunks of a download. */

/** Opens a stream with this peer, unless it has one for this download. */
export function ask(
  draft: StateDraft,
  peerId: PeerId,
  { attemptId, streaming }: LivePeer,
  { effect }: Context,
): void {
  const { download } = draft;
  if (download === null || streaming === null || download.sources.has(peerId)) return;
  const { nextId: streamId } = streaming;
  updateChannel(draft, peerId, "streaming", (channel) => {
    channel.nextId = streamId + 1;
  });
  const source: Source = {
    attemptId,
    streamId,
    isServing: false,
    permitted: [],
    storing: 0,
    stored: 0,
    permittedMs: draft.timeMs,
    progressMs: draft.timeMs,
  };
  draft.download = { ...download, sources: download.sources.set(peerId, source) };
  effect(sending(attemptId, { tag: "request", id: streamId, root: download.root }));
  watch(draft);
}

/** It owes us a Manifest or chunks. */
export const isAwaited = ({ isServing, permitted }: Source): boolean => !isServing || permitted.length > 0;

/** Permits the next chunks in runs: one message for several chunks, and what arrives is nearly in order. */
export function permitMore(draft: StateDraft, peerId: PeerId, { effect }: Context): void {
  const { download, timeMs } = draft;
  const source = download?.sources.get(peerId);
  if (download === null || source === undefined || !source.isServing) return;
  const { attemptId, streamId, storing } = source;
  if (liveAttempt(draft, peerId, attemptId) === undefined) return;
  if (STREAM_OUTSTANDING_MAX - source.permitted.length - storing < STREAM_NEXT_MIN) return;
  let [permitted, missing] = [source.permitted, download.missing];
  for (;;) {
    const taken = takeRun(missing, STREAM_OUTSTANDING_MAX - permitted.length - storing);
    if (taken === null) break;
    missing = taken.rest;
    permitted = [...permitted, ...chunksOf(taken.run)];
    effect(sending(attemptId, { tag: "next", id: streamId, ...taken.run }));
  }
  if (permitted === source.permitted) {
    if (isIdle(source)) relieveSoon(draft);
    return;
  }
  // What it does with the permits it had is what counts, unless it had none.
  const progressMs = source.permitted.length === 0 ? timeMs : source.progressMs;
  const changed = { ...source, permitted, permittedMs: timeMs, progressMs };
  draft.download = { ...download, missing, sources: download.sources.set(peerId, changed) };
  watch(draft);
}

/** After chunks of one source have become missing again: the others are asked. */
export function permitOthers(draft: StateDraft, context: Context): void {
  for (const peerId of draft.download?.sources.keys() ?? []) permitMore(draft, peerId, context);
}

/** Its stream is over: the chunks it was permitted are left to the others. */
export function removeSource(draft: StateDraft, peerId: PeerId, { permitted }: Source): void {
  const { download } = draft;
  if (download === null) return;
  const missing = permitted.reduce(addChunk, download.missing);
  draft.download = { ...download, missing, sources: download.sources.delete(peerId) };
}

export function cancel(
  draft: StateDraft,
  peerId: PeerId,
  { attemptId, streamId }: Source,
  { effect }: Context,
): void {
  if (liveAttempt(draft, peerId, attemptId) !== undefined)
    effect(sending(attemptId, { tag: "cancel", id: streamId }));
}

/**
 * No slow source holds up a download: while one has nothing left to do, those that got their last permits long ago are
 * cancelled, and their chunks asked of the others.
 */
export function relieve(draft: StateDraft, context: Context): void {
  const sources = [...(draft.download?.sources.entries() ?? [])];
  if (!sources.some(([, source]) => isIdle(source))) return;
  for (const [peerId, source] of sources) {
    if (source.permitted.length === 0 || draft.timeMs < source.permittedMs + STREAM_PATIENCE_MS) continue;
    cancel(draft, peerId, source, context);
    removeSource(draft, peerId, source);
  }
  permitOthers(draft, context);
}

export const sending = (
  attemptId: AttemptId,
  message: StreamingMessage,
): Extract<Effect, { type: "effect/send"; channel: "streaming-rpc" }> => ({
  type: "effect/send",
  attemptId,
  channel: "streaming-rpc",
  message,
});

/** It has nothing left to do. */
const isIdle = ({ isServing, permitted }: Source): boolean => isServing && permitted.length === 0;

/** One deadline for all sources: never later than the first is due, and when it comes it looks for the next. */
function watch(draft: StateDraft): void {
  if (!draft.deadlines.byName.has("stream watch"))
    wakeAt(draft, "stream watch", draft.timeMs + STREAM_TIMEOUT_MS, { type: "stream/watch" });
}

function relieveSoon(draft: StateDraft): void {
  if (!draft.deadlines.byName.has("stream relieve"))
    wakeAt(draft, "stream relieve", draft.timeMs + STREAM_PATIENCE_MS, { type: "stream/relieve" });
}
