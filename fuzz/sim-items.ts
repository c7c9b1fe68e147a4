import {
  type Commitment,
  commitmentDigest,
  commitmentSchema,
  type SnarkInfo,
  type UnsignedCommitment,
} from "../core/block.ts";
import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import type { TransactionInfo } from "../core/chain.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { bytesUpTo, hex, refined, struct, u8, u32, u64 } from "../core/codec/schema.ts";
import { hash, itemHash } from "../core/hash.ts";
import type { Hash, JobId } from "../core/ids.ts";
import { ITEM_BYTES_MAX } from "../core/limits.ts";
import type { PoolName } from "../core/pools.ts";

/** Items of the simulated chain: each says itself what is to be thought of it. */
export const VERDICTS = ["valid", "invalid", "notNow"] as const;
export type SimVerdict = (typeof VERDICTS)[number];

const verdictSchema = refined(u8, (verdict) =>
  verdict < VERDICTS.length ? null : `verdict ${verdict} is unknown`,
);

const transactionSchema = struct({
  fee: u64,
  sender: hex(32),
  nonce: u32,
  fromHeight: u32,
  verdict: verdictSchema,
  salt: u32,
});

/** Enough that sixteen pieces of work do not fit into one message. */
export const PADDING_MAX = 9_216;

const snarkSchema = struct({
  jobId: hex<JobId>(32),
  fee: u64,
  prover: hex(32),
  verdict: verdictSchema,
  salt: u32,
  padding: bytesUpTo(PADDING_MAX),
});

export interface SimTransaction {
  readonly fee: bigint;
  readonly sender: Hex;
  readonly nonce: number;
  readonly verdict: SimVerdict;
  readonly salt: number;
  /** Not valid on a tip below this height, like a payment whose money is still to come. */
  readonly fromHeight?: number;
}

export interface SimSnark {
  readonly jobId: JobId;
  readonly fee: bigint;
  readonly prover: Hex;
  readonly verdict: SimVerdict;
  readonly salt: number;
  /** Bytes of padding, at most PADDING_MAX. */
  readonly size: number;
}

/** What an item is, whatever is to be thought of it. */
export type Content =
  | { readonly tag: "transaction"; readonly info: TransactionInfo; readonly fromHeight: number }
  | { readonly tag: "snark"; readonly info: SnarkInfo }
  | { readonly tag: "commitment"; readonly info: Commitment };

/** What the bytes alone say. */
export interface Reading {
  /** Null: they are no item of this pool. */
  readonly content: Content | null;
  /** Other than valid it is final: nothing that happens on the chain changes it. */
  readonly says: SimVerdict;
}

export const encodeTransaction = ({ verdict, fromHeight = 0, ...fields }: SimTransaction): Uint8Array =>
  encode(transactionSchema, { ...fields, fromHeight, verdict: VERDICTS.indexOf(verdict) });

export const encodeSnark = ({ verdict, size, ...fields }: SimSnark): Uint8Array =>
  encode(snarkSchema, { ...fields, verdict: VERDICTS.indexOf(verdict), padding: new Uint8Array(size) });

/** The public key of an account, by its number. */
export const accountOf = (number: number): Hex => number.toString(16).padStart(64, "a");

/** Each transaction of a block makes one job. */
export const jobOf = (transaction: Hash): JobId =>
  toHex(hash("simulated job", fromHex(transaction))) as string as JobId;

/** The first byte of a signature is the verdict, the rest is what makes it one of this digest. */
export function signatureOf(digest: Uint8Array, verdict: SimVerdict): Hex {
  const tail = hash("simulated signature", digest);
  return toHex(Uint8Array.of(VERDICTS.indexOf(verdict), ...tail, ...tail.subarray(0, 31)));
}

/** What the signature of a header or a commitment says of it; a signature of something else is invalid. */
export function verdictOf(digest: Uint8Array, signature: Hex): SimVerdict {
  const verdict = VERDICTS[Number.parseInt(signature.slice(0, 2), 16)] ?? "invalid";
  return signatureOf(digest, verdict) === signature ? verdict : "invalid";
}

export const signed = (commitment: UnsignedCommitment, verdict: SimVerdict = "valid"): Commitment => ({
  ...commitment,
  signature: signatureOf(commitmentDigest(commitment), verdict),
});

const readings = new WeakMap<Uint8Array, Reading>();

/** Reads each array of bytes once: what lies in a pool is looked at again after every block. */
export function readItem(pool: PoolName, bytes: Uint8Array): Reading {
  const known = readings.get(bytes);
  if (known !== undefined) return known;
  const reading = READERS[pool](bytes);
  readings.set(bytes, reading);
  return reading;
}

const UNREADABLE: Reading = { content: null, says: "invalid" };

const READERS: { readonly [Name in PoolName]: (bytes: Uint8Array) => Reading } = {
  transaction: (bytes) => {
    const decoded = decode(transactionSchema, bytes, ITEM_BYTES_MAX);
    if (decoded.tag === "failed") return UNREADABLE;
    const { fee, sender, nonce, fromHeight, verdict } = decoded.value;
    const info = { hash: itemHash(bytes) as Hash, fee, sender, nonce };
    return { content: { tag: "transaction", info, fromHeight }, says: VERDICTS[verdict] ?? "invalid" };
  },
  snark: (bytes) => {
    const decoded = decode(snarkSchema, bytes, ITEM_BYTES_MAX);
    if (decoded.tag === "failed") return UNREADABLE;
    const { jobId, fee, prover, verdict } = decoded.value;
    const info = { jobId, hash: itemHash(bytes) as Hash, fee, prover };
    return { content: { tag: "snark", info }, says: VERDICTS[verdict] ?? "invalid" };
  },
  "snark-job-commitment": (bytes) => {
    const decoded = decode(commitmentSchema, bytes, ITEM_BYTES_MAX);
    if (decoded.tag === "failed") return UNREADABLE;
    const info = decoded.value;
    return { content: { tag: "commitment", info }, says: verdictOf(commitmentDigest(info), info.signature) };
  },
};
