import { type BlockHeader, blockHash, headerDigest, type UnsignedHeader } from "../../core/block.ts";
import { fromHex, type Hex } from "../../core/bytes.ts";
import type { BlockVerdict } from "../../core/chain.ts";
import { verifySignature } from "../ed25519.ts";
import type { AppliedBlock } from "./blocks.ts";
import { type ConsensusState, consensusAfter } from "./consensus-state.ts";
import type { Genesis } from "./genesis.ts";
import { isWinning, lotteryOutput } from "./lottery.ts";
import { inSlices } from "./slices.ts";
import { epochOf, isFuture, slotStartMs } from "./slots.ts";
import { invalid, notNow, VALID } from "./verdicts.ts";

/** The fields that follow from parent, slot and creator. */
export type DerivedHeader = Omit<UnsignedHeader, "bodyRoot" | "ledgerRoot">;

export function headerAfter(
  genesis: Genesis,
  parent: AppliedBlock,
  slot: number,
  creator: Hex,
): DerivedHeader {
  const { chainId, parameters } = genesis;
  const output = lotteryOutput(chainId, slot, creator);
  return {
    parent: parent.hash,
    height: parent.header.height + 1,
    slot,
    epoch: epochOf(parameters, slot),
    consensus: consensusAfter({ ...parent.header, hash: parent.hash }, slot, output, parameters),
    creator,
    timestamp: BigInt(slotStartMs(parameters, slot)),
  };
}

/**
 * Everything that headers prove by themselves, the cheapest checks first. One bad header makes all of them invalid:
 * who sent them answers for each.
 */
export async function judgeHeaders(
  genesis: Genesis,
  headers: readonly BlockHeader[],
  nowMs: () => number,
): Promise<BlockVerdict> {
  for (const header of headers) {
    const fault = headerFault(genesis, header);
    if (fault !== null) return invalid(fault);
  }
  const signed = await inSlices(headers, (header) => isSigned(genesis, header));
  if (signed.includes(false)) return invalid(NOT_SIGNED);
  const isEarly = headers.some(({ slot }) => isFuture(genesis.parameters, slot, nowMs()));
  return isEarly ? notNow("the slot is in the future") : VALID;
}

export const NOT_SIGNED = "the signature is not the creator's";

/** What a header without parent, clock and signature shows to be wrong; null: nothing. */
export function headerFault(genesis: Genesis, header: BlockHeader): string | null {
  const { chainId, accounts, parameters } = genesis;
  const { height, slot, epoch, timestamp, creator, consensus } = header;
  if (isGenesis(genesis, header)) return null;
  if (height < 1) return "the height is below 1";
  if (slot < height) return "the slot is below the height";
  if (epoch !== epochOf(parameters, slot)) return "the epoch is not that of the slot";
  if (timestamp !== BigInt(slotStartMs(parameters, slot)))
    return "the timestamp is not the start of the slot";
  if (!accounts.has(creator)) return "the creator has no account in the genesis block";
  if (consensus.vrfOutput !== lotteryOutput(chainId, slot, creator)) {
    return "the lottery output is not that of the slot and the creator";
  }
  if (!isWinning(consensus.vrfOutput)) return "the creator did not win the slot";
  return null;
}

/** In the thread pool. The genesis block is the one that nobody signed. */
export const isSigned = (genesis: Genesis, header: BlockHeader): Promise<boolean> =>
  isGenesis(genesis, header)
    ? Promise.resolve(true)
    : verifySignature(header.creator, headerDigest(header), fromHex(header.signature));

/** What does not follow from the parent; null: everything does. */
export function descentFault(genesis: Genesis, parent: AppliedBlock, header: BlockHeader): string | null {
  if (header.height !== parent.header.height + 1) return "the height does not follow the parent's";
  if (header.slot <= parent.header.slot) return "the slot is not after the parent's";
  const { consensus } = headerAfter(genesis, parent, header.slot, header.creator);
  const field = differingField(header.consensus, consensus);
  return field === null ? null : `${field} does not follow from the parent's consensus state`;
}

const isGenesis = ({ parameters }: Genesis, header: BlockHeader): boolean =>
  header.height === 0 && blockHash(header) === parameters.genesis.hash;

function differingField(given: ConsensusState, derived: ConsensusState): keyof ConsensusState | null {
  if (given.minWindowDensity !== derived.minWindowDensity) return "minWindowDensity";
  const isSame = derived.subWindowDensities.every((count, at) => count === given.subWindowDensities[at]);
  if (!isSame) return "subWindowDensities";
  const texts = ["vrfOutput", "stakingLock", "nextLock"] as const;
  return texts.find((field) => given[field] !== derived[field]) ?? null;
}
