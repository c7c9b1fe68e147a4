import type { State } from "../core/state.ts";
import type { Stage } from "../core/sync.ts";

/** How far a node is on its way to the best tip that others have announced. */
export interface SyncProgress {
  readonly phase: "checking" | "headers" | "snapshot" | "blocks" | "adopting";
  /** Of the block from which it goes on: the best tip at the start, then the last block that both chains have. */
  readonly fromHeight: number;
  readonly toHeight: number;
  readonly appliedHeight: number;
  /** Of the ledger that is streamed, if one is. */
  readonly streamedBytes: number;
  /** Null until its size is known. */
  readonly totalBytes: number | null;
}

/** @returns null if no better tip than the own one is being pursued */
export function syncProgress({ sync, download }: State): SyncProgress | null {
  const { pursuit } = sync;
  if (pursuit === null) return null;
  const { stage, fromHeight, applied, tip } = pursuit;
  // What is left of one that failed is no progress.
  const active = download?.isActive === true ? download : null;
  const size = active?.manifest?.size;
  return {
    phase: PHASES[stage.tag],
    fromHeight,
    toHeight: tip.height,
    appliedHeight: fromHeight + applied,
    streamedBytes: active?.storedBytes ?? 0,
    totalBytes: size === undefined ? null : Number(size),
  };
}

const PHASES: { readonly [Tag in Stage["tag"]]: SyncProgress["phase"] } = {
  checking: "checking",
  headers: "headers",
  snapshot: "snapshot",
  blocks: "blocks",
  applied: "adopting",
};
