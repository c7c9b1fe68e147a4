import { measure } from "../fuzz/measure.ts";
import { print, rounded } from "./measure.ts";

/** Steps per second of the simulated cluster, codec included, one process. */

const SIZES = [10, 100];
const SECONDS = 5;

export function benchCluster(): void {
  const now = (): number => performance.now();
  // A first run warms up the compiler, and counts the bodies with all checkers on.
  const { bodiesPerItem } = measure(10, SECONDS, now, true);
  print({ bench: "simulated cluster", nodes: 10, bodiesPerItemAndNode: rounded(bodiesPerItem) });
  for (const nodes of SIZES) {
    const { inputs, actions, seconds, virtualSeconds } = measure(nodes, SECONDS, now);
    print({
      bench: "simulated cluster",
      nodes,
      stepsPerSecond: Math.round(inputs / seconds),
      actionsPerSecond: Math.round(actions / seconds),
      timesRealTime: rounded(virtualSeconds / seconds),
    });
  }
}
