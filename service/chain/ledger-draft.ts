import type { SnarkInfo } from "../../core/block.ts";
import type { Hex } from "../../core/bytes.ts";
import type { JobId } from "../../core/ids.ts";
import { type Account, isPending, type Ledger } from "./ledger.ts";
import type { Payment } from "./transfer.ts";
import { jobOf } from "./work.ts";

/** A ledger while a block changes it, step by step. A step that is refused changes nothing. */
export interface LedgerDraft {
  account(key: Hex): Account | undefined;
  readonly pendingJobs: number;
  /** Takes the proof of a pending job, which the creator pays for. @returns what forbids it, or null */
  takeSnark(snark: SnarkInfo): string | null;
  /** Moves amount and fee, and makes the job of the transaction. @returns what forbids it, or null */
  pay(payment: Payment): string | null;
  finish(): Ledger;
}

/** What the state of a sender has against a payment; null: nothing. Nonces may have gaps (section 6). */
export function refusalOf(account: Account | undefined, { nonce, amount, fee }: Payment): string | null {
  if (account === undefined) return "the sender has no account";
  if (nonce <= account.nonce) return `nonce ${nonce} is used; the next is ${account.nonce + 1}`;
  if (amount + fee > account.balance) return `amount and fee exceed the balance of ${account.balance}`;
  return null;
}

/** @param creator gets the fees of transactions and pays those of snarks */
export function openDraft(base: Ledger, creator: Hex, pendingJobsMax: number): LedgerDraft {
  // One write per account that changed, however often it did: the creator's changes with every item.
  const changed = new Map<Hex, Account>();
  const [proven, added] = [new Set<JobId>(), new Set<JobId>()];
  const account = (key: Hex): Account | undefined => changed.get(key) ?? base.accounts.get(key);
  const credit = (key: Hex, amount: bigint): void => {
    const { balance, nonce } = account(key) ?? { balance: 0n, nonce: 0 };
    changed.set(key, { balance: balance + amount, nonce });
  };
  const pendingJobs = (): number => base.jobs.size - proven.size + added.size;

  return {
    account,
    get pendingJobs() {
      return pendingJobs();
    },
    takeSnark: ({ jobId, fee, prover }) => {
      // Only jobs of earlier blocks: what a proof is worth must not depend on who makes the block.
      if (!isPending(base, jobId) || proven.has(jobId)) return "the job is not pending";
      const payer = account(creator) ?? { balance: 0n, nonce: 0 };
      if (fee > payer.balance) return `the fee exceeds the creator's balance of ${payer.balance}`;
      proven.add(jobId);
      credit(creator, -fee);
      credit(prover, fee);
      return null;
    },
    pay: (payment) => {
      const sender = account(payment.from);
      const refusal = refusalOf(sender, payment);
      if (refusal !== null || sender === undefined) return refusal;
      if (pendingJobs() >= pendingJobsMax) return `${pendingJobsMax} jobs are pending`;
      changed.set(payment.from, {
        balance: sender.balance - payment.amount - payment.fee,
        nonce: payment.nonce,
      });
      credit(payment.to, payment.amount);
      credit(creator, payment.fee);
      added.add(jobOf(payment.hash));
      return null;
    },
    finish: () => withChanges(base, changed, proven, added),
  };
}

function withChanges(
  base: Ledger,
  changed: ReadonlyMap<Hex, Account>,
  proven: ReadonlySet<JobId>,
  added: ReadonlySet<JobId>,
): Ledger {
  let { accounts, jobs, jobNumbers } = base;
  for (const [key, account] of changed) accounts = accounts.set(key, account);
  for (const jobId of proven) {
    const number = jobNumbers.get(jobId);
    if (number !== undefined) jobs = jobs.delete(number);
    jobNumbers = jobNumbers.delete(jobId);
  }
  for (const jobId of added) {
    const number = (jobs.last()?.[0] ?? 0) + 1;
    jobs = jobs.set(number, jobId);
    jobNumbers = jobNumbers.set(jobId, number);
  }
  return { accounts, jobs, jobNumbers };
}
