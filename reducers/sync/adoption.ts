import type { ChainEvent } from "../../core/actions.ts";
import { type Tip, tipOf } from "../../core/block.ts";
import type { TipChange } from "../../core/chain.ts";
import type { ChainState } from "../../core/chain-state.ts";
import type { PeerId } from "../../core/ids.ts";
import { BLOCKS_KEPT_MIN, TIPS_LEFT_MAX } from "../../core/limits.ts";
import { POOL_NAMES } from "../../core/pools.ts";
import type { State } from "../../core/state.ts";
import { isGateOpen } from "../gate.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { noteProduced } from "../work.ts";
import { endPursuit, forgetUnannounced, settleAllDecided } from "./candidates.ts";
import { forgetBlocks, isCrowded } from "./forgetting.ts";
import { isWanted, updateSync } from "./pursuit.ts";

/** An applied block becomes our best tip, and everybody is told (7.3). */

type AdoptionEvent = Extract<ChainEvent, { type: "event/tipAdopted" | "event/blockProduced" }>;

export const adoption: Rules<AdoptionEvent> = {
  "event/tipAdopted": {
    enabled: (state, { change }) => state.sync.adopting === change.tip.hash,
    reduce: (draft, { change }, context) => {
      const { pursuit, produced, left } = draft.sync;
      const { tip } = change;
      const { genesis } = draft.config.chain;
      const before = draft.chain.tip;
      const closed = closedGates(draft);
      draft.chain = withJobs({ ...draft.chain, tip }, change);
      updateSync(draft, {
        adopting: null,
        produced: null,
        left: change.extendsOld ? left : [...left, before.hash].slice(-TIPS_LEFT_MAX),
        keptHeight: Math.max(genesis.height, Math.min(tip.height - BLOCKS_KEPT_MIN, change.lockHeight)),
      });
      forgetBlocks(draft, context);
      context.propose({ type: "pool/followTip", change });
      for (const { peerId, live } of draft.peers.values()) {
        if (live !== null) context.propose({ type: "bestTip/announce", peerId });
      }
      for (const peerId of closed) openGate(draft, peerId, context);
      forgetUnannounced(draft);
      if (pursuit !== null && !isWanted(draft, pursuit.tip)) endPursuit(draft, context);
      else settleAllDecided(draft, context);
      if (produced !== null) adopt(draft, produced, context);
      context.propose({ type: "sync/consider" });
      context.propose({ type: "sync/proceed" });
    },
  },

  "event/blockProduced": {
    enabled: () => true,
    reduce: (draft, { header }, context) => {
      noteProduced(draft, header);
      if (header === null) return;
      const tip = tipOf(header);
      const { hash, parent, height } = tip;
      draft.chain = { ...draft.chain, blocks: draft.chain.blocks.set(hash, { parent, height }) };
      if (isCrowded(draft)) forgetBlocks(draft, context);
      if (draft.sync.adopting === null) adopt(draft, tip, context);
      else updateSync(draft, { produced: tip });
    },
  },
};

/** The pursued tip is applied: it becomes ours, unless ours is better by now. */
export function adoptPursued(draft: StateDraft, tip: Tip, context: Context): void {
  if (draft.sync.adopting !== null) return;
  if (isWanted(draft, tip)) adopt(draft, tip, context);
  else endPursuit(draft, context);
}

function adopt(draft: StateDraft, tip: Tip, { effect }: Context): void {
  if (!isWanted(draft, tip)) return;
  updateSync(draft, { adopting: tip.hash });
  effect({ type: "effect/adoptTip", hash: tip.hash });
}

/** Live peers that are offered nothing at present (7.4, Gate). */
function closedGates(state: State): readonly PeerId[] {
  const closed: PeerId[] = [];
  for (const { peerId, live } of state.peers.values())
    if (live !== null && !isGateOpen(state, peerId)) closed.push(peerId);
  return closed;
}

/** Rare, for our tip has become better: but the relation is not transitive. */
function openGate(state: State, peerId: PeerId, { propose }: Context): void {
  if (isGateOpen(state, peerId))
    for (const pool of POOL_NAMES) propose({ type: "pool/sendInfos", pool, peerId });
}

function withJobs(chain: ChainState, { jobsAdded, jobsRemoved }: TipChange): ChainState {
  let { jobs, jobNumbers, nextJob } = chain;
  for (const jobId of jobsRemoved) {
    const number = jobNumbers.get(jobId);
    if (number === undefined) continue;
    jobs = jobs.delete(number);
    jobNumbers = jobNumbers.delete(jobId);
  }
  for (const jobId of jobsAdded) {
    if (jobNumbers.has(jobId)) continue;
    jobs = jobs.set(nextJob, jobId);
    jobNumbers = jobNumbers.set(jobId, nextJob);
    nextJob += 1;
  }
  return { ...chain, jobs, jobNumbers, nextJob };
}
