import { sha256 } from "@noble/hashes/sha2.js";
import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import type { TransactionInfo } from "../core/chain.ts";
import type { PoolLog } from "../core/pool-log.ts";
import type { PoolInfo } from "../core/pools.ts";
import type { Peer, State } from "../core/state.ts";
import { isUnfinished } from "./attempts.ts";

/** What the operator is shown of a state. */

export interface PeerCounts {
  /** Ready. */
  readonly connected: number;
  /** Half-open, those whose key is not known yet included. */
  readonly connecting: number;
  readonly max: number;
}

export function countPeers(state: State): PeerCounts {
  let connected = 0;
  for (const { live } of state.peers.values()) if (live !== null) connected += 1;
  let connecting = 0;
  for (const attempt of state.attempts.values()) if (isUnfinished(attempt)) connecting += 1;
  return { connected, connecting, max: state.config.peersMax };
}

const digests = new WeakMap<PoolLog<PoolInfo>["entries"], Hex>();

/** SHA-256 of the hashes of a pool, sorted and concatenated as bytes: equal pools have equal digests. */
export function poolDigest({ entries }: PoolLog<PoolInfo>): Hex {
  const known = digests.get(entries);
  if (known !== undefined) return known;
  const hash = sha256.create();
  for (const key of entries.keys()) hash.update(fromHex(key));
  const digest = toHex(hash.digest());
  digests.set(entries, digest);
  return digest;
}

/** The least nonce above every transaction of this sender in the pool, 0 if there is none. */
export function nonceAfterPool({ bySlot, entries }: PoolLog<TransactionInfo>, sender: Hex): number {
  // "!" sorts directly after the space that separates sender and nonce.
  const last = bySlot.before(`${sender}!`);
  const info = last === undefined ? undefined : entries.get(last[1])?.info;
  return info?.sender === sender ? info.nonce + 1 : 0;
}

export type PeerState = "dialing" | "answering" | "ready";

export const peerStateOf = ({ live, dialing }: Peer): PeerState =>
  live !== null ? "ready" : dialing !== null ? "dialing" : "answering";
