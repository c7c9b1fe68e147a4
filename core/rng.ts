import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, fromHex, type Hex, toHex, uintBytes } from "./bytes.ts";

/**
 * The only source of randomness of the pure layers: SHA-256 of a secret seed and a counter.
 *
 * A general-purpose generator would be faster, but peers see what is drawn here (attempt ids, log epochs, who is
 * matched with whom) and could compute the rest of its sequence from it.
 */
export interface Rng {
  readonly seed: Hex;
  readonly drawn: number;
}

/** @param seed 32 bytes of entropy from the service, or of the test */
export const createRng = (seed: Hex): Rng => ({ seed, drawn: 0 });

/** Draws up to 32 bytes. The holder is a draft: the counter in it moves on. */
export function drawBytes(holder: { rng: Rng }, length: number): Uint8Array {
  const { seed, drawn } = holder.rng;
  holder.rng = { seed, drawn: drawn + 1 };
  return sha256(concatBytes(fromHex(seed), uintBytes(drawn, 8))).subarray(0, length);
}

export const drawHex = (holder: { rng: Rng }, length: number): Hex => toHex(drawBytes(holder, length));

/** A uniform integer in [0, below): 48 bits drawn, so the bias is below 2^-16 for every bound up to 2^32. */
export function drawInt(holder: { rng: Rng }, below: number): number {
  return Number(BigInt(`0x${drawHex(holder, 6)}`) % BigInt(below));
}
