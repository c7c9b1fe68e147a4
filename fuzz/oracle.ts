import type { Hash } from "../core/ids.ts";
import type { PoolLog } from "../core/pool-log.ts";
import { entryFor, hashOf, type PoolInfo, type PoolName } from "../core/pools.ts";
import type { State } from "../core/state.ts";
import { readItem } from "./sim-items.ts";
import { refusalAt } from "./sim-ledger.ts";
import type { SimNode } from "./sim-node.ts";
import type { Cluster } from "./simulator.ts";

/**
 * What every pool is to hold when the network is quiet, found out slowly and obviously.
 *
 * What a node with capacity C can know of is what reaches it through nodes that have room for it: all that the nodes
 * with at least its capacity hold that it is connected with through others like them, with what these keep aside for
 * their operators, and the pools of their other neighbours. Of all this it holds the best C that are valid at the
 * tip, of rivals for one slot the greatest.
 *
 * So an item is lost for good, and may be, exactly if no pool of a living node holds it and no living process was
 * given it: all who held it restarted, or replaced it by a greater one of its slot, or had no room for it - and the
 * process to which it was submitted ended, or has seen it in a block.
 */
export function expectedPool(cluster: Cluster, index: number, pool: PoolName): readonly Hash[] {
  const node = cluster.node(index);
  const union = new Map<Hash, PoolInfo>();
  for (const info of known(cluster, node, pool)) {
    if (isValidNow(cluster, index, pool, info)) union.set(hashOf(info), info);
  }
  return bestOf([...union.values()], capacityOf(node.state, pool));
}

export const poolOf = (cluster: Cluster, index: number, pool: PoolName): readonly Hash[] => [
  ...cluster.node(index).state.pools[pool].entries.keys(),
];

/** Of each slot the greatest, of these the greatest `capacity`; sorted by hash. */
export function bestOf(infos: readonly PoolInfo[], capacity = Number.POSITIVE_INFINITY): readonly Hash[] {
  const best = new Map<string, PoolInfo>();
  for (const info of infos) {
    const entry = entryFor(info, 0);
    const rival = best.get(entry.slot);
    const isBetter = rival === undefined || compare(info, rival) < 0;
    if (isBetter) best.set(entry.slot, info);
  }
  return [...best.values()].sort(compare).slice(0, capacity).map(hashOf).sort();
}

/**
 * Section 6 once more, without a line of core/priority.ts: negative if `a` is kept rather than `b`. Of transactions the
 * class of the greater fee, of proofs that of the smaller one; then the smaller hash.
 */
export function compare(a: PoolInfo, b: PoolInfo): number {
  const difference = "nonce" in a ? classOf(b.fee) - classOf(a.fee) : classOf(a.fee) - classOf(b.fee);
  return difference !== 0 ? difference : hashOf(a) < hashOf(b) ? -1 : 1;
}

/** How often ten percent, at least 1, can be added to 1 before it exceeds the fee. */
function classOf(fee: bigint): number {
  let number = 0;
  for (let least = 1n; least <= fee; least += least < 10n ? 1n : (least + 9n) / 10n) number += 1;
  return number;
}

const capacityOf = ({ config }: State, pool: PoolName): number =>
  pool === "transaction" ? config.capacity : Number.POSITIVE_INFINITY;

function known(cluster: Cluster, node: SimNode, pool: PoolName): readonly PoolInfo[] {
  const equals = new Set<SimNode>([node]);
  const others = new Set<SimNode>();
  for (const one of equals) {
    for (const neighbour of neighbours(cluster, one)) {
      const hasRoom = capacityOf(neighbour.state, pool) >= capacityOf(node.state, pool);
      (hasRoom ? equals : others).add(neighbour);
    }
  }
  const infos: PoolInfo[] = [];
  for (const { state } of [...equals, ...others]) {
    const log: PoolLog<PoolInfo> = state.pools[pool];
    for (const { info } of log.entries.values()) infos.push(info);
  }
  for (const { state } of equals) {
    for (const info of state.local.values())
      if ("nonce" in info === (pool === "transaction")) infos.push(info);
  }
  return infos;
}

function neighbours(cluster: Cluster, { state }: SimNode): readonly SimNode[] {
  const ids = new Set(
    [...state.peers.values()].flatMap(({ peerId, live }) => (live === null ? [] : [peerId])),
  );
  return cluster.nodes.filter((other) => other.isAlive() && ids.has(other.state.config.peerId));
}

/** At the tip of this node. */
export function isValidNow(cluster: Cluster, index: number, pool: PoolName, info: PoolInfo): boolean {
  const { ledger } = cluster.chain(index).best();
  if (pool !== "transaction") return "jobId" in info && ledger.jobs.has(info.jobId);
  // The height from which a transaction counts is in its bytes alone; whoever holds it has them.
  const bytes = cluster.nodes
    .map((node) => cluster.chain(node.index).bytesOf(hashOf(info)))
    .find((found) => found !== null);
  const content = bytes == null ? null : readItem(pool, bytes).content;
  return content !== null && refusalAt(ledger, content) === null;
}
