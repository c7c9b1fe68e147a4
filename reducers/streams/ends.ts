import type { Hash } from "../../core/ids.ts";
import { STREAM_KEEP_MS } from "../../core/limits.ts";
import type { Context, StateDraft } from "../rules.ts";
import { forgetWake, wakeAt } from "../state.ts";
import { cancel, removeSource } from "./sources.ts";

/** 7.8: how fetching ends. Every source is told, whatever the reason. */

/** Complete: the bytes are with the service, until somebody proposes `stream/abandon`. */
export function concludeIfComplete(draft: StateDraft, context: Context): boolean {
  const { download } = draft;
  if (download === null || !download.isActive || download.manifest === null) return false;
  if (download.stored < download.chunks) return false;
  endDownload(draft, context);
  context.propose({ type: "sync/snapshotFetched", root: download.root });
  return true;
}

/** Nobody is left: what is here stays for another try. */
export function concludeIfAlone(draft: StateDraft, context: Context): void {
  const { download } = draft;
  if (download === null || !download.isActive || download.sources.size + download.storing.size > 0) return;
  suspendDownload(draft, context);
  context.propose({ type: "sync/snapshotFailed", root: download.root });
}

/** Not for want of a peer: another try would end alike. */
export function failDownload(draft: StateDraft, root: Hash, context: Context): void {
  endDownload(draft, context);
  discardStream(root, context);
  context.propose({ type: "sync/snapshotFailed", root });
}

export function suspendDownload(draft: StateDraft, context: Context): void {
  for (const [peerId, source] of draft.download?.sources.entries() ?? []) {
    cancel(draft, peerId, source, context);
    removeSource(draft, peerId, source);
  }
  const { download } = draft;
  if (download === null) return;
  const { root, stored, storing } = download;
  endWakes(draft);
  if (stored + storing.size === 0) {
    draft.download = null;
    discardStream(root, context);
  } else {
    draft.download = { ...download, isActive: false };
    wakeAt(draft, "stream keep", draft.timeMs + STREAM_KEEP_MS, { type: "stream/forget", root });
  }
}

export function endDownload(draft: StateDraft, context: Context): void {
  for (const [peerId, source] of draft.download?.sources.entries() ?? []) {
    cancel(draft, peerId, source, context);
  }
  draft.download = null;
  endWakes(draft);
}

export function discardStream(root: Hash, { effect }: Context): void {
  effect({ type: "effect/discardStream", root });
}

function endWakes(draft: StateDraft): void {
  for (const name of ["watch", "relieve", "keep"]) forgetWake(draft, `stream ${name}`);
}
