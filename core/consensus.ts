import { blake2b } from "@noble/hashes/blake2.js";
import type { Tip } from "./block.ts";
import { fromHex, type Hex, toHex } from "./bytes.ts";
import { SLOTS_PER_SUB_WINDOW, SUB_WINDOWS } from "./limits.ts";

/** What a chain may choose, part of its chainId (section 2). All nodes of a chain have the same. */
export interface ConsensusParameters {
  readonly slotsPerEpoch: number;
  /** The first global slot in which missing blocks count. */
  readonly gracePeriodEnd: number;
}

/** What chain selection looks at; `slot` is global. */
export type ComparedTip = Pick<Tip, "hash" | "height" | "slot" | "epoch" | "consensus">;

/**
 * Mina's chain selection (7.3): whether a node that holds `current` changes to `candidate`. Equal is not better.
 *
 * The relation is not transitive, because densities are relative to the two that are compared: candidates must
 * never be sorted by it, nor kept in anything that sorts.
 */
export function isBetterTip(
  candidate: ComparedTip,
  current: ComparedTip,
  parameters: ConsensusParameters,
): boolean {
  if (candidate.hash === current.hash) return false;
  if (!isShortRange(candidate, current, parameters)) {
    const density = relativeMinWindowDensity(candidate, current, parameters);
    const currentDensity = relativeMinWindowDensity(current, candidate, parameters);
    if (density !== currentDensity) return density > currentDensity;
  }
  return isLonger(candidate, current);
}

/** True if both chains share the last lock checkpoint, so that neither can have been forged from long ago. */
export function isShortRange(a: ComparedTip, b: ComparedTip, parameters: ConsensusParameters): boolean {
  if (a.epoch === b.epoch) return a.consensus.stakingLock === b.consensus.stakingLock;
  return isAheadOfSameLock(a, b, parameters) || isAheadOfSameLock(b, a, parameters);
}

/**
 * The least density of `a`'s windows, as if the later of both slots had come for `a` without any block since its own.
 * So a chain that stopped does not keep the density that it stopped with.
 */
export function relativeMinWindowDensity(
  a: ComparedTip,
  b: ComparedTip,
  parameters: ConsensusParameters,
): number {
  const { minWindowDensity, subWindowDensities } = a.consensus;
  const slot = Math.max(a.slot, b.slot);
  if (slot < parameters.gracePeriodEnd) return minWindowDensity;
  // Sub-windows, not slots: within the sub-window of its last block a chain has lost nothing yet.
  const passed = subWindowOf(slot) - subWindowOf(a.slot);
  if (passed === 0) return minWindowDensity;
  // The sub-window of the later slot is not over: what the ring holds in its place still counts.
  const emptied = passed - 1;
  const next = subWindowOf(a.slot) + 1;
  let density = 0;
  for (let step = emptied; step < SUB_WINDOWS; step++) {
    density += subWindowDensities[(next + step) % SUB_WINDOWS] ?? 0;
  }
  return Math.min(minWindowDensity, density);
}

/**
 * `ahead` is in the epoch after `behind`'s, and has for its staking lock what `behind` has for its next one, which
 * is final: checkpoints are chosen in the first two thirds of an epoch.
 */
function isAheadOfSameLock(
  ahead: ComparedTip,
  behind: ComparedTip,
  { slotsPerEpoch }: ConsensusParameters,
): boolean {
  return (
    ahead.epoch === behind.epoch + 1 &&
    3 * (behind.slot % slotsPerEpoch) >= 2 * slotsPerEpoch &&
    ahead.consensus.stakingLock === behind.consensus.nextLock
  );
}

const subWindowOf = (slot: number): number => Math.floor(slot / SLOTS_PER_SUB_WINDOW);

function isLonger(candidate: ComparedTip, current: ComparedTip): boolean {
  if (candidate.height !== current.height) return candidate.height > current.height;
  const [lot, currentLot] = [lotOf(candidate), lotOf(current)];
  // Hexadecimal text of equal length compares like the number it writes, its first digit the highest.
  if (lot !== currentLot) return lot > currentLot;
  return candidate.hash > current.hash;
}

/** What decides between chains of equal height: nobody chooses the output of his VRF. */
const lotOf = (tip: ComparedTip): Hex => toHex(blake2b(fromHex(tip.consensus.vrfOutput), { dkLen: 32 }));
