import type { SyncAction } from "../../core/actions/sync.ts";
import type { ChainEvent } from "../../core/actions.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { adoption, adoptPursued } from "./adoption.ts";
import { acceptBlock, blocks, fetchBlocks } from "./blocks.ts";
import { candidates } from "./candidates.ts";
import { acceptAncestry, askHeaders, headers } from "./headers.ts";
import { acceptItems, noteKept } from "./items.ts";
import { lookAgain } from "./pursuit.ts";
import { rest } from "./servers.ts";
import { snapshot, watchSnapshot } from "./snapshot.ts";

/**
 * 7.3: from an announced better tip to an adopted one. One tip is pursued at a time: its header is checked, the headers
 * down to a block that we have are fetched and checked, then the blocks and what they refer to; they are applied one
 * by one, and the last becomes our best tip. Whatever was found out, `sync/proceed` does what is next.
 */

type SyncEvent = Extract<
  ChainEvent,
  {
    type:
      | "event/headersVerified"
      | "event/blockPrepared"
      | "event/blockApplied"
      | "event/tipAdopted"
      | "event/blockProduced"
      | "event/snapshotApplied";
  }
>;

type Answered = Extract<SyncAction, { type: "sync/answered" }>;

export const sync: Rules<SyncAction | SyncEvent> = {
  ...candidates,
  ...headers,
  ...snapshot,
  ...blocks,
  ...adoption,

  "sync/proceed": {
    enabled: (state) => state.sync.pursuit !== null,
    reduce: (draft, _proceed, context) => {
      doNext(draft, context);
      lookAgain(draft);
      context.propose({ type: "sync/consider" });
    },
  },

  "sync/noteKept": {
    enabled: (state) => state.sync.pursuit?.stage.tag === "blocks",
    reduce: (draft, { hash }, { propose }) => {
      noteKept(draft, hash);
      propose({ type: "sync/proceed" });
    },
  },

  // Whatever became of the pursuit: what a peer says wrongly it has said.
  "sync/answered": {
    enabled: () => true,
    reduce: (draft, answered, context) => {
      if (answered.response?.tag === "busy") rest(draft, answered.peerId);
      else accept(draft, answered, context);
      context.propose({ type: "sync/proceed" });
    },
  },
};

function doNext(draft: StateDraft, context: Context): void {
  const { pursuit } = draft.sync;
  if (pursuit === null) return;
  const { stage, tip } = pursuit;
  switch (stage.tag) {
    case "checking":
      return;
    case "headers":
      askHeaders(draft, pursuit, stage, context);
      return;
    case "snapshot":
      watchSnapshot(draft, stage, context);
      return;
    case "blocks":
      fetchBlocks(draft, pursuit, stage, context);
      return;
    case "applied":
      adoptPursued(draft, tip, context);
  }
}

function accept(draft: StateDraft, { peerId, request, response }: Answered, context: Context): void {
  switch (request.tag) {
    case "ancestry":
      acceptAncestry(draft, peerId, request, response, context);
      return;
    case "block":
      acceptBlock(draft, peerId, request, response, context);
      return;
    case "transactions":
    case "snarks":
      acceptItems(draft, peerId, request, response, context);
  }
}
