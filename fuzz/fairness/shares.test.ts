import { describe, expect, test } from "vitest";
import { CHUNK_BYTES } from "../../core/limits.ts";
import { createCluster } from "../simulator.ts";
import { countBodies, JAIN_MIN, jainIndex, sum } from "./shares.ts";
import { beginStreams, EQUAL_LINKS, HUB, payment, star } from "./star.ts";

test("Jain's index is 1 for equal shares, and 1/n if one has everything", () => {
  expect(jainIndex([3, 3, 3])).toBeCloseTo(1);
  expect(jainIndex([9, 0, 0])).toBeCloseTo(1 / 3);
});

/** What one node gives to all at once is in scenes/hub.ts; here is what it takes from all. */
describe("Jain's index over equal peers is at least 0.95", () => {
  const PEERS = 32;
  const ITEMS = 50;
  const SOURCES = 8;
  /** More than eight sources are permitted at once, 16 each: each could have more at any time. */
  const STREAM_CHUNKS = 140;
  const everybody = Array.from({ length: PEERS }, (_, number) => number + 1);

  const ownOf = (node: number) => Array.from({ length: ITEMS }, (_, nonce) => payment(node % PEERS, nonce));

  test.each([
    // Each has its own, or all have the same, each in its own order.
    ["what each alone has", (node: number) => ownOf(node)],
    ["what all of them have", (node: number) => everybody.flatMap((other) => ownOf((node + other) % PEERS))],
  ])("one node fetches from as many announcers: %s", (_what, itemsOf) => {
    // A line of 100 bytes in a millisecond: what is asked for at once does not come at once.
    const link = { ...EQUAL_LINKS, bytesPerMs: 100 };
    const { observer, bodies } = countBodies();
    const cluster = createCluster({ nodes: PEERS + 1, seed: 1, link, observers: [observer] });
    for (const node of everybody) for (const item of itemsOf(node)) cluster.submit(node, item);
    cluster.runFor(1_000);
    for (const node of everybody) cluster.dial(HUB, node);
    const shares = (): readonly number[] => everybody.map((from) => bodies(from, HUB));
    while (sum(shares()) < (PEERS * ITEMS) / 2) cluster.runFor(5);
    expect(jainIndex(shares())).toBeGreaterThanOrEqual(JAIN_MIN);
  });

  test("one node fetches a stream from eight sources", () => {
    // A chunk takes 60 ms.
    const link = { ...EQUAL_LINKS, bytesPerMs: 1_000 };
    const cluster = star(SOURCES + 1, { link, chain: { ballast: STREAM_CHUNKS * CHUNK_BYTES } });
    beginStreams(cluster, [HUB]);
    cluster.runFor(700);
    const sources = [...(cluster.node(HUB).state.download?.sources.values() ?? [])];
    const shares = sources.map(({ stored }) => stored);
    expect(shares).toHaveLength(SOURCES);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(jainIndex(shares)).toBeGreaterThanOrEqual(JAIN_MIN);
  });
});
