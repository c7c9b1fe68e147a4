import type { WorkAction } from "../core/actions/work.ts";
import type { ChainEvent } from "../core/actions.ts";
import type { BlockHeader } from "../core/block.ts";
import type { ChainParameters } from "../core/chain.ts";
import { itemHash } from "../core/hash.ts";
import type { Hash, JobId } from "../core/ids.ts";
import {
  BLOCK_SNARKS_MAX,
  BLOCK_TRANSACTIONS_MAX,
  COMMITMENT_PATIENCE_MS,
  COMMITMENT_SPREAD_MS,
  JOBS_AHEAD_MAX,
  JOBS_CONSIDERED_MAX,
  PRODUCE_BEHIND_MAX,
  WORK_RETRY_MS,
} from "../core/limits.ts";
import { commitmentHash, entryFor } from "../core/pools.ts";
import { feeClass } from "../core/priority.ts";
import { drawInt } from "../core/rng.ts";
import type { State } from "../core/state.ts";
import type { ChosenJob, WorkCounts } from "../core/work.ts";
import { put } from "./pools.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { wakeAt } from "./state.ts";
import { isCatchingUp } from "./sync/pursuit.ts";

/**
 * What a node makes itself. A producer makes blocks out of its pools in the slots that are its own. A worker makes
 * proofs: it says first which one (7.6), lets that spread, and keeps away from what others have said, so that workers
 * do not make the same proof.
 */

type Made = Extract<ChainEvent, { type: "event/commitmentSigned" | "event/snarkMade" }>;

export const work: Rules<WorkAction | Made> = {
  "work/produce": {
    enabled: (state) => state.work.isProducing && !state.stopping,
    reduce: (draft, _action, { effect }) => {
      wakeForSlot(draft);
      const slot = slotAt(draft.config.chain, draft.timeMs);
      const { tip } = draft.chain;
      // Far behind, it would only make a fork that nobody wants.
      const behind = (draft.sync.pursuit?.tip.height ?? 0) - tip.height;
      if (behind > PRODUCE_BEHIND_MAX && isCatchingUp(draft)) return;
      if (slot <= tip.slot) return;
      const [transactions, snarks] = [blockTransactions(draft), blockSnarks(draft)];
      effect({ type: "effect/produceBlock", parent: tip.hash, slot, transactions, snarks });
    },
  },

  "work/choose": {
    enabled: (state) => state.work.isWorking && !state.stopping && state.work.jobs.length < aheadOf(state),
    reduce: (draft, _action, { effect }) => {
      const fee = draft.config.workFee ?? 0n;
      const open = [...openJobs(draft, fee)];
      while (open.length > 0 && draft.work.jobs.length < aheadOf(draft)) {
        const [jobId] = open.splice(drawInt(draft, open.length), 1);
        if (jobId === undefined) break;
        const job = { jobId, stage: { tag: "committing" } } as const;
        draft.work = { ...draft.work, jobs: [...draft.work.jobs, job] };
        effect({ type: "effect/signCommitment", jobId, fee, issuedAt: BigInt(draft.timeMs) });
      }
      if (draft.chain.jobs.size > draft.work.jobs.length)
        wakeAt(draft, "work", draft.timeMs + WORK_RETRY_MS, { type: "work/choose" });
    },
  },

  "event/commitmentSigned": {
    enabled: (state, { commitment }) => jobOf(state, commitment.jobId)?.stage.tag === "committing",
    reduce: (draft, { commitment }, context) => {
      const { jobId } = commitment;
      const stage = { tag: "committed", hash: commitmentHash(commitment), sinceMs: draft.timeMs } as const;
      setStage(draft, jobId, stage);
      put(draft, "snark-job-commitment", entryFor(commitment, draft.timeMs), context);
      context.propose({ type: "work/review" });
      context.propose({ type: "work/begin" });
    },
  },

  "work/begin": {
    enabled: ({ work: { jobs }, stopping }) =>
      !stopping &&
      jobs.some(({ stage }) => stage.tag === "committed") &&
      !jobs.some(({ stage }) => stage.tag === "proving"),
    reduce: (draft, _action, { effect }) => {
      for (const { jobId, stage } of draft.work.jobs) {
        if (stage.tag !== "committed") continue;
        const dueMs = stage.sinceMs + COMMITMENT_SPREAD_MS;
        if (dueMs > draft.timeMs) {
          wakeAt(draft, "prove", dueMs, { type: "work/begin" });
          return;
        }
        setStage(draft, jobId, { tag: "proving", hash: stage.hash, sinceMs: draft.timeMs });
        count(draft, "begun");
        effect({ type: "effect/makeSnark", jobId, fee: draft.config.workFee ?? 0n });
        return;
      }
    },
  },

  "work/review": {
    enabled: (state) => state.work.jobs.some((job) => isTaken(state, job)),
    reduce: (draft, _action, context) => {
      keepJobs(draft, (job) => !isTaken(draft, job), context);
    },
  },

  "event/snarkMade": {
    enabled: (state, { jobId }) => jobOf(state, jobId)?.stage.tag === "proving",
    reduce: (draft, { jobId, bytes }, { dispatch, propose }) => {
      const stage = jobOf(draft, jobId)?.stage;
      if (stage?.tag !== "proving") return;
      count(draft, "made");
      const { proofMs, jobs } = draft.work;
      const tookMs = draft.timeMs - stage.sinceMs;
      draft.work = {
        ...draft.work,
        // The last few count most; whole milliseconds, for no state holds fractions.
        proofMs: proofMs === null ? tookMs : Math.round((3 * proofMs + tookMs) / 4),
        jobs: jobs.filter((job) => job.jobId !== jobId),
      };
      const items = [{ hash: itemHash(bytes) as Hash, bytes }];
      dispatch({ type: "fetch/verify", peerId: null, pool: "snark", items, requestId: null });
      propose({ type: "work/choose" });
      propose({ type: "work/begin" });
    },
  },
};

/** Turns SNARK work off or on. A proof under way is given up; commitments already made stay. */
export function setWorking(draft: StateDraft, isOn: boolean, context: Context): void {
  draft.work = { ...draft.work, isWorking: isOn && draft.config.workFee !== null };
  if (!draft.work.isWorking) keepJobs(draft, () => false, context);
  context.propose({ type: "work/choose" });
}

/** When the node begins, or is told to produce. */
export function wakeForSlot(draft: StateDraft): void {
  const { chain } = draft.config;
  const atMs = chain.genesisMs + (slotAt(chain, draft.timeMs) + 1) * chain.slotMs;
  wakeAt(draft, "slot", atMs, { type: "work/produce" });
}

/** Our block was applied to the tree: counted for the operator. */
export function noteProduced(draft: StateDraft, header: BlockHeader | null): void {
  if (header !== null) count(draft, "blocks");
}

const slotAt = ({ genesisMs, slotMs }: ChainParameters, timeMs: number): number =>
  Math.floor((timeMs - genesisMs) / slotMs);

/**
 * The best first. What has just come waits for a moment: of one sender a higher nonce may have overtaken a lower one,
 * which a block with the higher one would make invalid.
 */
function blockTransactions({ pools, config, timeMs }: State): readonly Hash[] {
  const { entries, byPriority } = pools.transaction;
  const chosen: Hash[] = [];
  for (const hash of byPriority.values()) {
    if (chosen.length === BLOCK_TRANSACTIONS_MAX) break;
    const addedMs = entries.get(hash)?.addedMs ?? timeMs;
    if (addedMs <= timeMs - config.chain.slotMs / 3) chosen.push(hash);
  }
  return chosen;
}

/** For the jobs that have waited longest. */
function blockSnarks({ chain, pools }: State): readonly Hash[] {
  const chosen: Hash[] = [];
  for (const jobId of chain.jobs.values()) {
    if (chosen.length === BLOCK_SNARKS_MAX) break;
    const hash = pools.snark.bySlot.get(jobId);
    if (hash !== undefined) chosen.push(hash);
  }
  return chosen;
}

/** The oldest jobs for which nobody has, or has lately promised, work that is at least as cheap. */
function openJobs(state: State, fee: bigint): readonly JobId[] {
  const open: JobId[] = [];
  for (const jobId of state.chain.jobs.values()) {
    if (open.length === JOBS_CONSIDERED_MAX) break;
    if (jobOf(state, jobId) !== undefined) continue;
    if (!isOffered(state, jobId, fee) && !isPromised(state, jobId, fee)) open.push(jobId);
  }
  return open;
}

function isOffered({ pools }: State, jobId: JobId, fee: bigint): boolean {
  const hash = pools.snark.bySlot.get(jobId);
  const info = hash === undefined ? undefined : pools.snark.entries.get(hash)?.info;
  return info !== undefined && feeClass(info.fee) <= feeClass(fee);
}

function isPromised({ pools, timeMs }: State, jobId: JobId, fee: bigint): boolean {
  const promises = pools["snark-job-commitment"];
  const hash = promises.bySlot.get(jobId);
  const info = hash === undefined ? undefined : promises.entries.get(hash)?.info;
  if (info === undefined || Number(info.issuedAt) + COMMITMENT_PATIENCE_MS < timeMs) return false;
  return feeClass(info.fee) <= feeClass(fee);
}

/**
 * The job is gone, done, or promised by somebody whose commitment has the higher priority (section 6) and is not too old.
 * One that is too old may still hold the job's slot in the pool and keep ours out: the work is done all the same.
 */
function isTaken(state: State, { jobId, stage }: ChosenJob): boolean {
  const fee = state.config.workFee ?? 0n;
  if (!state.chain.jobNumbers.has(jobId) || isOffered(state, jobId, fee)) return true;
  if (stage.tag === "committing") return false;
  const isOurs = state.pools["snark-job-commitment"].bySlot.get(jobId) === stage.hash;
  return !isOurs && isPromised(state, jobId, fee);
}

/**
 * As many jobs are promised at once as can be proved while a commitment spreads, so that the next one is always ready
 * to begin. A slow worker keeps few jobs from the others.
 */
function aheadOf({ work: { proofMs } }: State): number {
  if (proofMs === null) return 2;
  return Math.min(JOBS_AHEAD_MAX, 2 + Math.ceil(COMMITMENT_SPREAD_MS / Math.max(1, proofMs)));
}

const jobOf = ({ work: { jobs } }: State, jobId: JobId): ChosenJob | undefined =>
  jobs.find((job) => job.jobId === jobId);

function setStage(draft: StateDraft, jobId: JobId, stage: ChosenJob["stage"]): void {
  const jobs = draft.work.jobs.map((job) => (job.jobId === jobId ? { jobId, stage } : job));
  draft.work = { ...draft.work, jobs };
}

function keepJobs(
  draft: StateDraft,
  isKept: (job: ChosenJob) => boolean,
  { effect, propose }: Context,
): void {
  const { jobs } = draft.work;
  const kept = jobs.filter(isKept);
  if (jobs.some((job) => job.stage.tag === "proving" && !kept.includes(job))) {
    count(draft, "abandoned");
    effect({ type: "effect/abandonSnark" });
  }
  draft.work = { ...draft.work, jobs: kept };
  propose({ type: "work/choose" });
  propose({ type: "work/begin" });
}

function count(draft: StateDraft, what: keyof WorkCounts): void {
  const { counts } = draft.work;
  draft.work = { ...draft.work, counts: { ...counts, [what]: counts[what] + 1 } };
}
