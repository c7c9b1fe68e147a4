import type { PermitChannel } from "../core/channels/permits.ts";
import { isBetterTip } from "../core/consensus.ts";
import { greaterOf, highestSince, isAbove } from "../core/floors.ts";
import type { PeerId } from "../core/ids.ts";
import { POOL_NAMES, type PoolName } from "../core/pools.ts";
import type { LivePeer, State } from "../core/state.ts";
import { isGateOpen } from "../reducers/gate.ts";
import { floorOf } from "../reducers/pools.ts";
import { isBelowOurs } from "../reducers/sync/pursuit.ts";
import type { Clock } from "./sim-clock.ts";
import type { SimNode } from "./sim-node.ts";

/** Why a cluster is not quiet yet, in words; null if only keepalive is left to happen. */
export function pendingIn(clock: Clock, nodes: readonly SimNode[]): string | null {
  if (clock.inFlight > 0) return `${clock.inFlight} events are on their way`;
  for (const node of nodes) {
    if (!node.isAlive()) continue;
    const why =
      (node.isFrozen() ? "is frozen" : null) ??
      pendingWork(node.state) ??
      pendingConnections(nodes, node) ??
      pendingPeers(node.state);
    if (why !== null) return `node ${node.index} ${why}`;
  }
  return null;
}

function pendingWork({ attempts, fetches, batches, sync, download, work }: State): string | null {
  if (fetches.size > 0) return `fetches ${fetches.size} items`;
  if (batches.size > 0) return `verifies ${batches.size} batches`;
  if (sync.pursuit !== null) return `pursues ${sync.pursuit.tip.hash} (${sync.pursuit.stage.tag})`;
  if (sync.adopting !== null || sync.applying !== null) return "is changing its tip";
  if (download?.isActive) return "is fetching a stream";
  if (work.jobs.length > 0) return `works on ${work.jobs.length} jobs`;
  for (const { id, phase } of attempts.values()) {
    if (phase.tag !== "ready") return `has attempt ${id} ${phase.tag}`;
  }
  return null;
}

function pendingConnections(nodes: readonly SimNode[], { state }: SimNode): string | null {
  for (const { peerId, live } of state.peers.values()) {
    // The other process may be gone or another one by now: then the end of this connection is still to come.
    if (live !== null && !isMutual(nodes, state, peerId)) return `has lost ${peerId}`;
  }
  if (state.stopping) return null;
  for (const { address } of state.targets.values()) {
    const isUp = nodes.some((other) => other.isAlive() && other.state.config.peerId === address.peerId);
    const isLive = (state.peers.get(address.peerId)?.live ?? null) !== null;
    if (isUp && !isLive) return `is not connected with ${address.host}`;
  }
  return null;
}

function isMutual(nodes: readonly SimNode[], { config }: State, peerId: PeerId): boolean {
  const other = nodes.find(({ state }) => state.config.peerId === peerId);
  return other?.isAlive() === true && other.state.peers.get(config.peerId)?.live != null;
}

function pendingPeers(state: State): string | null {
  for (const { peerId, live } of state.peers.values()) {
    if (live === null) continue;
    const why = pendingTip(state, peerId, live);
    if (why !== null) return `${why} (${peerId})`;
    for (const pool of POOL_NAMES) {
      const channel = live.pools[pool];
      const whyPool = channel === null ? null : pendingPool(state, peerId, pool, channel);
      if (whyPool !== null) return `${whyPool} (${pool}, ${peerId})`;
    }
  }
  return null;
}

/** Everybody knows the tips of his peers, and there is only one: better ones are being fetched or tried again. */
function pendingTip(state: State, _peerId: PeerId, { bestTip }: LivePeer): string | null {
  if (bestTip === null) return null;
  const { ours, received, announced } = bestTip;
  const { tip } = state.chain;
  if (ours.tag !== "permitGiven") return `has its permit for tips ${ours.tag}`;
  if (received === null) return "was not told of a tip";
  if (isBetterTip(received, tip, state.config.chain) && !isBelowOurs(state, received))
    return `has not got the better tip ${received.hash}`;
  return announced !== null && !isBetterTip(tip, announced, state.config.chain)
    ? null
    : "has not told of its tip";
}

function pendingPool(state: State, peerId: PeerId, pool: PoolName, channel: PermitChannel): string | null {
  const { ours, theirs, cursor } = channel;
  if (ours.tag !== "permitGiven") return `has its permit ${ours.tag}`;
  const floor = floorOf(state, pool);
  if (isAbove(lackOf(state, pool, channel), floor)) return "may lack something";
  if (isAbove(ours.windows.at(-1)?.floor ?? null, floor)) return "holds back what it has room for";
  const isOffering = theirs.tag === "open" && isGateOpen(state, peerId);
  return isOffering && cursor < state.pools[pool].nextIndex ? "has not offered all it has" : null;
}

/** `high` of 7.4: the greatest priority that may be lacking. */
export const lackOf = ({ floors }: State, pool: PoolName, { lack }: PermitChannel) =>
  greaterOf(lack.below, highestSince(floors[pool], lack.sinceMark));
