import { fromHex, type Hex, toHex, uintBytes } from "../../core/bytes.ts";
import { hash } from "../../core/hash.ts";
import type { Genesis } from "./genesis.ts";

/**
 * Who may produce in which slot. A stand-in for Mina's VRF that hides nothing and proves nothing: everybody can
 * compute all outputs of everybody in advance. It only spreads the right to produce evenly.
 */
export const lotteryOutput = (chainId: Hex, slot: number, creator: Hex): Hex =>
  toHex(hash("pollen/vrf/1", fromHex(chainId), uintBytes(slot, 4), fromHex(creator)));

/** A chance of one half: the first bit, the highest of the first byte, is zero. */
export const isWinning = (output: Hex): boolean => (output[0] ?? "f") < "8";

/** The accounts of the genesis block alone take part, so that a header can be judged without any ledger. */
export const mayProduce = ({ chainId, accounts }: Genesis, slot: number, creator: Hex): boolean =>
  accounts.has(creator) && isWinning(lotteryOutput(chainId, slot, creator));
