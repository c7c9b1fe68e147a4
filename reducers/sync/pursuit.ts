import type { Tip } from "../../core/block.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { CheckId, Hash, PeerId } from "../../core/ids.ts";
import { SYNC_LOOK_MS, SYNC_STALLED_MS } from "../../core/limits.ts";
import type { State } from "../../core/state.ts";
import type { BlocksStage, Pursuit, Stage, Sync, SyncBlock } from "../../core/sync.ts";
import type { StateDraft } from "../rules.ts";
import { wakeAt } from "../state.ts";

/** Reading and replacing the pursuit of a tip: what the files of sync share. */

export function updateSync(draft: StateDraft, change: Partial<Sync>): void {
  draft.sync = { ...draft.sync, ...change };
}

export function updatePursuit(draft: StateDraft, change: Partial<Pursuit>): void {
  const { pursuit } = draft.sync;
  if (pursuit !== null) updateSync(draft, { pursuit: { ...pursuit, ...change } });
}

/** The pursued tip has come nearer: by what its peers cannot repeat for ever. */
export const progress = (draft: StateDraft, stage: Stage): void =>
  updatePursuit(draft, { stage, progressMs: draft.timeMs });

export function stageOf<Tag extends Stage["tag"]>(
  { sync }: State,
  tag: Tag,
): Extract<Stage, { tag: Tag }> | undefined {
  const stage = sync.pursuit?.stage;
  return stage?.tag === tag ? (stage as Extract<Stage, { tag: Tag }>) : undefined;
}

export function drawCheckId(draft: StateDraft): CheckId {
  const { nextCheckId } = draft.sync;
  updateSync(draft, { nextCheckId: nextCheckId + 1 });
  return nextCheckId as CheckId;
}

export function updateBlock(
  draft: StateDraft,
  height: number,
  change: (block: SyncBlock) => SyncBlock,
): void {
  const stage = stageOf(draft, "blocks");
  if (stage !== undefined)
    updatePursuit(draft, { stage: { ...stage, blocks: stage.blocks.update(height, change) } });
}

/** What is prepared for the pursuit and not being applied: the chain holds it for nobody else. */
export function preparedHashes({ sync }: State): readonly Hash[] {
  if (sync.pursuit?.stage.tag !== "blocks") return [];
  const hashes: Hash[] = [];
  for (const { hash, body } of sync.pursuit.stage.blocks.values()) {
    if (body.tag !== "wanted" && hash !== sync.applying?.hash) hashes.push(hash);
  }
  return hashes;
}

/** It waits for peers, and for SYNC_STALLED_MS nothing has come that counts. */
export function isStalled({ sync, timeMs }: State): boolean {
  const { pursuit } = sync;
  if (pursuit === null || timeMs < pursuit.progressMs + SYNC_STALLED_MS) return false;
  return !waitsForChain(sync, pursuit.stage);
}

function waitsForChain({ applying }: Sync, stage: Stage): boolean {
  switch (stage.tag) {
    case "checking":
    case "applied":
      return true;
    case "headers":
      return stage.checking !== null;
    case "snapshot":
      return stage.isFetched;
    case "blocks":
      return applying !== null || isPreparing(stage);
  }
}

function isPreparing({ blocks }: BlocksStage): boolean {
  const lowest = blocks.first()?.[1];
  return lowest?.body.tag === "preparing";
}

/** A better tip is coming nearer, so building on ours is in vain. A tip that is withheld counts only until it stalls. */
export const isCatchingUp = ({ sync, timeMs }: State): boolean =>
  sync.pursuit !== null && timeMs < sync.pursuit.progressMs + SYNC_STALLED_MS;

/** The pursuit looks after itself again when it may be stalled, or when slots may have become free. */
export function lookAgain(draft: StateDraft): void {
  const { pursuit } = draft.sync;
  if (pursuit === null) return;
  const stalledMs = pursuit.progressMs + SYNC_STALLED_MS;
  const nextMs = draft.timeMs + SYNC_LOOK_MS;
  const atMs = stalledMs > draft.timeMs ? Math.min(stalledMs, nextMs) : nextMs;
  wakeAt(draft, "sync", atMs, { type: "sync/proceed" });
}

const isBetterThanOurs = ({ chain, config }: State, tip: Tip): boolean =>
  isBetterTip(tip, chain.tip, config.chain);

/**
 * Better than ours, and not a tip that was ours: the order is not transitive, and three may beat each other (P31). Where
 * one is built on the other densities do not count: they may prefer the older one soon after an epoch has begun.
 */
export function isWanted(state: State, tip: Tip): boolean {
  const { chain, config, sync } = state;
  const isBetter = chain.tip.hash === config.chain.genesis.hash || isBetterThanOurs(state, tip);
  // Last, as walking down our chain takes long.
  return isBetter && !sync.left.includes(tip.hash) && !isBelowOurs(state, tip);
}

/** Our tip, or what it is built on. */
export function isBelowOurs({ chain, config }: State, { hash, height }: Tip): boolean {
  if (hash === chain.tip.hash || hash === config.chain.genesis.hash) return true;
  if (!chain.blocks.has(hash)) return false;
  let block = chain.blocks.get(chain.tip.hash);
  while (block !== undefined && block.height > height) {
    if (block.parent === hash) return true;
    block = chain.blocks.get(block.parent);
  }
  return false;
}

/** Tips as live peers announced them last, by peer. */
export function* receivedTips({ peers }: State): Iterable<readonly [PeerId, Tip]> {
  for (const [peerId, { live }] of peers.entries()) {
    const tip = live?.bestTip?.received ?? null;
    if (tip !== null) yield [peerId, tip];
  }
}
