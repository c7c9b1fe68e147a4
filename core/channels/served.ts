import { CHANNELS, type ChannelMessage, type ChannelName } from "./table.ts";

/** The messages on this channel of which a peer is sent as much as it asks for. */
type ServedTags = {
  readonly [Name in ChannelName]: readonly Extract<ChannelMessage, { channel: Name }>["message"]["tag"][];
};

/** Nothing on the others: there a peer is sent a few messages in a minute, or one for each tip of ours. */
const SERVED: ServedTags = {
  control: [],
  "signaling/discovery": [],
  "signaling/exchange": [],
  "best-tip": [],
  transaction: ["infos"],
  snark: ["infos"],
  "snark-job-commitment": ["infos"],
  rpc: ["response"],
  "streaming-rpc": ["manifest", "chunk"],
};

/**
 * True if an encoded message is what a peer is served: it decides how much of that there is. The rest is what we ask
 * for and permit ourselves.
 */
export function isServed(channel: ChannelName, [number = 0]: Uint8Array): boolean {
  const { shape } = CHANNELS[channel].schema;
  // The number of its tag is the first byte of every message.
  const tag = shape.tag === "union" ? shape.cases[number]?.[0] : undefined;
  return SERVED[channel].some((served) => served === tag);
}
