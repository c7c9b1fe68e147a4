import { createChecker } from "./checker.ts";
import { createCluster } from "./simulator.ts";

export interface Measured {
  /** Inputs that the cluster's nodes took in, of any kind. */
  readonly inputs: number;
  /** Actions those caused, the inputs included. */
  readonly actions: number;
  readonly transactions: number;
  /** Wall-clock time, and the virtual time that passed in it. */
  readonly seconds: number;
  readonly virtualSeconds: number;
  readonly inputsPerSecond: number;
  /** Bodies that arrived per transaction and node that had to fetch it (P09). Only counted when watched. */
  readonly bodiesPerItem: number;
}

const DEGREE = 4;
const TRANSACTIONS_PER_ROUND = 10;

/**
 * How fast a cluster runs: a random graph of degree about twice DEGREE, transactions at random nodes, until the wall
 * clock says stop.
 *
 * @param now wall-clock milliseconds
 * @param isWatched with every checker on, as the tests run it
 */
export function measure(nodes: number, seconds: number, now: () => number, isWatched = false): Measured {
  const checker = createChecker((node) => cluster.chain(node).judged);
  let actions = 0;
  const after = (_node: unknown, _input: unknown, result: { readonly actions: readonly unknown[] }): void => {
    actions += result.actions.length;
  };
  const cluster = createCluster({
    nodes,
    seed: 1,
    observers: isWatched ? [checker, { after }] : [{ after }],
  });
  const startMs = now();
  const virtualStartMs = cluster.clock.nowMs;
  for (let node = 1; node < nodes; node++) {
    const targets = new Set([node - 1]);
    while (targets.size < Math.min(DEGREE, node)) targets.add(cluster.random.int(node));
    for (const target of targets) cluster.dial(node, target);
  }
  let transactions = 0;
  do {
    for (let count = 0; count < TRANSACTIONS_PER_ROUND; count++) {
      const nonce = transactions++;
      const fee = BigInt(cluster.random.int(1_000));
      cluster.submit(cluster.random.int(nodes), {
        fee,
        sender: "ab".repeat(32),
        nonce,
        verdict: "valid",
        salt: 0,
      });
    }
    cluster.runFor(1_000);
  } while (now() < startMs + 1_000 * seconds);
  const spent = (now() - startMs) / 1_000;
  const inputs = cluster.inputs();
  const bodies = [...checker.bodies.values()].reduce((sum, count) => sum + count, 0);
  return {
    inputs,
    actions,
    transactions,
    seconds: spent,
    virtualSeconds: (cluster.clock.nowMs - virtualStartMs) / 1_000,
    inputsPerSecond: Math.round(inputs / spent),
    bodiesPerItem: checker.bodies.size === 0 ? 0 : bodies / checker.bodies.size,
  };
}
