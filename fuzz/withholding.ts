import { createChecker } from "./checker.ts";
import { createDeliveries, type Delivered } from "./deliveries.ts";
import type { LinkOptions } from "./sim-host.ts";
import { accountOf } from "./sim-items.ts";
import { type Cluster, type ClusterObserver, createCluster } from "./simulator.ts";
import { withholding } from "./tamper.ts";

export interface Withholding {
  readonly seed: number;
  readonly nodes: number;
  /** The last ones of them announce everything they hear of and serve nothing. */
  readonly liars: number;
  readonly items: number;
  /** Liars are told of each item when it is submitted, so that theirs are the first announcements. */
  readonly liarsKnowFirst: boolean;
  readonly link?: Partial<LinkOptions>;
  /** With every law checked at every step of the honest nodes, which takes ten times as long. */
  readonly isChecked: boolean;
  readonly observers?: readonly ClusterObserver[];
}

export interface Fetched extends Delivered {
  /** Bodies that arrived, for each item and honest node that fetched it (P09). */
  readonly bodiesPerItem: number;
  readonly endings: Readonly<Record<string, number>>;
}

/** How long the submissions take, ms: what a network is busy with, and not only a burst. */
const SUBMITTING_MS = 20_000;

/** All nodes are connected with each other; honest ones submit. */
export function playWithholding(options: Withholding): Fetched {
  const { nodes, liars, items, seed } = options;
  const honest = nodes - liars;
  const isLiar = (node: number): boolean => node >= honest;
  const deliveries = createDeliveries(honest);
  const checker = createChecker((node) => cluster.chain(node).judged, isLiar);
  const cluster: Cluster = createCluster({
    nodes,
    seed,
    ...(options.link === undefined ? {} : { link: options.link }),
    tamper: withholding(isLiar),
    observers: [...(options.isChecked ? [checker] : []), ...(options.observers ?? []), deliveries.observer],
  });
  for (let a = 1; a < nodes; a++) for (let b = 0; b < a; b++) cluster.dial(a, b);
  cluster.runUntilQuiet();
  const { random } = cluster;
  for (let nonce = 0; nonce < items; nonce++) {
    cluster.runFor(random.between(0, (2 * SUBMITTING_MS) / items));
    const by = random.int(honest);
    const payment = {
      fee: BigInt(random.int(1_000)),
      sender: accountOf(by),
      nonce,
      verdict: "valid",
      salt: 0,
    } as const;
    const { hash } = cluster.submit(by, payment);
    deliveries.submitted(hash, by, cluster.clock.nowMs);
    if (!options.liarsKnowFirst) continue;
    for (let liar = honest; liar < nodes; liar++) cluster.submit(liar, payment);
  }
  cluster.runFor(60_000);
  const { latenciesMs, missing } = deliveries.delivered();
  const bodies = cluster.nodes.slice(0, honest).reduce((sum, { state }) => sum + state.bodies.transaction, 0);
  const endings: Record<string, number> = {};
  for (const { state } of cluster.nodes.slice(0, honest)) {
    for (const [ending, count] of Object.entries(state.endings))
      endings[ending] = (endings[ending] ?? 0) + count;
  }
  return {
    latenciesMs,
    missing,
    bodiesPerItem: bodies / latenciesMs.length,
    endings,
  };
}
