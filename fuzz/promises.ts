import type { Hash } from "../core/ids.ts";
import { hashOf, POOL_NAMES } from "../core/pools.ts";
import { bestOf, expectedPool, isValidNow, poolOf } from "./oracle.ts";
import type { Played } from "./scenario.ts";
import { UNLIMITED } from "./scenario-arbitrary.ts";
import type { Cluster } from "./simulator.ts";
import type { Submitted } from "./submissions.ts";

/**
 * The heart of 7.4: whatever happened, when the network is quiet there is one tip, every pool holds what the oracle
 * says, nothing that a living process was given is forgotten, and every chain keeps the bytes of exactly what it must.
 *
 * @returns what is not so
 */
export function brokenPromises({ cluster, submitted }: Played): readonly string[] {
  const broken: string[] = [];
  const tips = new Set(cluster.nodes.map(({ state }) => state.chain.tip.hash));
  if (tips.size > 1) broken.push(`there are ${tips.size} best tips`);
  for (const { index } of cluster.nodes) {
    for (const pool of POOL_NAMES) {
      const [found, expected] = [poolOf(cluster, index, pool), expectedPool(cluster, index, pool)];
      const [lacks, extra] = [without(expected, found), without(found, expected)];
      if (lacks.length + extra.length > 0)
        broken.push(`the ${pool} pool of node ${index} lacks [${lacks}], and should not have [${extra}]`);
    }
    broken.push(...brokenStore(cluster, index));
  }
  for (const one of submitted) {
    if (isForgotten(cluster, one)) broken.push(`node ${one.node} has forgotten ${hashOf(one.info)}`);
  }
  return broken;
}

const without = (all: readonly Hash[], some: readonly Hash[]): readonly string[] => {
  const found = new Set(some);
  return all.filter((hash) => !found.has(hash)).map((hash) => hash.slice(0, 8));
};

/** Bytes are there for all that is in a pool or kept aside, and else only for what peers may still ask for. */
function brokenStore(cluster: Cluster, index: number): readonly string[] {
  const broken: string[] = [];
  const { pools, local, rings } = cluster.node(index).state;
  const chain = cluster.chain(index);
  const kept = new Set<Hash>(local.keys());
  for (const pool of ["transaction", "snark"] as const) {
    for (const hash of pools[pool].entries.keys()) kept.add(hash);
  }
  for (const hash of kept)
    if (chain.bytesOf(hash) === null) broken.push(`node ${index} has no bytes of ${hash}`);
  for (const pool of POOL_NAMES) {
    for (const hash of [...pools[pool].entries.keys(), ...rings[pool].hashes.values()]) kept.add(hash);
  }
  for (const hash of chain.held())
    if (!kept.has(hash)) broken.push(`node ${index} holds ${hash} for nothing`);
  return broken;
}

/**
 * What a process accepted it keeps until a block spends it. Once it was spent and is not any more because that block
 * was undone, it is an item like any other: lost if all pools are full of greater ones.
 */
function isForgotten(cluster: Cluster, { node, life, requestId, info, wasSpent }: Submitted): boolean {
  const { state, answers, life: lastLife } = cluster.node(node);
  const answer = answers.get(requestId)?.tag;
  if (life !== lastLife || (answer !== "submitted" && answer !== "keptAside")) return false;
  if (!wasSpent) return !state.local.has(hashOf(info));
  if (!isValidNow(cluster, node, "transaction", info) || state.config.capacity < UNLIMITED) return false;
  const pool = [...state.pools.transaction.entries.values()].map((entry) => entry.info);
  return String(bestOf([...pool, info])) !== String(bestOf(pool));
}
