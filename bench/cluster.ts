import { type Cluster, type ClusterObserver, createCluster } from "../fuzz/simulator.ts";
import { createWatched } from "../fuzz/watched.ts";
import { cpuUs, median, print, rounded } from "./measure.ts";

/**
 * How fast the simulator is: one process, one core, real bytes on every link, no checkers. The load is that of the
 * Mina network, a payment each 5 seconds; a second figure tells what ten times as much costs.
 */

interface Network {
  readonly nodes: number;
  /** On average, of both directions. */
  readonly links: number;
  readonly paymentsPerSecond: number;
  /** What is asked of it: virtual seconds per second of processor time. */
  readonly line?: number;
}

const NETWORKS: readonly Network[] = [
  { nodes: 10, links: 8, paymentsPerSecond: 0.2, line: 250 },
  { nodes: 10, links: 8, paymentsPerSecond: 2 },
  { nodes: 100, links: 16, paymentsPerSecond: 0.2, line: 15 },
  { nodes: 1_000, links: 8, paymentsPerSecond: 0.2, line: 1 },
];
const MEASURED_S = 5;
const ROUNDS = 5;
/** Until everybody is connected. */
const SETUP_MS = 10_000;

export function benchCluster(): void {
  print({ bench: "simulated cluster", nodes: 10, bodiesPerItemAndNode: rounded(bodiesPerItem()) });
  for (const network of NETWORKS) {
    let actions = 0;
    const counter: ClusterObserver = {
      after: (_node, _input, result) => {
        actions += result.actions.length;
      },
    };
    const cluster = createCluster({ nodes: network.nodes, seed: 1, observers: [counter] });
    connect(cluster, network);
    const rounds = Array.from({ length: ROUNDS }, () => {
      const [inputsBefore, actionsBefore] = [cluster.inputs(), actions];
      const { seconds, virtualSeconds } = run(cluster, network);
      return {
        timesRealTime: virtualSeconds / seconds,
        inputsPerSecond: (cluster.inputs() - inputsBefore) / seconds,
        actionsPerSecond: (actions - actionsBefore) / seconds,
      };
    });
    const of = (name: keyof (typeof rounds)[number]): number => median(rounds.map((round) => round[name]));
    print({
      bench: "simulated cluster",
      ...network,
      timesRealTime: rounded(of("timesRealTime")),
      actionsPerSecond: Math.round(of("actionsPerSecond")),
      inputsPerSecond: Math.round(of("inputsPerSecond")),
      rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
    });
  }
}

/** Bodies that arrive per payment and node that has to fetch it (P09), with all checkers on. */
function bodiesPerItem(): number {
  const network = { nodes: 10, links: 8, paymentsPerSecond: 10 };
  const { cluster, checker } = createWatched({ nodes: network.nodes, seed: 1 });
  connect(cluster, network);
  run(cluster, network);
  const bodies = [...checker.bodies.values()].reduce((sum, count) => sum + count, 0);
  return bodies / checker.bodies.size;
}

/** A random graph: each node dials half as many earlier ones as it is to have links. */
function connect(cluster: Cluster, { nodes, links }: Network): void {
  for (let node = 1; node < nodes; node++) {
    const targets = new Set([node - 1]);
    while (targets.size < Math.min(links / 2, node)) targets.add(cluster.random.int(node));
    for (const target of targets) cluster.dial(node, target);
  }
  cluster.runFor(SETUP_MS);
}

/** Payments at random nodes, second after second of virtual time, until so much processor time is used. */
function run(
  cluster: Cluster,
  { nodes, paymentsPerSecond }: Network,
): { readonly seconds: number; readonly virtualSeconds: number } {
  const [startUs, startMs] = [cpuUs(), cluster.clock.nowMs];
  const seconds = (): number => (cpuUs() - startUs) / 1e6;
  const virtualSeconds = (): number => (cluster.clock.nowMs - startMs) / 1_000;
  let payments = 0;
  do {
    for (; payments < virtualSeconds() * paymentsPerSecond; payments++) {
      cluster.submit(cluster.random.int(nodes), {
        fee: BigInt(cluster.random.int(1_000)),
        // Everybody's first payment: nothing has to wait for another.
        sender: cluster.random
          .int(2 ** 48)
          .toString(16)
          .padStart(64, "0"),
        nonce: 0,
        verdict: "valid",
        salt: payments,
      });
    }
    cluster.runFor(1_000);
  } while (seconds() < MEASURED_S);
  return { seconds: seconds(), virtualSeconds: virtualSeconds() };
}
