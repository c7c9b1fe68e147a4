import { createHash, type KeyObject } from "node:crypto";
import { type BlockBody, type BlockHeader, bodyRoot, tipOf } from "../../core/block.ts";
import { fromHex, type Hex, toHex, uintBytes } from "../../core/bytes.ts";
import type { ChainParameters } from "../../core/chain.ts";
import { hash } from "../../core/hash.ts";
import type { Hash } from "../../core/ids.ts";
import { SLOTS_PER_SUB_WINDOW, SUB_WINDOWS } from "../../core/limits.ts";
import { rawPublicKey, secretKeyOf } from "../ed25519.ts";
import { GENESIS_CONSENSUS } from "./consensus-state.ts";
import { type Account, ledgerOf, ledgerRoot } from "./ledger.ts";

export type { Account } from "./ledger.ts";

/** Everything the nodes of one chain have to agree on before they start; `chainId` covers all of it. */
export interface Genesis {
  readonly chainId: Hex;
  readonly accounts: ReadonlyMap<Hex, Account>;
  readonly parameters: ChainParameters;
  /** Leading zero bits that a piece of work needs. */
  readonly workBits: number;
  /** Length of the stand-in for a proof. */
  readonly proofBytes: number;
  /** While so many jobs wait for their proofs, blocks take no further transactions. */
  readonly pendingJobsMax: number;
}

export interface GenesisOptions {
  /** Duration of a slot, ms. */
  readonly slotMs?: number;
  /** Start of slot 0, ms since the Unix epoch. */
  readonly genesisMs?: number;
  readonly slotsPerEpoch?: number;
  /** The first slot in which missing blocks count. */
  readonly gracePeriodEnd?: number;
  readonly workBits?: number;
  readonly proofBytes?: number;
  readonly pendingJobsMax?: number;
  /** What each test account has. */
  readonly balance?: bigint;
}

/** Accounts that the genesis block funds and whose keys everybody can compute: for tests and demonstrations only. */
export const TEST_ACCOUNTS = 64;
const TEST_BALANCE = 1_000_000_000_000n;

/** Mina's, of its main network. */
const SLOTS_PER_EPOCH = 7_140;
const GRACE_PERIOD_END = 1_440;
/** Some milliseconds of one processor. */
const WORK_BITS = 12;
/** As large as a real proof, so that the network carries what it would have to carry. */
const PROOF_BYTES = 9_216;
/** Twice what a full block adds, so that one may follow another before the first proof is there. */
const PENDING_JOBS_MAX = 2_048;

/** The secret key of test account 0 to TEST_ACCOUNTS - 1: the seed is SHA-256("pollen test account <n>"). */
export const testAccountKey = (index: number): KeyObject =>
  secretKeyOf("ed25519", createHash("sha256").update(`pollen test account ${index}`).digest());

/** The chain every node has without further configuration. */
export function testGenesis({
  slotMs = 3_000,
  genesisMs = Date.UTC(2026, 0, 1),
  slotsPerEpoch = SLOTS_PER_EPOCH,
  gracePeriodEnd = GRACE_PERIOD_END,
  workBits = WORK_BITS,
  proofBytes = PROOF_BYTES,
  pendingJobsMax = PENDING_JOBS_MAX,
  balance = TEST_BALANCE,
}: GenesisOptions = {}): Genesis {
  const accounts = new Map(testKeys().map((key) => [key, { balance, nonce: 0 }]));
  const genesis = tipOf(genesisHeader(accounts, genesisMs));
  const covered = [
    ...[slotsPerEpoch, gracePeriodEnd, SLOTS_PER_SUB_WINDOW, SUB_WINDOWS],
    ...[genesisMs, slotMs, workBits, proofBytes, pendingJobsMax],
  ];
  // The hash of the block covers the accounts.
  const id = hash("pollen/genesis/1", fromHex(genesis.hash), ...covered.map((value) => uintBytes(value, 8)));
  const parameters = { slotsPerEpoch, gracePeriodEnd, genesisMs, slotMs, genesis };
  return { chainId: toHex(id), accounts, parameters, workBits, proofBytes, pendingJobsMax };
}

export const EMPTY_BODY: BlockBody = { transactions: [], snarks: [] };

export const supplyOf = ({ accounts }: Genesis): bigint =>
  Array.from(accounts.values()).reduce((sum, { balance }) => sum + balance, 0n);

/** Nobody made it and nobody signed it: every node has it from the start. */
const genesisHeader = (accounts: ReadonlyMap<Hex, Account>, genesisMs: number): BlockHeader => ({
  parent: "00".repeat(32) as Hash,
  height: 0,
  slot: 0,
  epoch: 0,
  consensus: GENESIS_CONSENSUS,
  creator: "00".repeat(32),
  timestamp: BigInt(genesisMs),
  bodyRoot: bodyRoot(EMPTY_BODY),
  ledgerRoot: ledgerRoot(ledgerOf(accounts, [])),
  signature: "00".repeat(64),
});

let derivedKeys: readonly Hex[] | undefined;

function testKeys(): readonly Hex[] {
  derivedKeys ??= Array.from({ length: TEST_ACCOUNTS }, (_, index) =>
    toHex(rawPublicKey(testAccountKey(index))),
  );
  return derivedKeys;
}
