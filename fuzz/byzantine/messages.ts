import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, fromHex, type Hex, toHex } from "../../core/bytes.ts";
import type { TransactionInfo } from "../../core/chain.ts";
import type { ControlMessage } from "../../core/channels/control.ts";
import type { DiscoveryMessage } from "../../core/channels/discovery.ts";
import type { ExchangeMessage } from "../../core/channels/exchange.ts";
import type { PermitWindow, PoolMessage } from "../../core/channels/permits.ts";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import type { PoolInfo, PoolName } from "../../core/pools.ts";
import type { Envelope } from "../../core/signals.ts";
import { accountOf, type SimTransaction, type SimVerdict } from "../sim-items.ts";
import type { Random } from "../sim-random.ts";
import type { Line } from "./behaviour.ts";

/** What liars say, written from section 7 alone. */

export const control = (message: ControlMessage): ChannelMessage => ({ channel: "control", message });

export const discovery = (message: DiscoveryMessage): ChannelMessage => ({
  channel: "signaling/discovery",
  message,
});

export const exchange = (message: ExchangeMessage): ChannelMessage => ({
  channel: "signaling/exchange",
  message,
});

/** In the form of a sealed signal, and nothing in it. */
export const garbage = (random: Random): Envelope => ({
  ephemeral: fromHex(randomHex(random)),
  nonce: fromHex(randomHex(random)).subarray(0, 12),
  ciphertext: fromHex(randomHex(random)),
});

export const ping = (n: number): ChannelMessage => control({ tag: "ping", n });

/** A permit for everything, if nothing else is said. */
export const getNext = (
  pool: PoolName,
  seq: number,
  changes: Partial<Omit<PermitWindow, "seq">> = {},
): ChannelMessage => ({
  channel: pool,
  message: {
    tag: "getNext",
    limit: 32,
    window: { seq, floor: null, band: null, ...changes },
    resume: null,
  },
});

export const refloor = (
  pool: PoolName,
  seq: number,
  changes: Partial<Omit<PermitWindow, "seq">> = {},
): ChannelMessage => ({
  channel: pool,
  message: { tag: "refloor", window: { seq, floor: null, band: null, ...changes } },
});

export type Infos = Extract<PoolMessage, { tag: "infos" }>;

export const infos = (
  pool: PoolName,
  seq: number,
  items: readonly PoolInfo[],
  changes: Partial<Omit<Infos, "tag" | "seq" | "items">> = {},
): ChannelMessage => ({
  channel: pool,
  message: { tag: "infos", cursor: { epoch: 1n, next: 1n }, seq, rest: null, items, ...changes },
});

export const request = (id: number, body: RpcRequest): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "request", id, body },
});

export const response = (id: number, body: RpcResponse): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "response", id, body },
});

export const stream = (message: StreamingMessage): ChannelMessage => ({
  channel: "streaming-rpc",
  message,
});

export const times = (count: number, make: (index: number) => ChannelMessage): readonly ChannelMessage[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Bytes that mean nothing, by the seed. */
export const randomHex = (random: Random): Hex => toHex(sha256(ascii(`random ${random.int(2 ** 32)}`)));

/** Of an item that nobody has. */
export const fakeInfo = (random: Random): TransactionInfo => ({
  hash: randomHex(random) as Hash,
  fee: BigInt(random.int(1_000)),
  sender: randomHex(random),
  nonce: random.int(100),
});

/** An item that only liars submit: no honest sender's nonces are used up by it. */
export const payment = (random: Random, verdict: SimVerdict = "valid"): SimTransaction => ({
  fee: BigInt(random.between(1, 1_000)),
  sender: accountOf(random.between(1_000_000, 9_000_000)),
  nonce: 0,
  verdict,
  salt: 0,
});

/** A block of the honest side has taken that payment out of its pool. */
export const isSpent = ({ liar, to }: Line, { sender }: SimTransaction): boolean =>
  liar.cluster.chain(to).best().ledger.nonces.has(sender);
