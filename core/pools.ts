import type { Commitment, SnarkInfo } from "./block.ts";
import { commitmentSchema } from "./block.ts";
import type { TransactionInfo } from "./chain.ts";
import { encode } from "./codec/codec.ts";
import { sha256Hex } from "./hash.ts";
import type { Hash } from "./ids.ts";
import type { NewEntry, PoolLog } from "./pool-log.ts";
import { type Priority, snarkPriority, transactionPriority } from "./priority.ts";

/** The three pools are named like the channels that make them equal (section 7). */
export const POOL_NAMES = ["transaction", "snark", "snark-job-commitment"] as const;
export type PoolName = (typeof POOL_NAMES)[number];

/** Pools whose items are fetched by hash; a commitment is complete in itself. */
export const FETCHED_POOLS = ["transaction", "snark"] as const;
export type FetchedPool = (typeof FETCHED_POOLS)[number];

export type PoolInfo = TransactionInfo | SnarkInfo | Commitment;

export interface Pools {
  readonly transaction: PoolLog<TransactionInfo>;
  readonly snark: PoolLog<SnarkInfo>;
  readonly "snark-job-commitment": PoolLog<Commitment>;
}

/** What an info is worth and where it belongs, by its own words alone (section 6). */
export function entryFor(info: PoolInfo, addedMs: number): NewEntry<PoolInfo> {
  if ("nonce" in info) {
    const slot = slotOf(info.sender, info.nonce);
    return { hash: info.hash, slot, priority: transactionPriority(info), info, addedMs };
  }
  const hash = hashOf(info);
  return { hash, slot: info.jobId, priority: snarkPriority({ fee: info.fee, hash }), info, addedMs };
}

export const hashOf = (info: PoolInfo): Hash => ("hash" in info ? info.hash : commitmentHash(info));

export const priorityOf = (info: PoolInfo): Priority => entryFor(info, 0).priority;

/** Whether two infos about one hash agree. */
export function sameInfo(a: PoolInfo, b: PoolInfo): boolean {
  if (hashOf(a) !== hashOf(b) || a.fee !== b.fee) return false;
  if ("nonce" in a) return "nonce" in b && a.sender === b.sender && a.nonce === b.nonce;
  if ("prover" in a) return "prover" in b && a.jobId === b.jobId && a.prover === b.prover;
  // The hash of a commitment covers all of it.
  return true;
}

export const commitmentBytes = (commitment: Commitment): Uint8Array => encode(commitmentSchema, commitment);

const hashes = new WeakMap<Commitment, Hash>();

/** SHA-256 of its Borsh (7.6). */
export function commitmentHash(commitment: Commitment): Hash {
  const known = hashes.get(commitment);
  if (known !== undefined) return known;
  const hash = sha256Hex(commitmentBytes(commitment)) as Hash;
  hashes.set(commitment, hash);
  return hash;
}

const NONCE_DIGITS = 10;

/** Of one sender the slots sort by nonce. */
export const slotOf = (sender: string, nonce: number): string =>
  `${sender} ${nonce.toString().padStart(NONCE_DIGITS, "0")}`;
