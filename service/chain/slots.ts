import type { ChainParameters } from "../../core/chain.ts";

/** How far clocks of honest nodes may differ: a slot that starts later than this is in the future. */
const SLOT_AHEAD_MAX_MS = 2_000;

/** ms since the Unix epoch */
export const slotStartMs = ({ genesisMs, slotMs }: ChainParameters, slot: number): number =>
  genesisMs + slot * slotMs;

export const epochOf = ({ slotsPerEpoch }: ChainParameters, slot: number): number =>
  Math.floor(slot / slotsPerEpoch);

export const isFuture = (parameters: ChainParameters, slot: number, nowMs: number): boolean =>
  slotStartMs(parameters, slot) > nowMs + SLOT_AHEAD_MAX_MS;
