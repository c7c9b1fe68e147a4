import { CONTROL_BYTES_MAX, RPC_BYTES_MAX, TRANSACTION_BYTES_MAX } from "../limits.ts";

/** The channels this version enables, by their data-channel id (section 7). More come with their protocols. */
export const CHANNELS = {
  control: { id: 0, bytesMax: CONTROL_BYTES_MAX },
  transaction: { id: 4, bytesMax: TRANSACTION_BYTES_MAX },
  rpc: { id: 7, bytesMax: RPC_BYTES_MAX },
} as const;

export type ChannelName = keyof typeof CHANNELS;

export const CHANNEL_NAMES: readonly ChannelName[] = ["control", "transaction", "rpc"];

/** Bit n of Hello.channels: channel n is enabled (section 4). */
export const CHANNEL_BITS = CHANNEL_NAMES.reduce((bits, name) => bits | (1 << CHANNELS[name].id), 0);
