import { describe, expect, test } from "vitest";
import { formatMultiaddr } from "../core/multiaddr.ts";
import { playAddresses } from "./scenes/addresses.ts";
import { type Cluster, createCluster } from "./simulator.ts";
import { createWatched } from "./watched.ts";

const MINUTE_MS = 60_000;
/** A quarter of the slots is kept free for a node's own dials. */
const CONFIG = { peersMin: 1, peersMax: 16 } as const;
const RESERVE = 4;

const outgoingOf = (cluster: Cluster, node: number): number =>
  [...cluster.node(node).state.peers.values()].filter(({ live }) => live?.direction === "outgoing").length;

/** All but the first dial it, and know nobody else. */
function dialFirst(cluster: Cluster): void {
  for (const { index } of cluster.nodes.slice(1)) cluster.dial(index, 0);
}

describe("addresses of others", () => {
  test("twelve nodes that know one of them: each gets as many outgoing peers as are kept free, by what it is told", {
    timeout: 120_000,
  }, () => {
    const { cluster } = createWatched({ nodes: 12, seed: 1, config: CONFIG });
    dialFirst(cluster);
    cluster.runFor(12 * MINUTE_MS);
    const counts = cluster.nodes.slice(1).map(({ index }) => outgoingOf(cluster, index));
    // One more is on trial now and then.
    // Whoever is connected with all others has nobody left to dial.
    for (const [index, count] of counts.entries())
      if (cluster.node(index + 1).state.peers.size < 11) expect([RESERVE, RESERVE + 1]).toContain(count);
    expect(counts.filter((count) => count >= RESERVE).length).toBeGreaterThanOrEqual(9);
    // Everybody is connected with the first already: it has nobody left to dial, but all of them to tell of.
    expect(cluster.node(0).state.peers.size).toBe(11);
    const real = cluster.nodes.map(({ index }) => formatMultiaddr(cluster.addressOf(index)));
    for (const { state } of cluster.nodes) {
      expect(real).toEqual(expect.arrayContaining([...state.book.addresses.entries.keys()]));
    }
  });

  test.each([1, 2, 3, 4])("P17: the scene with and without a liar, seed %i", { timeout: 60_000 }, (seed) => {
    expect(playAddresses(seed, [])).toEqual([]);
  });

  test("a network in which nobody asks for peers stays as it is", () => {
    const cluster = createCluster({ nodes: 4, seed: 1 });
    dialFirst(cluster);
    cluster.runFor(12 * MINUTE_MS);
    expect(cluster.nodes.map(({ state }) => state.peers.size)).toEqual([3, 1, 1, 1]);
  });
});
