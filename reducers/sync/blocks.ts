import type { ChainEvent } from "../../core/actions.ts";
import { blockHash, bodyRoot } from "../../core/block.ts";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { Hash, PeerId } from "../../core/ids.ts";
import { SYNC_AHEAD_MAX } from "../../core/limits.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { State } from "../../core/state.ts";
import type { BlocksStage, Path, Pursuit, SyncBlock } from "../../core/sync.ts";
import { accuse } from "../channels/violation.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { livePeer } from "../state.ts";
import { forgetBlocks, isCrowded } from "./forgetting.ts";
import { askItems } from "./items.ts";
import { progress, stageOf, updateBlock, updatePursuit, updateSync } from "./pursuit.ts";
import { ask, beginRound, isAnybodyFree, isAnybodyLeft, isAskedRecently, type Round } from "./servers.ts";

/** 7.3, 7.7: the blocks of the path are fetched in parallel, a few ahead of the one that is applied next. */

type BlockEvent = Extract<ChainEvent, { type: "event/blockPrepared" | "event/blockApplied" }>;

export const blocks: Rules<BlockEvent> = {
  "event/blockPrepared": {
    enabled: (state, { hash }) => find(state, hash)?.[1].body.tag === "preparing",
    reduce: (draft, { hash, missing }, { propose }) => {
      const [height] = find(draft, hash) ?? [];
      if (height === undefined) return;
      const hashes = SortedMap.from(missing.map((item) => [item.hash, item.pool] as const));
      updateBlock(draft, height, (block) => ({
        ...block,
        failed: [],
        body:
          hashes.size === 0 ? { tag: "complete" } : { tag: "lacking", missing: hashes, counted: hashes.size },
      }));
      noteProgress(draft);
      propose({ type: "sync/proceed" });
    },
  },

  "event/blockApplied": {
    enabled: (state, { hash }) => state.sync.applying?.hash === hash,
    reduce: (draft, { hash, verdict }, context) => {
      const { applying, pursuit } = draft.sync;
      if (applying === null) return;
      const [height] = find(draft, hash) ?? [];
      updateSync(draft, { applying: null });
      if (verdict.tag === "valid") {
        learn(draft, applying);
        if (height !== undefined) dropApplied(draft, height);
        if (isCrowded(draft)) forgetBlocks(draft, context);
        context.propose({ type: "sync/proceed" });
        return;
      }
      // What is on the path is forgotten with the pursuit.
      if (height === undefined) context.effect({ type: "effect/forgetBlocks", hashes: [hash] });
      const detail = `block ${hash}: ${verdict.detail}`;
      if (verdict.tag === "invalid") context.propose({ type: "sync/condemn", hash, detail });
      else if (height !== undefined && pursuit !== null) {
        context.propose({ type: "sync/giveUp", hash: pursuit.tip.hash, detail });
      }
    },
  },
};

/** @param path down to the child of a block that we have; empty if the tip itself is applied */
export function enterBlocks(draft: StateDraft, path: Path): void {
  const lowest = path.first()?.[0];
  if (lowest === undefined) {
    progress(draft, { tag: "applied" });
    return;
  }
  const wanted = [...path.entries()].map(
    ([height, block]) => [height, { ...block, failed: [], body: { tag: "wanted" } } as SyncBlock] as const,
  );
  progress(draft, { tag: "blocks", blocks: SortedMap.from(wanted) });
  updatePursuit(draft, { fromHeight: lowest - 1 });
}

/** Applies what is next, and asks for what is missing of it and of those after it. */
export function fetchBlocks(draft: StateDraft, pursuit: Pursuit, stage: BlocksStage, context: Context): void {
  const [height, next] = stage.blocks.first() ?? [];
  if (height === undefined || next === undefined) return;
  if (draft.chain.blocks.has(next.hash)) {
    // Applied for an earlier pursuit.
    dropApplied(draft, height);
    context.propose({ type: "sync/proceed" });
    return;
  }
  if (!draft.chain.blocks.has(next.parent)) {
    const detail = `block ${next.parent} was forgotten`;
    context.propose({ type: "sync/giveUp", hash: pursuit.tip.hash, detail });
    return;
  }
  if (next.body.tag === "complete" && draft.sync.applying === null) {
    const { hash, parent } = next;
    updateSync(draft, { applying: { hash, parent, height } });
    context.effect({ type: "effect/applyBlock", hash });
  }
  const round = beginRound(draft, pursuit);
  if (
    needsPeers(next) &&
    next.hash !== draft.sync.applying?.hash &&
    !isAnybodyLeft(round, height, next.failed)
  ) {
    const detail = `nobody has all of block ${next.hash}`;
    context.propose({ type: "sync/giveUp", hash: pursuit.tip.hash, detail });
    return;
  }
  askAhead(draft, stage, round, context);
}

/** @param response null, or one that fits the request */
export function acceptBlock(
  draft: StateDraft,
  peerId: PeerId,
  { hash }: Extract<RpcRequest, { tag: "block" }>,
  response: RpcResponse | null,
  context: Context,
): void {
  if (response?.tag === "block" && !isBlock(hash, response)) {
    const attemptId = livePeer(draft, peerId)?.attemptId;
    const detail = `what was served as block ${hash} is not it`;
    if (attemptId !== undefined) accuse(attemptId, "rpc", { reason: "itemMismatch", detail }, context);
    return;
  }
  const [height, block] = find(draft, hash) ?? [];
  if (height === undefined || block?.body.tag !== "wanted") return;
  if (response?.tag !== "block") {
    updateBlock(draft, height, (wanted) => ({ ...wanted, failed: [...wanted.failed, peerId] }));
    return;
  }
  updateBlock(draft, height, (wanted) => ({ ...wanted, failed: [], body: { tag: "preparing" } }));
  noteProgress(draft);
  const { header, body } = response;
  context.effect({ type: "effect/prepareBlock", hash, block: { header, body } });
}

function askAhead(draft: StateDraft, { blocks }: BlocksStage, round: Round, context: Context): void {
  let ahead = 0;
  for (const [height, block] of blocks.entries()) {
    ahead += 1;
    if (ahead > SYNC_AHEAD_MAX || !isAnybodyFree(round)) return;
    const { hash, body, failed } = block;
    if (hash === draft.sync.applying?.hash) continue;
    if (body.tag === "wanted" && !isAskedRecently(round, "block", hash)) {
      ask(round, { body: { tag: "block", hash }, height, failed }, context);
    } else if (body.tag === "lacking") {
      askItems(draft, round, height, block, body.missing, context);
    }
  }
}

const needsPeers = ({ body }: SyncBlock): boolean => body.tag === "wanted" || body.tag === "lacking";

const isBlock = (hash: Hash, { header, body }: Extract<RpcResponse, { tag: "block" }>): boolean =>
  blockHash(header) === hash && bodyRoot(body) === header.bodyRoot;

/** Only the lowest blocks are more than wanted. */
function find(state: State, hash: Hash): readonly [number, SyncBlock] | undefined {
  let ahead = 0;
  for (const entry of stageOf(state, "blocks")?.blocks.entries() ?? []) {
    ahead += 1;
    if (entry[1].hash === hash) return entry;
    if (ahead === SYNC_AHEAD_MAX) return undefined;
  }
  return undefined;
}

function learn(
  draft: StateDraft,
  { hash, parent, height }: { hash: Hash; parent: Hash; height: number },
): void {
  draft.chain = { ...draft.chain, blocks: draft.chain.blocks.set(hash, { parent, height }) };
}

function dropApplied(draft: StateDraft, height: number): void {
  const { pursuit } = draft.sync;
  const stage = stageOf(draft, "blocks");
  if (pursuit === null || stage === undefined) return;
  const left = stage.blocks.delete(height);
  updatePursuit(draft, { applied: pursuit.applied + 1 });
  progress(draft, left.size === 0 ? { tag: "applied" } : { ...stage, blocks: left });
}

function noteProgress(draft: StateDraft): void {
  updatePursuit(draft, { progressMs: draft.timeMs });
}
