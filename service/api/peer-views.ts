import type { BestTipChannel } from "../../core/channels/best-tip.ts";
import type { DiscoveryChannel } from "../../core/channels/discovery.ts";
import type { ExchangeChannel } from "../../core/channels/exchange.ts";
import type { PermitChannel } from "../../core/channels/permits.ts";
import type { StreamingChannel } from "../../core/channels/streaming-rpc.ts";
import { CHANNEL_NAMES, type ChannelName } from "../../core/channels/table.ts";
import type { PeerId } from "../../core/ids.ts";
import type { LivePeer, Peer, State } from "../../core/state.ts";
import { peerStateOf } from "../../reducers/status.ts";
import type { RunningNode } from "../node.ts";

/** The peers of a node and, of each channel with them, the permits of both sides. */
export function peersView(state: State, traffic: RunningNode["traffic"]) {
  return Array.from(state.peers.values(), (peer) => peerView(state, peer, traffic));
}

function peerView(state: State, peer: Peer, traffic: RunningNode["traffic"]) {
  const { live, dialing, answering, peerId } = peer;
  const attemptId = live?.attemptId ?? dialing ?? answering;
  const attempt = attemptId === null ? undefined : state.attempts.get(attemptId);
  const bytes = attemptId === null ? undefined : traffic(attemptId);
  const sinceMs = live?.sinceMs ?? attempt?.startedMs;
  return {
    id: peerId,
    direction: live?.direction ?? (dialing === null ? "incoming" : "outgoing"),
    state: peerStateOf(peer),
    since: sinceMs === undefined ? null : new Date(sinceMs).toISOString(),
    userAgent: live?.userAgent ?? null,
    bytesIn: bytes?.bytesIn ?? 0,
    bytesOut: bytes?.bytesOut ?? 0,
    bestTip: live === null ? null : receivedTip(live),
    record: live === null ? null : recordView(live),
    channels:
      live === null
        ? halfOpenChannels(attempt?.opened ?? [])
        : liveChannels(live, fetchedFrom(state, peerId)),
  };
}

/** What the peer announced last, whatever became of it. */
function receivedTip({ bestTip }: LivePeer) {
  const received = bestTip?.received ?? null;
  if (received === null) return null;
  const { hash, height, slot } = received;
  return { hash, height, slot };
}

const recordView = ({ record: { promptness, asked, withheld } }: LivePeer) => ({
  slow: promptness === "slow",
  asked,
  withheld,
});

const halfOpenChannels = (opened: readonly ChannelName[]) =>
  Object.fromEntries(
    CHANNEL_NAMES.map((name) => [name, { state: opened.includes(name) ? "open" : "enabled" }]),
  );

function liveChannels(
  { control, discovery, exchange, bestTip, pools, rpc, streaming, blocked }: LivePeer,
  fetched: Fetched,
): { readonly [Name in ChannelName]: object } {
  /** @param shown null: one of both sides does not enable the channel */
  const shown = (name: ChannelName, shown: object | null) =>
    shown === null ? { state: "disabled" } : { state: "ready", blocked: blocked.includes(name), ...shown };
  return {
    control: shown("control", { awaitingPong: control.awaitingPong !== null }),
    "signaling/discovery": shown("signaling/discovery", discovery && { permits: flowsOf(discovery) }),
    "signaling/exchange": shown("signaling/exchange", exchange && { permits: flowsOf(exchange) }),
    "best-tip": shown("best-tip", bestTip && { permits: tipPermits(bestTip) }),
    transaction: shown("transaction", pools.transaction && { permits: poolPermits(pools.transaction) }),
    snark: shown("snark", pools.snark && { permits: poolPermits(pools.snark) }),
    "snark-job-commitment": shown(
      "snark-job-commitment",
      pools["snark-job-commitment"] && { permits: poolPermits(pools["snark-job-commitment"]) },
    ),
    rpc: shown("rpc", rpc && { requests: { ours: rpc.ours.length, theirs: rpc.theirs.length } }),
    "streaming-rpc": shown("streaming-rpc", streaming && { streams: streamsView(streaming, fetched) }),
  };
}

/** What a relayed offer has come to on the two channels of 7.1 and 7.2; permits have the same names as elsewhere. */
const flowsOf = ({ ours, theirs }: DiscoveryChannel | ExchangeChannel) => ({
  ours: ours.tag === "permitGiven" ? "given" : ours.tag,
  theirs: theirs.tag === "permitOpen" ? "open" : theirs.tag,
});

const TIP_PERMITS = { idle: "idle", permitGiven: "given", processing: "processing" } as const;

const tipPermits = ({ ours, theirs }: BestTipChannel) => ({ ours: TIP_PERMITS[ours.tag], theirs });

const POOL_PERMITS = { ...TIP_PERMITS, reconciling: "reconciling" } as const;

const poolPermits = ({ ours, theirs }: PermitChannel) => ({
  ours: POOL_PERMITS[ours.tag],
  theirs: theirs.tag,
});

/** What this node has from a peer of the stream that it is fetching. */
type Fetched = { readonly root: string; readonly stored: number; readonly permitted: number } | null;

function fetchedFrom({ download }: State, peerId: PeerId): Fetched {
  const source = download?.sources.get(peerId);
  if (download === null || source === undefined) return null;
  return { root: download.root, stored: source.stored, permitted: source.permitted.length };
}

/** In chunks: `ours` is fetched from the peer, `theirs` is served to it; permitted are those that may be sent now. */
const streamsView = ({ theirs }: StreamingChannel, ours: Fetched) => ({
  ours,
  theirs:
    theirs === null ? null : { root: theirs.root, chunks: theirs.chunks, permitted: theirs.permitted.length },
});
