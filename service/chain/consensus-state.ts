import type { BlockHeader, Tip } from "../../core/block.ts";
import type { Hex } from "../../core/bytes.ts";
import type { ChainParameters } from "../../core/chain.ts";
import type { Hash } from "../../core/ids.ts";
import { SLOTS_PER_SUB_WINDOW, SUB_WINDOWS } from "../../core/limits.ts";
import { epochOf } from "./slots.ts";

export type ConsensusState = BlockHeader["consensus"];

const NO_HASH = "00".repeat(32) as Hash;

/** As Mina starts: the windows before the first block count as full ones, and the block itself is the first of its own. */
export const GENESIS_CONSENSUS: ConsensusState = {
  minWindowDensity: SUB_WINDOWS * SLOTS_PER_SUB_WINDOW,
  subWindowDensities: [1, ...Array.from({ length: SUB_WINDOWS - 1 }, () => SLOTS_PER_SUB_WINDOW)],
  vrfOutput: NO_HASH,
  stakingLock: NO_HASH,
  nextLock: NO_HASH,
};

/** What chain selection (7.3) will look at in a block of `slot` on this parent: Mina's rules. */
export function consensusAfter(
  parent: Pick<Tip, "hash" | "slot" | "epoch" | "consensus">,
  slot: number,
  vrfOutput: Hex,
  parameters: ChainParameters,
): ConsensusState {
  const densities = densitiesAfter(parent, slot, parameters);
  return { ...densities, vrfOutput, ...locksAfter(parent, slot, parameters) };
}

type Densities = Pick<ConsensusState, "minWindowDensity" | "subWindowDensities">;
type Locks = Pick<ConsensusState, "stakingLock" | "nextLock">;

/**
 * The ring has a place for each of the last SUB_WINDOWS sub-windows. Those that passed without a block are empty; the
 * place of the new sub-window still counts what it had a whole round ago, as the new one has only begun.
 */
function densitiesAfter(
  { slot: parentSlot, consensus }: Pick<Tip, "slot" | "consensus">,
  slot: number,
  { gracePeriodEnd }: ChainParameters,
): Densities {
  const { minWindowDensity, subWindowDensities } = consensus;
  const [from, to] = [subWindowOf(parentSlot), subWindowOf(slot)];
  if (from === to) {
    const grown = subWindowDensities.map((count, place) => (place === to % SUB_WINDOWS ? count + 1 : count));
    return { minWindowDensity, subWindowDensities: grown };
  }
  const surviving = [...subWindowDensities];
  for (let passed = from + 1; passed < to && passed <= from + SUB_WINDOWS; passed++) {
    surviving[passed % SUB_WINDOWS] = 0;
  }
  const density = surviving.reduce((sum, count) => sum + count, 0);
  surviving[to % SUB_WINDOWS] = 1;
  return {
    minWindowDensity: slot < gracePeriodEnd ? minWindowDensity : Math.min(minWindowDensity, density),
    subWindowDensities: surviving,
  };
}

/**
 * Blocks of the first two thirds of an epoch name their parents as the lock of the next one; later blocks leave it as
 * it is, so that it is final before it counts. An epoch without a block shifts the locks like any other.
 */
function locksAfter(
  parent: Pick<Tip, "hash" | "epoch" | "consensus">,
  slot: number,
  parameters: ChainParameters,
): Locks {
  const passed = epochOf(parameters, slot) - parent.epoch;
  const { slotsPerEpoch } = parameters;
  const isChoosing = 3 * (slot % slotsPerEpoch) < 2 * slotsPerEpoch;
  const { stakingLock, nextLock } = parent.consensus;
  if (passed === 0) return { stakingLock, nextLock: isChoosing ? parent.hash : nextLock };
  return { stakingLock: passed === 1 ? nextLock : parent.hash, nextLock: parent.hash };
}

const subWindowOf = (slot: number): number => Math.floor(slot / SLOTS_PER_SUB_WINDOW);
