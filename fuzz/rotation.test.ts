import { expect, test } from "vitest";
import { runs, runsTimeoutMs } from "./runs.ts";
import { createWatched } from "./watched.ts";

const NODES = 14;
const PEERS_MIN = 3;
const FOUND_MS = 2 * 60_000;
const ROTATED_MS = 40 * 60_000;

test("rotation: nodes that find each other by relays meet others, and none ends with more peers for it", {
  timeout: runsTimeoutMs(60_000),
}, () => {
  for (let seed = 0; seed < runs(1); seed++) {
    const { cluster } = createWatched({
      nodes: NODES,
      seed,
      // Only the first has an address: the others cannot be dialed.
      configOf: (index) => (index === 0 ? { peersMin: 0 } : { peersMin: PEERS_MIN, listen: null }),
    });
    const everybody = cluster.nodes.slice(1);
    const peersOf = () => everybody.map(({ state }) => [...state.peers.keys()]);
    const mean = (peers: readonly (readonly unknown[])[]) => peers.flat().length / peers.length;
    for (const { index } of everybody) cluster.clock.after(100 * index, () => void cluster.dial(index, 0));
    cluster.runFor(FOUND_MS);
    const found = peersOf();
    cluster.runFor(ROTATED_MS);
    const rotated = peersOf();
    for (const peers of rotated) expect(peers.length).toBeGreaterThanOrEqual(PEERS_MIN);
    // Each may just be trying one, which is the peer of another too.
    expect(mean(rotated)).toBeLessThanOrEqual(mean(found) + 2);
    const met = rotated.filter((peers, index) => peers.some((peerId) => !found[index]?.includes(peerId)));
    expect(met.length).toBeGreaterThan(0);
  }
});
