import type { Hex } from "../core/bytes.ts";
import type { JobId } from "../core/ids.ts";
import { encodeSnark } from "./sim-items.ts";

/** Makes one proof at a time, and counts what it costs: virtual time stands for work. */
export interface Prover {
  readonly make: (jobId: JobId, fee: bigint) => void;
  readonly abandon: () => void;
  readonly counts: ProofCounts;
}

export interface ProofCounts {
  readonly begun: number;
  readonly finished: number;
  readonly abandoned: number;
  /** Spent on proofs that were finished, and on those that were given up. */
  readonly finishedMs: number;
  readonly abandonedMs: number;
  /** Every proof that was finished, by its job. */
  readonly jobs: readonly JobId[];
}

export interface ProverOptions {
  readonly publicKey: Hex;
  /** How long the next proof takes. */
  readonly drawMs: () => number;
  /** Bytes of padding in a proof. */
  readonly size: number;
  readonly nowMs: () => number;
  readonly after: (delayMs: number, run: () => void) => void;
}

export function createProver(
  { publicKey, drawMs, size, nowMs, after }: ProverOptions,
  done: (jobId: JobId, bytes: Uint8Array) => void,
): Prover {
  const counts = { begun: 0, finished: 0, abandoned: 0, finishedMs: 0, abandonedMs: 0, jobs: [] as JobId[] };
  let current: { readonly jobId: JobId; readonly sinceMs: number } | null = null;

  function abandon(): void {
    if (current === null) return;
    counts.abandoned += 1;
    counts.abandonedMs += nowMs() - current.sinceMs;
    current = null;
  }

  return {
    counts,
    abandon,
    make: (jobId, fee) => {
      abandon();
      counts.begun += 1;
      const [proof, salt] = [{ jobId, sinceMs: nowMs() }, counts.begun];
      current = proof;
      after(drawMs(), () => {
        if (current !== proof) return;
        current = null;
        counts.finished += 1;
        counts.finishedMs += nowMs() - proof.sinceMs;
        counts.jobs.push(jobId);
        done(jobId, encodeSnark({ jobId, fee, prover: publicKey, verdict: "valid", salt, size }));
      });
    },
  };
}
