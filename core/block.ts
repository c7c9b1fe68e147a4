import { encode } from "./codec/codec.ts";
import { hex, type Infer, struct, u32, u64, vec } from "./codec/schema.ts";
import { hash, hashHex } from "./hash.ts";
import type { Hash, JobId } from "./ids.ts";
import { BLOCK_SNARKS_MAX, BLOCK_TRANSACTIONS_MAX, SUB_WINDOWS } from "./limits.ts";

const consensusStateSchema = struct({
  minWindowDensity: u32,
  subWindowDensities: vec(u32, SUB_WINDOWS, SUB_WINDOWS),
  vrfOutput: hex(32),
  stakingLock: hex<Hash>(32),
  nextLock: hex<Hash>(32),
});

const unsignedFields = {
  parent: hex<Hash>(32),
  height: u32,
  slot: u32,
  epoch: u32,
  consensus: consensusStateSchema,
  creator: hex(32),
  timestamp: u64,
  bodyRoot: hex(32),
  ledgerRoot: hex<Hash>(32),
};
const unsignedHeaderSchema = struct(unsignedFields);

/** 7.3 */
export const headerSchema = struct({ ...unsignedFields, signature: hex(64) });
export type BlockHeader = Infer<typeof headerSchema>;
export type UnsignedHeader = Infer<typeof unsignedHeaderSchema>;

/** 7.5 */
export const snarkInfoSchema = struct({
  jobId: hex<JobId>(32),
  hash: hex<Hash>(32),
  fee: u64,
  prover: hex(32),
});
/** What peers tell each other of a piece of SNARK work before anybody fetches it. */
export type SnarkInfo = Infer<typeof snarkInfoSchema>;

const commitmentFields = { jobId: hex<JobId>(32), fee: u64, snarker: hex(32), issuedAt: u64 };
const unsignedCommitmentSchema = struct(commitmentFields);

/** 7.6 */
export const commitmentSchema = struct({ ...commitmentFields, signature: hex(64) });
/** A worker's word that it makes the proof of a job, complete in itself. */
export type Commitment = Infer<typeof commitmentSchema>;
export type UnsignedCommitment = Infer<typeof unsignedCommitmentSchema>;

/** Blocks refer to items, they do not embed them (7.7). */
export const bodySchema = struct({
  transactions: vec(hex<Hash>(32), BLOCK_TRANSACTIONS_MAX),
  snarks: vec(snarkInfoSchema, BLOCK_SNARKS_MAX),
});
export type BlockBody = Infer<typeof bodySchema>;

export interface Block {
  readonly header: BlockHeader;
  readonly body: BlockBody;
}

/** A header and its name. */
export type Tip = BlockHeader & { readonly hash: Hash };

export const blockHash = (header: BlockHeader): Hash =>
  hashHex("pollen/block/1", encode(headerSchema, header)) as Hash;

export const tipOf = (header: BlockHeader): Tip => ({ ...header, hash: blockHash(header) });

export const bodyRoot = (body: BlockBody): string => hashHex("pollen/body/1", encode(bodySchema, body));

/** What the creator of a block signs. */
export const headerDigest = (header: UnsignedHeader): Uint8Array =>
  hash("pollen/header/1", encode(unsignedHeaderSchema, header));

/** What a worker signs. */
export const commitmentDigest = (commitment: UnsignedCommitment): Uint8Array =>
  hash("pollen/commitment/1", encode(unsignedCommitmentSchema, commitment));
