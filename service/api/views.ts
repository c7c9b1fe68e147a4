import type { Hex } from "../../core/bytes.ts";
import type { TransactionInfo } from "../../core/chain.ts";
import { CHANNEL_NAMES, type ChannelName } from "../../core/channels/table.ts";
import type { TransactionChannel } from "../../core/channels/transaction.ts";
import type { PoolEntry } from "../../core/pool-log.ts";
import type { LivePeer, Peer, State } from "../../core/state.ts";
import { countPeers, nonceAfterPool, peerStateOf, poolDigest } from "../../reducers/status.ts";
import type { Account } from "../chain/genesis.ts";
import type { RunningNode } from "../node.ts";

// What the operator API shows, as plain JSON: bigints are decimal strings, bytes are hexadecimal.

/** @param timeMs now, by the clock the node was started with */
export function statusView({ peerId, address, startedMs }: RunningNode, state: State, timeMs: number) {
  return {
    peerId,
    addresses: address === null ? [] : [address],
    chainId: state.config.chainId,
    userAgent: state.config.userAgent,
    uptimeMs: Math.max(0, timeMs - startedMs),
    peers: countPeers(state),
    pools: {
      transactions: { size: state.transactions.entries.size, digest: poolDigest(state.transactions) },
    },
    disconnects: state.endings,
    dropped: state.dropped,
  };
}

export function peersView(state: State, traffic: RunningNode["traffic"]) {
  return Array.from(state.peers.values(), (peer) => peerView(state, peer, traffic));
}

function peerView(state: State, peer: Peer, traffic: RunningNode["traffic"]) {
  const { live, dialing, answering } = peer;
  const attemptId = live?.attemptId ?? dialing ?? answering;
  const attempt = attemptId === null ? undefined : state.attempts.get(attemptId);
  const bytes = attemptId === null ? undefined : traffic(attemptId);
  const sinceMs = live?.sinceMs ?? attempt?.startedMs;
  return {
    id: peer.peerId,
    direction: live?.direction ?? (dialing === null ? "incoming" : "outgoing"),
    state: peerStateOf(peer),
    since: sinceMs === undefined ? null : new Date(sinceMs).toISOString(),
    userAgent: live?.userAgent ?? null,
    bytesIn: bytes?.bytesIn ?? 0,
    bytesOut: bytes?.bytesOut ?? 0,
    channels: live === null ? halfOpenChannels(attempt?.opened ?? []) : liveChannels(live),
  };
}

const halfOpenChannels = (opened: readonly ChannelName[]) =>
  Object.fromEntries(
    CHANNEL_NAMES.map((name) => [name, { state: opened.includes(name) ? "open" : "enabled" }]),
  );

function liveChannels({ control, transaction, rpc, blocked }: LivePeer) {
  return {
    control: { ...ready("control", blocked), awaitingPong: control.awaitingPong !== null },
    transaction:
      transaction === null
        ? DISABLED
        : { ...ready("transaction", blocked), permits: permitsView(transaction) },
    rpc:
      rpc === null
        ? DISABLED
        : { ...ready("rpc", blocked), requests: { ours: rpc.ours.length, theirs: rpc.theirs.length } },
  };
}

const DISABLED = { state: "disabled" };

const ready = (name: ChannelName, blocked: readonly ChannelName[]) => ({
  state: "ready",
  blocked: blocked.includes(name),
});

const OUR_PERMITS = { idle: "idle", permitGiven: "given", processing: "processing" } as const;

const permitsView = ({ ours, theirs }: TransactionChannel) => ({
  ours: OUR_PERMITS[ours.tag],
  theirs: theirs.tag,
});

/** Transactions whose log index is greater than `after`, oldest first; `next` is null at the end of the log. */
export function transactionsView({ transactions }: State, after: number, limit: number) {
  const page: ReturnType<typeof transactionView>[] = [];
  let next: number | null = null;
  for (const hash of transactions.byIndex.values(after + 1)) {
    const entry = transactions.entries.get(hash);
    if (entry === undefined) continue;
    if (page.length === limit) return { transactions: page, next };
    page.push(transactionView(entry));
    next = entry.index;
  }
  return { transactions: page, next: null };
}

export const transactionView = ({ index, info, addedMs }: PoolEntry<TransactionInfo>) => ({
  hash: info.hash,
  fee: info.fee.toString(),
  sender: info.sender,
  nonce: info.nonce,
  addedMs,
  index,
});

export const accountView = (state: State, key: Hex, { balance, nonce }: Account) => ({
  key,
  balance: balance.toString(),
  nonce,
  nextNonce: Math.max(nonce + 1, nonceAfterPool(state.transactions, key)),
});
