import {
  type BlockHeader,
  bodyRoot,
  headerDigest,
  type Tip,
  tipOf,
  type UnsignedHeader,
} from "../core/block.ts";
import { fromHex, type Hex, toHex, uintBytes } from "../core/bytes.ts";
import type { BlockVerdict, ChainParameters } from "../core/chain.ts";
import { hash } from "../core/hash.ts";
import type { Hash } from "../core/ids.ts";
import { SLOTS_PER_SUB_WINDOW, SUB_WINDOWS } from "../core/limits.ts";
import { type SimVerdict, signatureOf, verdictOf } from "./sim-items.ts";
import { genesisLedger, ledgerRoot } from "./sim-ledger.ts";

/** Headers of the simulated chain: everything that chain selection looks at follows from the parent and the slot. */
export interface ConsensusOptions {
  readonly slotsPerEpoch: number;
  readonly gracePeriodEnd: number;
  readonly slotMs: number;
  /** Bytes by which every ledger is larger. */
  readonly ballast: number;
}

/**
 * Epochs so short that forks of some minutes have different lock checkpoints. A third of an epoch is as long as the
 * windows of densities, or longer: else a block may lose against one that it is built on, and nobody would follow.
 */
export const DEFAULT_CONSENSUS: ConsensusOptions = {
  slotsPerEpoch: 240,
  gracePeriodEnd: 20,
  slotMs: 1_000,
  ballast: 0,
};

const EMPTY_BODY = { transactions: [], snarks: [] };
const NOBODY = "00".repeat(32);

export function parametersOf(
  { slotsPerEpoch, gracePeriodEnd, slotMs, ballast }: ConsensusOptions,
  genesisMs: number,
): ChainParameters {
  const unsigned: UnsignedHeader = {
    parent: NOBODY as Hash,
    height: 0,
    slot: 0,
    epoch: 0,
    consensus: {
      minWindowDensity: SUB_WINDOWS * SLOTS_PER_SUB_WINDOW,
      subWindowDensities: Array.from({ length: SUB_WINDOWS }, () => SLOTS_PER_SUB_WINDOW),
      vrfOutput: NOBODY,
      stakingLock: NOBODY as Hash,
      nextLock: NOBODY as Hash,
    },
    creator: NOBODY,
    timestamp: BigInt(genesisMs),
    bodyRoot: bodyRoot(EMPTY_BODY),
    ledgerRoot: ledgerRoot(genesisLedger(ballast)),
  };
  const genesis = tipOf({ ...unsigned, signature: signatureOf(headerDigest(unsigned), "valid") });
  return { slotsPerEpoch, gracePeriodEnd, slotMs, genesisMs, genesis };
}

/** A block of this slot on this parent, as whoever may produce it would write it. */
export function headerAfter(
  parameters: ChainParameters,
  parent: Tip,
  made: {
    readonly slot: number;
    readonly creator: Hex;
    readonly bodyRoot: string;
    readonly ledgerRoot: Hash;
  },
  verdict: SimVerdict = "valid",
): BlockHeader {
  const unsigned: UnsignedHeader = { ...derived(parameters, parent, made.slot, made.creator), ...made };
  return { ...unsigned, signature: signatureOf(headerDigest(unsigned), verdict) };
}

/** What a header proves by itself. */
export function judgeHeader(
  { slotsPerEpoch, genesisMs, slotMs }: ChainParameters,
  { signature, ...header }: BlockHeader,
  nowMs: number,
): BlockVerdict {
  const says = verdictOf(headerDigest(header), signature);
  if (says !== "valid") return { tag: says, detail: `the header says that it is ${says}` };
  if (header.epoch !== Math.floor(header.slot / slotsPerEpoch))
    return { tag: "invalid", detail: `slot ${header.slot} is not in epoch ${header.epoch}` };
  return genesisMs + header.slot * slotMs > nowMs
    ? { tag: "notNow", detail: `slot ${header.slot} is in the future` }
    : { tag: "valid" };
}

/** What a header can be judged by only with its parent; null: nothing is wrong. */
export function refusalAfter(parameters: ChainParameters, parent: Tip, header: BlockHeader): string | null {
  if (header.slot <= parent.slot) return `slot ${header.slot} is not after ${parent.slot}`;
  const { slot, creator, bodyRoot: body, ledgerRoot } = header;
  const expected = headerAfter(parameters, parent, { slot, creator, bodyRoot: body, ledgerRoot });
  return tipOf(expected).hash === tipOf(header).hash ? null : "the header does not follow from its parent";
}

export const slotAt = ({ genesisMs, slotMs }: ChainParameters, timeMs: number): number =>
  Math.floor((timeMs - genesisMs) / slotMs);

function derived(
  parameters: ChainParameters,
  parent: Tip,
  slot: number,
  creator: Hex,
): Omit<UnsignedHeader, "bodyRoot" | "ledgerRoot"> {
  const { slotsPerEpoch, genesisMs, slotMs } = parameters;
  return {
    parent: parent.hash,
    height: parent.height + 1,
    slot,
    epoch: Math.floor(slot / slotsPerEpoch),
    consensus: {
      ...densitiesAfter(parameters, parent, slot),
      ...locksAfter(slotsPerEpoch, parent, slot),
      vrfOutput: toHex(hash("simulated lot", uintBytes(slot, 4), fromHex(creator))),
    },
    creator,
    timestamp: BigInt(genesisMs + slot * slotMs),
  };
}

/** Each sub-window counts its blocks; the least sum of eleven in a row since the grace period is the density. */
function densitiesAfter(
  { gracePeriodEnd }: ChainParameters,
  { slot: parentSlot, consensus }: Tip,
  slot: number,
): Pick<UnsignedHeader["consensus"], "minWindowDensity" | "subWindowDensities"> {
  const [before, now] = [subWindowOf(parentSlot), subWindowOf(slot)];
  const ring = [...consensus.subWindowDensities];
  for (let index = Math.max(before + 1, now - SUB_WINDOWS + 1); index <= now; index++) {
    ring[index % SUB_WINDOWS] = 0;
  }
  const isOver = before !== now && slot >= gracePeriodEnd;
  const sum = ring.reduce((total, count) => total + count, 0);
  const minWindowDensity = isOver ? Math.min(consensus.minWindowDensity, sum) : consensus.minWindowDensity;
  ring[now % SUB_WINDOWS] = (ring[now % SUB_WINDOWS] ?? 0) + 1;
  return { minWindowDensity, subWindowDensities: ring };
}

/** The last block in the first two thirds of an epoch is the checkpoint of the next one. */
function locksAfter(
  slotsPerEpoch: number,
  parent: Tip,
  slot: number,
): Pick<UnsignedHeader["consensus"], "stakingLock" | "nextLock"> {
  const isNewEpoch = Math.floor(slot / slotsPerEpoch) !== parent.epoch;
  const isEarly = 3 * (slot % slotsPerEpoch) < 2 * slotsPerEpoch;
  return {
    stakingLock: isNewEpoch ? parent.consensus.nextLock : parent.consensus.stakingLock,
    nextLock: isNewEpoch || isEarly ? parent.hash : parent.consensus.nextLock,
  };
}

const subWindowOf = (slot: number): number => Math.floor(slot / SLOTS_PER_SUB_WINDOW);
