import type { Logger } from "pino";
import type { State } from "../core/state.ts";
import type { Clock } from "./clock.ts";
import { type SyncProgress, syncProgress } from "./sync-progress.ts";

/** Following a tip that is so little ahead is the everyday business of a node, not a catch-up. */
const SHOWN_BLOCKS_MIN = 8;
const PROGRESS_EVERY_MS = 5_000;

/**
 * Tells when a node begins to catch up, how far it is now and then, and when it is done. Called after every step, so
 * it looks at nothing but references as long as nothing changes.
 */
export function createSyncLog(log: Logger, clock: Clock): (state: State) => void {
  let last: Pick<State, "sync" | "download"> | undefined;
  let begun: { readonly atMs: number; readonly fromHeight: number } | null = null;
  let toldMs = 0;

  const follow = (progress: SyncProgress | null, state: State): void => {
    const nowMs = clock();
    if (progress === null) {
      if (begun === null) return;
      const { height } = state.chain.tip;
      log.info({ height, blocks: height - begun.fromHeight, ms: nowMs - begun.atMs }, "sync ended");
      begun = null;
      return;
    }
    if (begun === null && progress.toHeight - progress.fromHeight < SHOWN_BLOCKS_MIN) return;
    if (begun === null) {
      begun = { atMs: nowMs, fromHeight: progress.fromHeight };
      log.info({ fromHeight: progress.fromHeight, toHeight: progress.toHeight }, "sync begins");
      toldMs = nowMs;
    } else if (nowMs >= toldMs + PROGRESS_EVERY_MS) {
      log.info(progress, progress.phase === "snapshot" ? "snapshot is being fetched" : "sync goes on");
      toldMs = nowMs;
    }
  };

  return (state) => {
    const { sync, download } = state;
    if (last?.sync === sync && last.download === download) return;
    last = { sync, download };
    follow(syncProgress(state), state);
  };
}
