import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { itemHash } from "../../core/hash.ts";
import { type AdminClient, AdminError } from "../admin-client.ts";
import { testGenesis } from "../chain/genesis.ts";
import { decodeTransfer, type Transfer } from "../chain/transfer.ts";
import { startFeed } from "./feed.ts";
import { connectedGraph, degreesOf, type Edge } from "./graph.ts";
import type { DevnetNode } from "./network.ts";
import { createPropagation } from "./propagation.ts";

function reachable(edges: readonly Edge[], nodes: number): number {
  const seen = new Set([0]);
  for (let grown = 0; grown < seen.size; ) {
    grown = seen.size;
    for (const { from, to } of edges) {
      if (seen.has(from)) seen.add(to);
      if (seen.has(to)) seen.add(from);
    }
  }
  return nodes === 0 ? 0 : seen.size;
}

test("devnet graph: connected, within the degree, without loops and double edges, and the same for a seed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 2, max: 49 }), fc.nat(), (n, d, seed) => {
      const edges = connectedGraph(n, d, seed);
      expect(reachable(edges, n)).toBe(n);
      expect(Math.max(...degreesOf(edges, n))).toBeLessThanOrEqual(d);
      const names = edges.map(({ from, to }) => [from, to].sort((a, b) => a - b).join("-"));
      expect(new Set(names).size).toBe(names.length);
      expect(edges.every(({ from, to }) => from !== to)).toBe(true);
      expect(connectedGraph(n, d, seed)).toEqual(edges);
    }),
    { numRuns: 50 },
  );
});

test("devnet graph: with room for it, nodes have the degree that was asked for", () => {
  expect(degreesOf(connectedGraph(6, 5, 1), 6)).toEqual([5, 5, 5, 5, 5, 5]);
  expect(degreesOf(connectedGraph(2, 3, 1), 2)).toEqual([1, 1]);
  expect(connectedGraph(5, 3, 1)).not.toEqual(connectedGraph(5, 3, 2));
});

test("devnet propagation: counts from the pool of the origin, in whatever order the pools are read", () => {
  const propagation = createPropagation(3);
  propagation.submitted("a", 1);
  propagation.added("a", 2, 1_030);
  propagation.added("a", 0, 1_010);
  expect(propagation.delays()).toBeNull();
  expect(propagation.missing(1)).toEqual(["a"]);
  propagation.added("a", 1, 1_000);
  expect(propagation.delays()).toEqual({ p50: 10, p99: 30, max: 30 });
  expect(propagation.delaysTo(0)).toEqual({ p50: 10, p99: 10, max: 10 });
  expect(propagation.delaysTo(1)).toBeNull();
  expect([propagation.complete(), propagation.open()]).toEqual([1, 0]);
});

test("devnet propagation: what others submitted, and what was refused, is not counted", () => {
  const propagation = createPropagation(2);
  propagation.submitted("refused", 0);
  propagation.refused("refused");
  propagation.added("foreign", 0, 1);
  expect([propagation.open(), propagation.missing(1)]).toEqual([0, []]);
  propagation.added("foreign", 1, 2);
  expect([propagation.complete(), propagation.delays()]).toEqual([0, null]);
});

test("devnet propagation: percentiles are those of the sorted delays", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 200 }), (delaysMs) => {
      const propagation = createPropagation(2);
      for (const [index, delayMs] of delaysMs.entries()) {
        propagation.submitted(`${index}`, 0);
        propagation.added(`${index}`, 0, 1_000);
        propagation.added(`${index}`, 1, 1_000 + delayMs);
      }
      const sorted = delaysMs.toSorted((a, b) => a - b);
      const at = (share: number): number | undefined => sorted[Math.ceil(share * sorted.length) - 1];
      expect(propagation.delays()).toEqual({ p50: at(0.5), p99: at(0.99), max: at(1) });
    }),
  );
});

/** A node that answers each submission as told. */
function nodeThat(name: string, submit: AdminClient["submit"]): DevnetNode {
  const unused = (): never => {
    throw new Error("the feed only submits");
  };
  return {
    name,
    peerId: name,
    address: "",
    degree: 0,
    client: { url: "", submit, status: unused, transactions: unused, account: unused, dial: unused },
    process: {
      name,
      ready: new Promise(() => undefined),
      exited: new Promise(() => undefined),
      stop: unused,
      kill: unused,
      lastLines: () => [],
    },
  };
}

const feedOf = (nodes: readonly DevnetNode[], durationMs: number | null, signal: AbortSignal) =>
  startFeed({
    nodes,
    ratePerSecond: 200,
    durationMs,
    seed: 1,
    chainId: testGenesis().chainId,
    propagation: createPropagation(nodes.length),
    signal,
  });

test("devnet feed: exactly the rate on average, though a node stalls, each node from an account of its own", async () => {
  const taken: Transfer[][] = [[], []];
  const nodes = taken.map((transfers, index) =>
    nodeThat(`node-${index}`, async (bytes) => {
      const decoded = decodeTransfer(bytes);
      if (decoded.tag === "failed") throw new Error(decoded.detail);
      transfers.push(decoded.value);
      if (transfers.length < 10) await new Promise((resolve) => setTimeout(resolve, 100));
      return itemHash(bytes);
    }),
  );
  const feed = feedOf(nodes, 500, new AbortController().signal);
  await feed.ended;
  expect(feed.counts()).toMatchObject({ submitted: 100, accepted: 100, overdue: 0, elapsedMs: 500 });
  for (const transfers of taken) {
    const nonces = transfers.map(({ nonce }) => nonce).sort((a, b) => a - b);
    expect(nonces).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(new Set(transfers.map(({ from }) => from)).size).toBe(1);
  }
  expect(taken[0]?.[0]?.from).not.toBe(taken[1]?.[0]?.from);
});

test("devnet feed: refusals are counted, with the reason of the first", async () => {
  const node = nodeThat("node-1", () => Promise.reject(new AdminError("no room", 409)));
  const feed = feedOf([node], 50, new AbortController().signal);
  await feed.ended;
  expect(feed.counts()).toMatchObject({ submitted: 10, accepted: 0, firstRefusal: "node-1: no room" });
});

test("devnet feed: without an end it goes on until it is told, and then waits for what was begun", async () => {
  const interrupt = new AbortController();
  let open = 0;
  let seen = 0;
  const node = nodeThat("node-1", async (bytes) => {
    open += 1;
    seen += 1;
    if (seen === 20) interrupt.abort();
    await new Promise((resolve) => setTimeout(resolve, 20));
    open -= 1;
    return toHex(bytes);
  });
  const feed = feedOf([node], null, interrupt.signal);
  await feed.ended;
  expect(open).toBe(0);
  expect(feed.counts().accepted).toBe(seen);
});
