import { accountOf, type SimTransaction } from "../sim-items.ts";
import { type Cluster, type ClusterOptions, createCluster } from "../simulator.ts";

/** Node 0 is the one that is watched, or that has to be fair; the others are alike. */
export const HUB = 0;
export const EQUAL_LINKS = { latencyMs: [20, 20], jitterMs: 2, closedChance: 0 } as const;

export function star(nodes: number, options: Partial<ClusterOptions>): Cluster {
  const cluster = createCluster({ nodes, seed: 1, link: EQUAL_LINKS, ...options });
  connectStar(cluster);
  return cluster;
}

/** All others dial the hub. @param pauseMs between two of them */
export function connectStar(cluster: Cluster, pauseMs: () => number = () => 0): void {
  for (let node = 1; node < cluster.nodes.length; node++) {
    cluster.dial(node, HUB);
    cluster.runFor(pauseMs());
  }
  cluster.runUntilQuiet();
}

/** Some fetch the ledger that all have, from all whom they know. */
export function beginStreams(cluster: Cluster, downloaders: readonly number[]): void {
  const root = cluster.node(HUB).state.chain.tip.ledgerRoot;
  // What catching up would begin after many blocks.
  for (const node of downloaders) cluster.node(node).give({ type: "stream/fetch", root } as never);
}

export const payment = (sender: number, nonce: number): SimTransaction => ({
  fee: BigInt(1 + nonce),
  sender: accountOf(sender),
  nonce,
  verdict: "valid",
  salt: 0,
});
