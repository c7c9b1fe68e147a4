import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import { itemHash } from "../../core/hash.ts";
import type { Hash, PeerId } from "../../core/ids.ts";
import { RPC_HASHES_MAX } from "../../core/limits.ts";
import { FETCHED_POOLS } from "../../core/pools.ts";
import type { ItemBytes } from "../../core/services.ts";
import type { State } from "../../core/state.ts";
import type { SyncBlock } from "../../core/sync.ts";
import { accuse } from "../channels/violation.ts";
import type { Context, StateDraft } from "../rules.ts";
import { livePeer } from "../state.ts";
import { stageOf, updateBlock, updatePursuit } from "./pursuit.ts";
import { ask, isAnybodyFree, isAskedRecently, type Round } from "./servers.ts";

/** 7.7: what a block refers to and we lack is fetched by hash, in small parts from several peers at once. */

type ItemsRequest = Extract<RpcRequest, { tag: "transactions" | "snarks" }>;
type Lacking = Extract<SyncBlock["body"], { tag: "lacking" }>;
type Missing = Lacking["missing"];

const TAGS = { transaction: "transactions", snark: "snarks" } as const;

export function askItems(
  state: State,
  round: Round,
  height: number,
  { failed }: SyncBlock,
  missing: Missing,
  context: Context,
): void {
  for (const pool of FETCHED_POOLS) {
    const tag = TAGS[pool];
    let hashes: Hash[] = [];
    const askThese = (): void => {
      if (hashes.length > 0) ask(round, { body: { tag, hashes }, height, failed }, context);
      hashes = [];
    };
    for (const [hash, itsPool] of missing.entries()) {
      if (!isAnybodyFree(round)) return;
      // What the pools have fetched and the chain is looking at will be there in a moment.
      const isVerified = state.fetches.get(hash)?.stage.tag === "verifying";
      if (itsPool === pool && !isVerified && !isAskedRecently(round, tag, hash)) hashes.push(hash);
      if (hashes.length === RPC_HASHES_MAX) askThese();
    }
    askThese();
  }
}

/** @param response null, or one that fits the request */
export function acceptItems(
  draft: StateDraft,
  peerId: PeerId,
  { hashes }: ItemsRequest,
  response: RpcResponse | null,
  context: Context,
): void {
  const found = response?.tag === "items" ? response.found : null;
  const items: ItemBytes[] = [];
  const refused: Hash[] = [];
  for (const [index, hash] of hashes.entries()) {
    const entry = found?.[index];
    if (entry?.tag === "some" && itemHash(entry.bytes) !== hash) {
      const attemptId = livePeer(draft, peerId)?.attemptId;
      const detail = `served bytes that are not ${hash}`;
      if (attemptId !== undefined) accuse(attemptId, "rpc", { reason: "itemMismatch", detail }, context);
      return;
    }
    if (entry?.tag === "some") items.push({ hash, bytes: entry.bytes });
    // What a shorter list leaves out did not fit, and is asked for again.
    else if (found === null || entry !== undefined) refused.push(hash);
  }
  for (const [height, block] of stageOf(draft, "blocks")?.blocks.entries() ?? []) {
    if (block.body.tag !== "lacking") continue;
    const { missing } = block.body;
    const got = items.filter(({ hash }) => missing.has(hash));
    if (got.length > 0) supply(draft, height, block, got, context);
    if (refused.some((hash) => missing.has(hash))) {
      updateBlock(draft, height, (lacking) => ({ ...lacking, failed: [...lacking.failed, peerId] }));
    }
  }
}

/** The pools have got items that blocks lack: the chain keeps what is valid. */
export function noteKept(draft: StateDraft, hash: Hash): void {
  for (const [height, { body }] of stageOf(draft, "blocks")?.blocks.entries() ?? []) {
    if (body.tag === "lacking" && body.missing.has(hash))
      setMissing(draft, height, body, body.missing.delete(hash));
  }
}

function supply(
  draft: StateDraft,
  height: number,
  { hash, body }: SyncBlock,
  items: readonly ItemBytes[],
  { effect }: Context,
): void {
  if (body.tag !== "lacking") return;
  let { missing } = body;
  for (const item of items) missing = missing.delete(item.hash);
  setMissing(draft, height, body, missing);
  effect({ type: "effect/supplyItems", hash, items });
}

function setMissing(draft: StateDraft, height: number, body: Lacking, missing: Missing): void {
  // Halving can happen a few times only: who serves one item now and then does not hold up the pursuit.
  const isProgress = missing.size * 2 <= body.counted;
  const counted = isProgress ? missing.size : body.counted;
  updateBlock(draft, height, (block) => ({
    ...block,
    body: missing.size === 0 ? { tag: "complete" } : { tag: "lacking", missing, counted },
  }));
  if (isProgress) updatePursuit(draft, { progressMs: draft.timeMs });
}
