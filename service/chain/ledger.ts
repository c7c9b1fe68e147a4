import type { Hex } from "../../core/bytes.ts";
import { decode, encode } from "../../core/codec/codec.ts";
import { hex, type Infer, struct, u32, u64, vec } from "../../core/codec/schema.ts";
import { itemHash } from "../../core/hash.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import { type Checked, invalid, sound } from "./verdicts.ts";

/** Amounts in the chain's smallest unit. */
export interface Account {
  readonly balance: bigint;
  /** The last nonce that was applied: it and all lower ones are used up. */
  readonly nonce: number;
}

/** The state after a block. Persistent: the ledgers of a hundred blocks share what did not change. */
export interface Ledger {
  readonly accounts: SortedMap<Hex, Account>;
  /** Jobs whose proof is wanted, oldest first; the numbers themselves mean nothing and differ between nodes. */
  readonly jobs: SortedMap<number, JobId>;
  /** The same the other way round. */
  readonly jobNumbers: SortedMap<JobId, number>;
}

export interface LedgerRules {
  readonly pendingJobsMax: number;
  /** There is no inflation: all balances together are what they were in the genesis block. */
  readonly supply: bigint;
}

const COUNT_MAX = 2 ** 32 - 1;
const ledgerSchema = struct({
  accounts: vec(struct({ key: hex(32), balance: u64, nonce: u32 }), COUNT_MAX),
  jobs: vec(hex<JobId>(32), COUNT_MAX),
});
type LedgerContent = Infer<typeof ledgerSchema>;

export const ledgerOf = (accounts: Iterable<readonly [Hex, Account]>, jobs: Iterable<JobId>): Ledger => {
  const numbered = Array.from(jobs, (jobId, number) => [number, jobId] as const);
  return {
    accounts: SortedMap.from(accounts),
    jobs: SortedMap.from(numbered),
    jobNumbers: SortedMap.from(numbered.map(([number, jobId]) => [jobId, number] as const)),
  };
};

export const isPending = ({ jobNumbers }: Ledger, jobId: JobId): boolean => jobNumbers.has(jobId);

/** What a node streams to one that cannot follow block by block: accounts by key, then jobs, the oldest first. */
export const ledgerBytes = ({ accounts, jobs }: Ledger): Uint8Array =>
  encode(ledgerSchema, {
    accounts: Array.from(accounts.entries(), ([key, { balance, nonce }]) => ({ key, balance, nonce })),
    jobs: [...jobs.values()],
  });

/** The name of a ledger, in every header: the stream root of its bytes (7.8). */
export const ledgerRoot = (ledger: Ledger): Hash => itemHash(ledgerBytes(ledger)) as Hash;

/** Reads what `ledgerBytes` wrote for a ledger that follows the rules, and nothing else. */
export function readLedger(bytes: Uint8Array, rules: LedgerRules): Checked<Ledger> {
  const decoded = decode(ledgerSchema, bytes, bytes.length);
  if (decoded.tag === "failed") return invalid(`not a ledger: ${decoded.detail}`);
  const fault = ledgerFault(decoded.value, rules);
  if (fault !== null) return invalid(fault);
  const { accounts, jobs } = decoded.value;
  return sound(
    ledgerOf(
      accounts.map(({ key, balance, nonce }) => [key, { balance, nonce }]),
      jobs,
    ),
  );
}

function ledgerFault(
  { accounts, jobs }: LedgerContent,
  { pendingJobsMax, supply }: LedgerRules,
): string | null {
  let last = "";
  let sum = 0n;
  for (const { key, balance } of accounts) {
    if (key <= last) return "the accounts are not in the order of their keys, each once";
    last = key;
    sum += balance;
  }
  if (sum !== supply) return `the balances are ${sum} together, not ${supply}`;
  if (new Set(jobs).size !== jobs.length) return "a job is pending twice";
  if (jobs.length > pendingJobsMax) return `more than ${pendingJobsMax} jobs are pending`;
  return null;
}
