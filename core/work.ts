import type { Hash, JobId } from "./ids.ts";

/** What a node makes itself: blocks, and proofs of jobs. */
export interface WorkState {
  /** Blocks are made in the slots that are ours. */
  readonly isProducing: boolean;
  readonly isWorking: boolean;
  /** The jobs that we have promised, oldest first; at most one of them is being proved. */
  readonly jobs: readonly ChosenJob[];
  /** What a proof has taken lately, ms; null before the first. */
  readonly proofMs: number | null;
  readonly counts: WorkCounts;
}

export interface ChosenJob {
  readonly jobId: JobId;
  readonly stage:
    | { readonly tag: "committing" }
    /** Our word is out; it is given time to spread before the proof is begun. */
    | { readonly tag: "committed"; readonly hash: Hash; readonly sinceMs: number }
    | { readonly tag: "proving"; readonly hash: Hash; readonly sinceMs: number };
}

export interface WorkCounts {
  readonly blocks: number;
  readonly begun: number;
  readonly made: number;
  /** Begun, and given up because somebody else was first. */
  readonly abandoned: number;
}

export const freshWork = (isProducing: boolean, isWorking: boolean): WorkState => ({
  isProducing,
  isWorking,
  jobs: [],
  proofMs: null,
  counts: { blocks: 0, begun: 0, made: 0, abandoned: 0 },
});
