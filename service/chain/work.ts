import { hash as nodeHash } from "node:crypto";
import type { SnarkInfo } from "../../core/block.ts";
import { ascii, concatBytes, equalBytes, fromHex, type Hex, uintBytes } from "../../core/bytes.ts";
import { decode, encode } from "../../core/codec/codec.ts";
import { bytes, hex, struct, u8, u64 } from "../../core/codec/schema.ts";
import { hash, hashHex } from "../../core/hash.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import { type Checked, invalid, sound } from "./verdicts.ts";

/**
 * The stand-in for SNARK work: hashcash and filler. It is no proof of anything - but like a proof it costs time to
 * make, is cheap to verify, names its maker and its price so that nobody can take it over, and is as large as a real
 * one.
 */
export interface Claim {
  readonly jobId: JobId;
  readonly fee: bigint;
  /** Whom the creator of a block pays for it. */
  readonly prover: Hex;
}

export interface WorkRules {
  /** Leading zero bits of the digest: each doubles the time to find a nonce. */
  readonly workBits: number;
  readonly proofBytes: number;
}

export const WORK_VERSION = 1;
const WORK_LABEL = "pollen/work/1";
const NONCE_BYTES = 8;
const DIGEST_BYTES = 32;
/** Version, job, fee, prover and nonce. */
const HEAD_BYTES = 1 + 32 + 8 + 32 + NONCE_BYTES;

const schemaOf = (proofBytes: number) =>
  struct({
    version: u8,
    jobId: hex<JobId>(32),
    fee: u64,
    prover: hex(32),
    nonce: u64,
    proof: bytes(proofBytes),
  });

/** Each transaction of a block makes one job. */
export const jobOf = (transaction: Hash): JobId => hashHex("pollen/job/1", fromHex(transaction)) as JobId;

export const encodeWork = (claim: Claim, nonce: bigint, proof: Uint8Array): Uint8Array =>
  encode(schemaOf(proof.length), { version: WORK_VERSION, ...claim, nonce, proof });

export function checkWork(
  { workBits, proofBytes }: WorkRules,
  { hash: name, bytes: encoded }: ItemBytes,
): Checked<SnarkInfo> {
  const decoded = decode(schemaOf(proofBytes), encoded, HEAD_BYTES + proofBytes);
  if (decoded.tag === "failed") return invalid(`not a piece of work: ${decoded.detail}`);
  const { version, jobId, fee, prover, nonce, proof } = decoded.value;
  if (version !== WORK_VERSION) return invalid(`version ${version} is not ${WORK_VERSION}`);
  const digest = hash(WORK_LABEL, ...claimParts({ jobId, fee, prover }), uintBytes(nonce, NONCE_BYTES));
  if (!hasLeadingZeros(digest, workBits)) return invalid(`the work has less than ${workBits} zero bits`);
  if (!equalBytes(proof, proofOf(digest, proofBytes)))
    return invalid("the proof does not follow from the work");
  return sound({ jobId, hash: name, fee, prover });
}

/** SHA-256 in counter mode: block n is SHA-256(digest || n as u32), cut to length. */
export function proofOf(digest: Uint8Array, length: number): Uint8Array {
  const proof = new Uint8Array(length);
  const input = concatBytes(digest, new Uint8Array(4));
  const counter = new DataView(input.buffer, DIGEST_BYTES);
  for (let offset = 0; offset < length; offset += DIGEST_BYTES) {
    counter.setUint32(0, offset / DIGEST_BYTES, true);
    proof.set(nodeHash("sha256", input, "buffer").subarray(0, length - offset), offset);
  }
  return proof;
}

/** Tries one nonce after the other. The digest is `H` of the protocol, in the one-shot form that is the fastest here. */
export function createSearch(claim: Claim, workBits: number): () => SearchStep {
  const input = concatBytes(ascii(`${WORK_LABEL}\0`), ...claimParts(claim), new Uint8Array(NONCE_BYTES));
  const nonceView = new DataView(input.buffer, input.length - NONCE_BYTES);
  let next = 0n;
  return () => {
    const nonce = next++;
    nonceView.setBigUint64(0, nonce, true);
    const digest = nodeHash("sha256", input, "buffer");
    return hasLeadingZeros(digest, workBits) ? { nonce, digest } : null;
  };
}

/** What was found; null: not yet. */
export type SearchStep = { readonly nonce: bigint; readonly digest: Uint8Array } | null;

const claimParts = ({ jobId, fee, prover }: Claim): readonly Uint8Array[] => [
  fromHex(jobId),
  uintBytes(fee, 8),
  fromHex(prover),
];

function hasLeadingZeros(digest: Uint8Array, bits: number): boolean {
  const whole = Math.floor(bits / 8);
  for (let index = 0; index < whole; index++) if (digest[index] !== 0) return false;
  return (digest[whole] ?? 0) >> (8 - (bits % 8)) === 0;
}
