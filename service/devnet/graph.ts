import { ascii } from "../../core/bytes.ts";
import { sha256Hex } from "../../core/hash.ts";
import { createRng, drawInt, type Rng } from "../../core/rng.ts";

/** Node `from` dials node `to`, both counted from 0. */
export interface Edge {
  readonly from: number;
  readonly to: number;
}

/**
 * A connected graph in which no node has more than `degree` neighbours: a ring in random order, then random edges
 * as long as two nodes have room for one. The same seed gives the same graph.
 *
 * @param degree at least 2 if there are more than two nodes: with less they cannot all be connected
 */
export function connectedGraph(nodes: number, degree: number, seed: number): readonly Edge[] {
  const holder = { rng: createRng(sha256Hex(ascii(`pollen devnet ${seed}`))) };
  const ring = shuffled(
    Array.from({ length: nodes }, (_, node) => node),
    holder,
  );
  const edges: Edge[] = [];
  const neighbours = new Map<number, Set<number>>(ring.map((node) => [node, new Set()]));
  const connect = (from: number, to: number): void => {
    const [ofFrom, ofTo] = [neighbours.get(from), neighbours.get(to)];
    if (from === to || ofFrom === undefined || ofTo === undefined) return;
    if (ofFrom.has(to) || ofFrom.size >= degree || ofTo.size >= degree) return;
    ofFrom.add(to);
    ofTo.add(from);
    edges.push({ from, to });
  };
  for (const [index, node] of ring.entries()) connect(node, ring[(index + 1) % nodes] ?? node);
  const pairs = ring.flatMap((from, index) => ring.slice(index + 1).map((to) => ({ from, to })));
  for (const { from, to } of shuffled(pairs, holder)) connect(from, to);
  return edges;
}

/** Of each node, how many others it is connected with. */
export const degreesOf = (edges: readonly Edge[], nodes: number): readonly number[] =>
  Array.from(
    { length: nodes },
    (_, node) => edges.filter(({ from, to }) => from === node || to === node).length,
  );

function shuffled<T>(items: readonly T[], holder: { rng: Rng }): T[] {
  const keyed = items.map((item) => ({ item, key: drawInt(holder, 2 ** 32) }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
