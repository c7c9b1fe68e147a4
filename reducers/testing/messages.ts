import type { ControlMessage } from "../../core/channels/control.ts";
import type { DiscoveryMessage } from "../../core/channels/discovery.ts";
import type { ExchangeMessage } from "../../core/channels/exchange.ts";
import type { Cursor, PermitWindow, PoolMessage } from "../../core/channels/permits.ts";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import { type ChannelMessage, type ChannelName, encodeMessage } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import type { PoolInfo, PoolName } from "../../core/pools.ts";
import type { TestNode } from "./node.ts";
import type { Result } from "./results.ts";

// What peers say.

export const say = (node: TestNode, attemptId: AttemptId, said: ChannelMessage): Result =>
  sayBytes(node, attemptId, said.channel, encodeMessage(said));

export const sayBytes = (
  node: TestNode,
  attemptId: AttemptId,
  channel: ChannelName,
  bytes: Uint8Array,
): Result => node.feed({ type: "event/message", attemptId, channel, bytes });

export const control = (message: ControlMessage): ChannelMessage => ({ channel: "control", message });

export const discovery = (message: DiscoveryMessage): ChannelMessage => ({
  channel: "signaling/discovery",
  message,
});

export const exchange = (message: ExchangeMessage): ChannelMessage => ({
  channel: "signaling/exchange",
  message,
});

export interface Permit {
  readonly limit: number;
  readonly floor: PermitWindow["floor"];
  readonly band: PermitWindow["band"];
  readonly resume: Cursor | null;
}

/** A permit: for everything, if nothing else is said. */
export function getNext(
  seq: number,
  changes: Partial<Permit> = {},
  pool: PoolName = "transaction",
): ChannelMessage {
  const { limit = 32, floor = null, band = null, resume = null } = changes;
  return { channel: pool, message: { tag: "getNext", limit, window: { seq, floor, band }, resume } };
}

export function refloor(
  seq: number,
  changes: Partial<Pick<Permit, "floor" | "band">> = {},
  pool: PoolName = "transaction",
): ChannelMessage {
  const { floor = null, band = null } = changes;
  return { channel: pool, message: { tag: "refloor", window: { seq, floor, band } } };
}

export type Infos = Extract<PoolMessage, { tag: "infos" }>;

export const infos = (
  seq: number,
  items: readonly PoolInfo[],
  changes: Partial<Pick<Infos, "cursor" | "rest">> = {},
  pool: PoolName = "transaction",
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
