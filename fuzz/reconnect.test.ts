import { expect, test } from "vitest";
import { accountOf } from "./sim-items.ts";
import { type Cluster, createCluster } from "./simulator.ts";

const ENTRIES = 3_000;
const DIFFERENCES = 20;
const FINDING_OUT_BYTES_MAX = 8_192;
const MINUTE_MS = 60_000;

/** Bytes on the wire, by who sent them: of everything but the items themselves and the keepalive. */
interface Traffic {
  readonly bytes: [number, number];
}

function pair(): { readonly cluster: Cluster; readonly traffic: Traffic } {
  const traffic: Traffic = { bytes: [0, 0] };
  const cluster = createCluster({
    nodes: 2,
    seed: 1,
    config: { capacity: 2 * ENTRIES },
    observers: [
      {
        sent: (from, _attemptId, _to, channel, bytes) => {
          if (channel !== "control") traffic.bytes[from.index as 0 | 1] += bytes.length;
        },
      },
    ],
  });
  const both = [0, 1];
  for (let nonce = 0; nonce < ENTRIES; nonce++) {
    for (const node of both) submit(cluster, node, nonce);
    if (nonce % 500 === 499) cluster.runFor(100);
  }
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  return { cluster, traffic };
}

const submit = (cluster: Cluster, node: number, nonce: number): void => {
  cluster.submit(node, { fee: 5n, sender: accountOf(1), nonce, verdict: "valid", salt: 0 });
};

/** Half of them at each node, while the two do not see each other. */
function differ(cluster: Cluster): void {
  for (let index = 0; index < DIFFERENCES; index++) submit(cluster, index % 2, ENTRIES + index);
}

function expectCheap({ cluster, traffic }: ReturnType<typeof pair>): void {
  for (const node of [0, 1]) {
    expect(cluster.node(node).state.pools.transaction.entries.size).toBe(ENTRIES + DIFFERENCES);
  }
  for (const bytes of traffic.bytes) expect(bytes).toBeLessThanOrEqual(FINDING_OUT_BYTES_MAX);
}

test("P23: pools of 3,000 with 20 differences, back within 10 minutes: they go on where they were", {
  timeout: 120_000,
}, () => {
  const { cluster, traffic } = pair();
  cluster.cutLink(0, 1);
  differ(cluster);
  traffic.bytes.fill(0);
  cluster.runUntilQuiet();
  expectCheap({ cluster, traffic });
});

test("P23: the same after more than 10 minutes: they find out by reconciliation", {
  timeout: 120_000,
}, () => {
  const { cluster, traffic } = pair();
  const { peerId } = cluster.identity(1);
  cluster.node(0).command((requestId) => ({ type: "command/disconnect", requestId, peerId }));
  cluster.runFor(11 * MINUTE_MS);
  differ(cluster);
  cluster.runFor(1_000);
  traffic.bytes.fill(0);
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  expectCheap({ cluster, traffic });
});
