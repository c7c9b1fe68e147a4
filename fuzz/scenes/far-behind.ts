import { createChecker } from "../checker.ts";
import { brokenPromises } from "../promises.ts";
import { DEFAULT_CONSENSUS } from "../sim-consensus.ts";
import { accountOf } from "../sim-items.ts";
import { createRandom } from "../sim-random.ts";
import { type Cluster, type ClusterObserver, createCluster } from "../simulator.ts";

/** Around SYNC_HEADERS_MAX, 290: below it all blocks are fetched, above it a ledger. */
const BLOCKS = [130, 420] as const;
const PAYMENT_CHANCE = 0.2;

/** Two nodes make a long chain; the third catches up with it. */
export function playFarBehind(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  const checker = createChecker((node) => cluster.chain(node).judged);
  const cluster: Cluster = createCluster({ nodes: 3, seed, observers: [checker, ...observers] });
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  const blocks = random.between(...BLOCKS);
  for (let number = 0; number < blocks; number++) {
    cluster.runFor(DEFAULT_CONSENSUS.slotMs);
    if (random.chance(PAYMENT_CHANCE))
      cluster.submit(0, { fee: 5n, sender: accountOf(number), nonce: 0, verdict: "valid", salt: 0 });
    cluster.produce(0);
  }
  cluster.runUntilQuiet();
  cluster.dial(2, 0);
  if (random.chance(0.5)) cluster.dial(2, 1);
  cluster.runUntilQuiet();
  return brokenPromises({ cluster, checker, submitted: [] });
}
