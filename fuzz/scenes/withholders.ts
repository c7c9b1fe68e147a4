import { HEDGE_MS } from "../../core/limits.ts";
import { createRandom } from "../sim-random.ts";
import type { ClusterObserver } from "../simulator.ts";
import { playWithholding } from "../withholding.ts";

const NODES = 12;
const ITEMS = 24;
const BODIES_PER_ITEM_MAX = 1.05;

/**
 * Up to half of all nodes announce what they never serve (P08), and every body is fetched once (P09). Nobody waits for
 * the same one twice. How long that takes at most of all times is measured in larger networks: withholding.test.ts.
 */
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
  const waits = latenciesMs.map((latencyMs) => Math.floor(latencyMs / HEDGE_MS));
  const all = waits.reduce((sum, count) => sum + count, 0);
  const most = Math.max(...waits);
  const problems: string[] = [];
  if (missing > 0) problems.push(`P08: ${missing} items are missing`);
  if (!(all <= liars * (NODES - liars))) problems.push(`P08: ${all} waits for ${liars} of ${NODES}`);
  if (!(most <= liars)) problems.push(`P08: ${most} waits in a row for ${liars} of ${NODES}`);
  if (!(bodiesPerItem <= BODIES_PER_ITEM_MAX)) problems.push(`P09: ${bodiesPerItem} bodies for each item`);
  return problems;
}
