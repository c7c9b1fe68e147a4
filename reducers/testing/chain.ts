import { sha256 } from "@noble/hashes/sha2.js";
import { assert } from "../../core/assert.ts";
import { type BlockHeader, bodyRoot, type Tip, tipOf } from "../../core/block.ts";
import { ascii, type Hex, toHex } from "../../core/bytes.ts";
import type { ChainParameters, TipChange } from "../../core/chain.ts";
import type { Hash } from "../../core/ids.ts";
import { SUB_WINDOWS } from "../../core/limits.ts";
import type { TestNode } from "./node.ts";
import type { Result } from "./results.ts";

// A chain as far as the core knows one: headers with names and an order.

export const START_MS = 1_800_000_000_000;
export const CHAIN_ID: Hex = "c4".repeat(32);
const SLOT_MS = 1_000;
/** The tests begin in this slot: blocks can be older and younger. */
const START_SLOT = 100;

/** 32 bytes that mean nothing, always the same for one name. */
export const bytes32 = (name: string): Hash => toHex(sha256(ascii(name))) as Hash;

const GENESIS: BlockHeader = {
  parent: "00".repeat(32) as Hash,
  height: 0,
  slot: 0,
  epoch: 0,
  consensus: {
    minWindowDensity: SUB_WINDOWS,
    subWindowDensities: Array.from({ length: SUB_WINDOWS }, () => 1),
    vrfOutput: bytes32("genesis vrf"),
    stakingLock: bytes32("staking lock"),
    nextLock: bytes32("next lock"),
  },
  creator: bytes32("genesis creator"),
  timestamp: BigInt(START_MS - START_SLOT * SLOT_MS),
  bodyRoot: bodyRoot({ transactions: [], snarks: [] }),
  ledgerRoot: bytes32("genesis ledger"),
  signature: "00".repeat(64),
};

export const CHAIN: ChainParameters = {
  slotsPerEpoch: 2_100,
  gracePeriodEnd: 2_100,
  genesisMs: START_MS - START_SLOT * SLOT_MS,
  slotMs: SLOT_MS,
  genesis: tipOf(GENESIS),
};

/** A block on this one. Of two children of one parent with different names neither is the other. */
export function childOf(parent: Tip, name = "child", changes: Partial<BlockHeader> = {}): Tip {
  const { hash, ...header } = parent;
  return tipOf({
    ...header,
    parent: hash,
    height: parent.height + 1,
    slot: parent.slot + 1,
    consensus: { ...header.consensus, vrfOutput: bytes32(`vrf ${name} on ${hash}`) },
    timestamp: parent.timestamp + BigInt(SLOT_MS),
    ledgerRoot: bytes32(`ledger ${name} on ${hash}`),
    ...changes,
  });
}

/** The header of a tip, without its name. */
export function headerOf({ hash: _, ...header }: Tip): BlockHeader {
  return header;
}

/**
 * The chain has made this tip, and adopted it. Nothing is included, undone or wanted but for the changes.
 * @returns what the adoption caused
 */
export function adopt(
  node: TestNode,
  changes: Partial<TipChange> = {},
  tip: Tip = childOf(node.state.chain.tip),
): Result {
  const produced = node.feed({ type: "event/blockProduced", slot: tip.slot, header: headerOf(tip) });
  assert(
    produced.effects.some((effect) => effect.type === "effect/adoptTip" && effect.hash === tip.hash),
    "the tip is better than the one before",
  );
  const change: TipChange = {
    tip,
    extendsOld: true,
    removed: [],
    returned: [],
    jobsAdded: [],
    jobsRemoved: [],
    lockHeight: 0,
    ...changes,
  };
  return node.feed({ type: "event/tipAdopted", change });
}
