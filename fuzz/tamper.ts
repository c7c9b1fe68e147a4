import type { PoolMessage } from "../core/channels/permits.ts";
import { CHANNELS, type ChannelMessage, type ChannelName, encodeMessage } from "../core/channels/table.ts";
import type { Tamper } from "./sim-transport.ts";
import { readWire } from "./wire.ts";

/** Nodes that lack a rule, or that lie, made of production nodes by changing what they send. */

/** Nobody tells that his floor has fallen while his permit is out. */
export const withoutRefloor: Tamper = (_from, _to, channel, bytes) =>
  isPool(channel) && read(channel, bytes)?.message.tag === "refloor" ? null : bytes;

/** Nobody asks again for what he skipped, evicted or lost while his floor was higher. */
export const withoutBand: Tamper = (_from, _to, channel, bytes) => {
  const wire = read(channel, bytes);
  if (wire === null || !isPool(wire.channel)) return bytes;
  const message = wire.message as PoolMessage;
  if (message.tag === "infos") return bytes;
  return encodeMessage({
    ...wire,
    message: { ...message, window: { ...message.window, band: null } },
  } as ChannelMessage);
};

/** All act as if the others did not have these channels. */
export function withoutChannels(...names: readonly ChannelName[]): Tamper {
  const bits = names.reduce((sum, name) => sum | (1 << CHANNELS[name].id), 0);
  return (_from, _to, channel, bytes) => {
    const wire = read(channel, bytes);
    if (wire?.channel !== "control" || wire.message.tag !== "hello") return bytes;
    return encodeMessage({ ...wire, message: { ...wire.message, channels: wire.message.channels & ~bits } });
  };
}

/** These announce what they have and never serve it. */
export const withholding =
  (isLiar: (node: number) => boolean): Tamper =>
  (from, _to, channel, bytes) =>
    channel === "rpc" && isLiar(from.index) && read(channel, bytes)?.message.tag === "response"
      ? null
      : bytes;

const isPool = (channel: ChannelName): boolean =>
  channel === "transaction" || channel === "snark" || channel === "snark-job-commitment";

function read(channel: ChannelName, bytes: Uint8Array): ChannelMessage | null {
  const wire = readWire(channel, bytes);
  return typeof wire === "string" ? null : wire;
}
