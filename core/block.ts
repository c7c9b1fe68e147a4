import { bytes, hex, struct, u32, u64, vec } from "./codec/schema.ts";
import type { Hash } from "./ids.ts";

const SUB_WINDOWS = 11;

const consensusStateSchema = struct({
  minWindowDensity: u32,
  subWindowDensities: vec(u32, SUB_WINDOWS, SUB_WINDOWS),
  vrfOutput: hex(32),
  stakingLock: hex(32),
  nextLock: hex(32),
});

/** 7.3 */
export const headerSchema = struct({
  parent: hex<Hash>(32),
  height: u32,
  slot: u32,
  epoch: u32,
  consensus: consensusStateSchema,
  creator: hex(32),
  timestamp: u64,
  bodyRoot: hex(32),
  ledgerRoot: hex(32),
  signature: bytes(64),
});

/** 7.5 */
export const snarkInfoSchema = struct({ jobId: hex(32), hash: hex<Hash>(32), fee: u64, prover: hex(32) });

/** 7.6 */
export const commitmentSchema = struct({
  jobId: hex(32),
  fee: u64,
  snarker: hex(32),
  issuedAt: u64,
  signature: bytes(64),
});

/** Blocks refer to items, they do not embed them (7.7). */
export const blockBodySchema = struct({
  transactions: vec(hex<Hash>(32), 1024),
  snarks: vec(snarkInfoSchema, 256),
});
