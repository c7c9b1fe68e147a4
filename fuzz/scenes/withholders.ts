import { percentile } from "../deliveries.ts";
import { createRandom } from "../sim-random.ts";
import type { ClusterObserver } from "../simulator.ts";
import { playWithholding } from "../withholding.ts";

const NODES = 12;
const ITEMS = 24;
/** Of so few items 99 % are all but one or two: three waits for liars in a row occur. Larger ones: withholding.test.ts. */
const P99_MS_MAX = 1_700;
const BODIES_PER_ITEM_MAX = 1.05;

/** Up to half of all nodes announce what they never serve (P08), and every body is fetched once (P09). */
export function playWithholders(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const liars = createRandom(seed).int(NODES / 2 + 1);
  const { missing, latenciesMs, bodiesPerItem } = playWithholding({
    seed,
    nodes: NODES,
    liars,
    items: ITEMS,
    liarsKnowFirst: false,
    isChecked: false,
    observers,
  });
  const p99Ms = percentile(latenciesMs, 0.99);
  const problems: string[] = [];
  if (missing > 0) problems.push(`P08: ${missing} items are missing`);
  if (!(p99Ms <= P99_MS_MAX)) problems.push(`P08: p99 is ${p99Ms} ms with ${liars} of ${NODES}`);
  if (!(bodiesPerItem <= BODIES_PER_ITEM_MAX)) problems.push(`P09: ${bodiesPerItem} bodies for each item`);
  return problems;
}
