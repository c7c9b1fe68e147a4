import type { Hash } from "../../core/ids.ts";
import { BLOCKS_FORGOTTEN_MAX, SIDE_BLOCKS_MAX } from "../../core/limits.ts";
import type { State } from "../../core/state.ts";
import type { Context, StateDraft } from "../rules.ts";
import { stageOf } from "./pursuit.ts";

/**
 * Which applied blocks are kept: the best chain as deep as anybody may ask for or it may be undone, and beside it a
 * bounded number. Who wins one slot can make any number of blocks for it.
 */
export function forgetBlocks(draft: StateDraft, { effect }: Context): void {
  const hashes = forgettable(draft).slice(0, BLOCKS_FORGOTTEN_MAX);
  if (hashes.length === 0) return;
  let { blocks } = draft.chain;
  for (const hash of hashes) blocks = blocks.delete(hash);
  draft.chain = { ...draft.chain, blocks };
  effect({ type: "effect/forgetBlocks", hashes });
}

/** More blocks than there can be with so many beside the best chain. */
export const isCrowded = ({ chain, sync }: State): boolean =>
  chain.blocks.size > chain.tip.height - sync.keptHeight + 1 + SIDE_BLOCKS_MAX;

/** The lowest first. */
function forgettable(state: State): readonly Hash[] {
  const { chain, sync } = state;
  const best = ancestry(state, chain.tip.hash);
  // What is being caught up with is applied on these.
  const pursued = ancestry(state, stageOf(state, "blocks")?.blocks.first()?.[1].parent);
  const old: [Hash, number][] = [];
  const idle: [Hash, number][] = [];
  let beside = 0;
  for (const [hash, { height }] of chain.blocks.entries()) {
    if (height < sync.keptHeight) old.push([hash, height]);
    else if (!best.has(hash)) {
      beside += 1;
      if (!pursued.has(hash)) idle.push([hash, height]);
    }
  }
  const lowestFirst = ([, a]: [Hash, number], [, b]: [Hash, number]): number => a - b;
  const tooMany = idle.sort(lowestFirst).slice(0, Math.max(0, beside - SIDE_BLOCKS_MAX));
  return [...old.sort(lowestFirst), ...tooMany].map(([hash]) => hash);
}

function ancestry({ chain }: State, from: Hash | undefined): ReadonlySet<Hash> {
  const hashes = new Set<Hash>();
  for (let hash = from; hash !== undefined; hash = chain.blocks.get(hash)?.parent) hashes.add(hash);
  return hashes;
}
