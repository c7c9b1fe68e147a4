import { encode } from "../codec/codec.ts";
import type { Schema } from "../codec/schema.ts";
import {
  BEST_TIP_BYTES_MAX,
  COMMITMENT_BYTES_MAX,
  CONTROL_BYTES_MAX,
  RPC_BYTES_MAX,
  SIGNALING_BYTES_MAX,
  SNARK_BYTES_MAX,
  STREAMING_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
} from "../limits.ts";
import { type BestTipMessage, bestTipSchema } from "./best-tip.ts";
import { type ControlMessage, controlSchema } from "./control.ts";
import { type DiscoveryMessage, discoverySchema } from "./discovery.ts";
import { type ExchangeMessage, exchangeSchema } from "./exchange.ts";
import { type PoolMessage, snarkJobCommitmentSchema, snarkSchema, transactionSchema } from "./permits.ts";
import { type RpcMessage, rpcSchema } from "./rpc.ts";
import { type StreamingMessage, streamingSchema } from "./streaming-rpc.ts";

/** What travels on each channel. */
interface Messages {
  readonly control: ControlMessage;
  readonly "signaling/discovery": DiscoveryMessage;
  readonly "signaling/exchange": ExchangeMessage;
  readonly "best-tip": BestTipMessage;
  readonly transaction: PoolMessage;
  readonly snark: PoolMessage;
  readonly "snark-job-commitment": PoolMessage;
  readonly rpc: RpcMessage;
  readonly "streaming-rpc": StreamingMessage;
}

/** A message and the channel it travels on. */
export type ChannelMessage = {
  readonly [Name in keyof Messages]: { readonly channel: Name; readonly message: Messages[Name] };
}[keyof Messages];

export type ChannelName = keyof Messages;

interface Channel<Message> {
  /** Of the data channel (section 7). */
  readonly id: number;
  readonly bytesMax: number;
  readonly schema: Schema<Message>;
}

/** The channels this version enables, under their names on the wire. */
export const CHANNELS: { readonly [Name in ChannelName]: Channel<Messages[Name]> } = {
  control: { id: 0, bytesMax: CONTROL_BYTES_MAX, schema: controlSchema },
  "signaling/discovery": { id: 1, bytesMax: SIGNALING_BYTES_MAX, schema: discoverySchema },
  "signaling/exchange": { id: 2, bytesMax: SIGNALING_BYTES_MAX, schema: exchangeSchema },
  "best-tip": { id: 3, bytesMax: BEST_TIP_BYTES_MAX, schema: bestTipSchema },
  transaction: { id: 4, bytesMax: TRANSACTION_BYTES_MAX, schema: transactionSchema },
  snark: { id: 5, bytesMax: SNARK_BYTES_MAX, schema: snarkSchema },
  "snark-job-commitment": { id: 6, bytesMax: COMMITMENT_BYTES_MAX, schema: snarkJobCommitmentSchema },
  rpc: { id: 7, bytesMax: RPC_BYTES_MAX, schema: rpcSchema },
  "streaming-rpc": { id: 8, bytesMax: STREAMING_BYTES_MAX, schema: streamingSchema },
};

export const CHANNEL_NAMES = Object.keys(CHANNELS) as readonly ChannelName[];

/** Bit n of Hello.channels: channel n is enabled (section 4). */
export const CHANNEL_BITS = CHANNEL_NAMES.reduce((bits, name) => bits | (1 << CHANNELS[name].id), 0);

export const encodeMessage = ({ channel, message }: ChannelMessage): Uint8Array =>
  // The schema of a channel writes its messages; TypeScript cannot see that name and message belong together.
  encode(CHANNELS[channel].schema as Schema<ChannelMessage["message"]>, message);
