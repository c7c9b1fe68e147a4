import type { SyncAction } from "../../core/actions/sync.ts";
import type { ChainEvent } from "../../core/actions.ts";
import type { Tip } from "../../core/block.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { Path, SnapshotStage } from "../../core/sync.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { enterBlocks } from "./blocks.ts";
import { progress, stageOf } from "./pursuit.ts";

/** 7.8: a node that has fallen too far behind streams the ledger of an ancestor and goes on from there. */

type SnapshotAction = Extract<SyncAction, { type: "sync/snapshotFetched" | "sync/snapshotFailed" }>;
type SnapshotApplied = Extract<ChainEvent, { type: "event/snapshotApplied" }>;

export const snapshot: Rules<SnapshotAction | SnapshotApplied> = {
  "sync/snapshotFetched": {
    enabled: (state, { root }) => {
      const stage = stageOf(state, "snapshot");
      return stage?.anchor.ledgerRoot === root && !stage.isFetched;
    },
    reduce: (draft, _fetched, { effect }) => {
      const stage = stageOf(draft, "snapshot");
      if (stage === undefined) return;
      progress(draft, { ...stage, isFetched: true });
      effect({ type: "effect/applySnapshot", tip: stage.anchor });
    },
  },

  "sync/snapshotFailed": {
    enabled: (state, { root }) => stageOf(state, "snapshot")?.anchor.ledgerRoot === root,
    reduce: (draft, { root }, { propose }) => {
      const hash = draft.sync.pursuit?.tip.hash;
      if (hash !== undefined) propose({ type: "sync/giveUp", hash, detail: `nobody has the ledger ${root}` });
    },
  },

  "event/snapshotApplied": {
    enabled: (state, { hash }) => {
      const stage = stageOf(state, "snapshot");
      return stage?.anchor.hash === hash && stage.isFetched;
    },
    reduce: (draft, { hash, verdict }, { propose }) => {
      const { pursuit } = draft.sync;
      const stage = stageOf(draft, "snapshot");
      if (pursuit === null || stage === undefined) return;
      if (verdict.tag === "invalid") {
        propose({
          type: "sync/condemn",
          hash: pursuit.tip.hash,
          detail: `the ledger of ${hash}: ${verdict.detail}`,
        });
      } else if (verdict.tag === "notNow") {
        propose({
          type: "sync/giveUp",
          hash: pursuit.tip.hash,
          detail: `the ledger of ${hash}: ${verdict.detail}`,
        });
      } else {
        const { parent, height, ledgerRoot } = stage.anchor;
        draft.chain = { ...draft.chain, blocks: draft.chain.blocks.set(hash, { parent, height }) };
        enterBlocks(draft, stage.path);
        propose({ type: "stream/abandon", root: ledgerRoot });
        propose({ type: "sync/proceed" });
      }
    },
  },
};

export function enterSnapshot(draft: StateDraft, anchor: Tip, path: Path, { propose }: Context): void {
  const above = SortedMap.from([...path.entries(anchor.height + 1)]);
  progress(draft, { tag: "snapshot", anchor, path: above, stored: 0, isFetched: false });
  propose({ type: "stream/fetch", root: anchor.ledgerRoot });
}

/** Every chunk that was stored is progress. The stream itself changes from peer to peer. */
export function watchSnapshot(draft: StateDraft, stage: SnapshotStage, { propose }: Context): void {
  const { anchor, isFetched } = stage;
  if (isFetched) return;
  const { download } = draft;
  const stored = download?.root === anchor.ledgerRoot ? download.stored : 0;
  if (stored > stage.stored) progress(draft, { ...stage, stored });
  // Declined while it is under way, or while something else is.
  propose({ type: "stream/fetch", root: anchor.ledgerRoot });
}
