import { describe, expect, test } from "vitest";
import { percentile } from "./deliveries.ts";
import { accountOf, type SimVerdict } from "./sim-items.ts";
import { createWatched, type Watched } from "./watched.ts";
import { playWithholding } from "./withholding.ts";

const NODES = 24;

describe("P08: announcers that withhold", () => {
  const play = (liars: number, items: number) =>
    playWithholding({ seed: 1, nodes: NODES, liars, items, liarsKnowFirst: false, isChecked: false });

  test("half of them: all is fetched, p99 <= 1 s, every body once (P09)", { timeout: 240_000 }, () => {
    const { missing, latenciesMs, bodiesPerItem } = play(NODES / 2, 24);
    expect(missing).toBe(0);
    expect(percentile(latenciesMs, 0.99)).toBeLessThanOrEqual(1_000);
    expect(bodiesPerItem).toBeLessThanOrEqual(1.05);
  });

  test.each([
    ["three quarters", 18, 2_000],
    ["seven eighths", 21, 3_000],
  ])("%s of them", { timeout: 240_000 }, (_share, liars, p99Ms) => {
    const { missing, latenciesMs, bodiesPerItem } = play(liars, 48);
    expect(missing).toBe(0);
    expect(percentile(latenciesMs, 0.99)).toBeLessThanOrEqual(p99Ms);
    expect(bodiesPerItem).toBeLessThanOrEqual(1.05);
  });
});

describe("P07: in a chain that can only judge whole batches", () => {
  /** Node 0 is honest, node 1 a liar that believes in what is invalid, node 2 honest and slow to be heard. */
  function network(): Watched {
    const isLiar = (node: number): boolean => node === 1;
    const watched = createWatched(
      { nodes: 3, seed: 1, chain: { isBatchOnly: true, isGullible: isLiar } },
      isLiar,
    );
    watched.cluster.dial(1, 0);
    watched.cluster.runUntilQuiet();
    return watched;
  }

  const payment = (nonce: number, verdict: SimVerdict, salt = 0) =>
    ({ fee: 9n, sender: accountOf(1), nonce, verdict, salt }) as const;

  test("one bad item costs its announcer his key, and nobody else his item", () => {
    const { cluster } = network();
    for (let nonce = 0; nonce < 15; nonce++) cluster.submit(1, payment(nonce, "valid"));
    cluster.submit(1, payment(15, "invalid"));
    cluster.runFor(5_000);
    const { state } = cluster.node(0);
    expect(state.endings).toEqual({ "us invalidItem": 1 });
    const peerId = cluster.identity(1).peerId;
    expect(state.offenders.get(peerId)?.bannedUntilMs).toBeGreaterThan(state.timeMs);
    // What was in the same batch was judged by itself; what the liar had not served yet is lost with him.
    expect(state.pools.transaction.entries.size).toBe(15);
  });

  test("a twin with a bad signature does not keep the honest one out", () => {
    const { cluster } = network();
    const honest = payment(0, "valid");
    // The same payment with another signature has another hash: whoever spreads it is found out, and nothing else.
    cluster.submit(1, { ...honest, verdict: "invalid" });
    cluster.runFor(2_000);
    cluster.dial(2, 0);
    const { hash } = cluster.submit(2, honest);
    cluster.runFor(5_000);
    expect(cluster.node(0).state.pools.transaction.entries.has(hash)).toBe(true);
    expect(cluster.node(0).state.endings).toEqual({ "us invalidItem": 1 });
  });
});
