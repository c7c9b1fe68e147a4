import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { itemHash } from "../../core/hash.ts";
import { type AdminClient, AdminError } from "../admin-client.ts";
import { testGenesis } from "../chain/genesis.ts";
import { decodeTransfer, type Transfer } from "../chain/transfer.ts";
import { createChainFollower } from "./chain-follower.ts";
import { createFates, type Submission } from "./fates.ts";
import { type FeedOptions, feedingKey, startFeed } from "./feed.ts";
import { connectedGraph, degreesOf, type Edge } from "./graph.ts";
import { defaultProducers, defaultWorkers, planLate, planNodes } from "./plan.ts";
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

const rolesOf = (plan: Parameters<typeof planNodes>[0]): readonly string[] =>
  planNodes(plan).map(({ produce, fee, isRestarted }) =>
    [produce === null ? "" : `P${produce}`, fee === null ? "" : `W${fee}`, isRestarted ? "R" : ""].join(""),
  );

test("devnet plan: half of the nodes produce, workers differ in their fee, and the one that is killed follows", () => {
  const plan = (nodes: number) => ({
    nodes,
    producers: defaultProducers(nodes),
    workers: defaultWorkers(nodes),
    late: 0,
    restart: true,
  });
  expect(rolesOf({ ...plan(1), restart: false })).toEqual(["P0"]);
  expect(rolesOf(plan(2))).toEqual(["P0", "R"]);
  expect(rolesOf(plan(3))).toEqual(["P0", "R", "W1"]);
  expect(rolesOf({ ...plan(6), workers: 2 })).toEqual(["P0", "P1", "P2", "R", "W2", "W1"]);
  expect(rolesOf({ ...plan(3), producers: 3, workers: 3 })).toEqual(["P0W3", "P1W2", "P2W1R"]);
  expect(rolesOf({ ...plan(3), producers: 0, workers: 0 })).toEqual(["", "R", ""]);
  expect(planLate({ late: 2 }).map(({ name, produce, fee }) => [name, produce, fee])).toEqual([
    ["late-1", null, null],
    ["late-2", null, null],
  ]);
});

const submissionOf = (sender: string, nonce: number): Submission => ({
  hash: `${sender}${nonce}`,
  sender,
  nonce,
});

test("devnet fates: in the chain, in every pool, made invalid by the chain, or none of these", () => {
  const fates = createFates();
  for (const nonce of [1, 2, 3, 4, 5]) fates.submitted(submissionOf("a", nonce));
  fates.submitted(submissionOf("b", 1));
  const world = { chain: new Set(["a3", "foreign"]), pool: new Set(["a5"]), nonces: new Map([["a", 3]]) };
  expect(fates.conclude(world)).toEqual({ everywhere: 1, included: 1, invalidated: 2, others: ["a4", "b1"] });
});

test("devnet fates: final blocks count what they include and what they make invalid, once", () => {
  const fates = createFates();
  for (const nonce of [1, 3, 2, 4]) fates.submitted(submissionOf("a", nonce));
  for (const hash of ["foreign", "a3", "a3"]) fates.finalized(hash);
  expect(fates.included()).toBe(1);
  const world = { chain: new Set<string>(), pool: new Set(["a1", "a4"]), nonces: new Map([["a", 3]]) };
  expect(fates.conclude(world)).toEqual({ everywhere: 1, included: 1, invalidated: 2, others: [] });
});

/** A node that has these blocks, each written `name parent transaction...`. */
function chainOf(...texts: readonly string[]): Pick<AdminClient, "block"> & { readonly asked: string[] } {
  const blocks = new Map<string, { parent: string; height: number; transactions: string[] }>();
  for (const text of texts) {
    const [name = "", parent = "", ...transactions] = text.split(" ");
    blocks.set(name, { parent, height: (blocks.get(parent)?.height ?? -1) + 1, transactions });
  }
  const asked: string[] = [];
  return {
    asked,
    block: async (hash) => {
      asked.push(hash);
      const block = blocks.get(hash);
      if (block === undefined) throw new AdminError("no such block", 404);
      const { parent, height, transactions } = block;
      return { hash, parent, height, body: height === 0 ? null : { transactions } };
    },
  };
}

test("devnet chain: each block is asked for once, and what another branch takes its place is not in it", async () => {
  const [included, final]: [string[], string[]] = [[], []];
  const follower = createChainFollower({
    onIncluded: (hash) => included.push(hash),
    onFinal: (hash) => final.push(hash),
    finalDepth: 2,
  });
  const node = chainOf("g -", "a g t1", "b a t2", "B a t3 t2", "C B t4", "D C t5");
  await follower.follow(node, "b");
  expect([...follower.unfinal()]).toEqual(["t2", "t1"]);
  await follower.follow(node, "C");
  expect([[...follower.unfinal()].sort(), final]).toEqual([["t2", "t3", "t4"], ["t1"]]);
  await follower.follow(node, "D");
  expect([[...follower.unfinal()].sort(), final]).toEqual([
    ["t4", "t5"],
    ["t1", "t3", "t2"],
  ]);
  expect(node.asked).toEqual(["b", "a", "g", "C", "B", "D"]);
  expect(new Set(included)).toEqual(new Set(["t1", "t2", "t3", "t4", "t5"]));
});

test("devnet propagation: counts from the pool of the origin, in whatever order the pools are read", () => {
  const propagation = createPropagation(3);
  propagation.submitted("a", 1);
  propagation.added("a", 2, 1_030);
  propagation.added("a", 0, 1_010);
  expect(propagation.delays()).toBeNull();
  expect([propagation.openFrom(1), propagation.openFrom(0)]).toEqual([1, 0]);
  propagation.added("a", 1, 1_000);
  expect(propagation.delays()).toEqual({ p50: 10, p99: 30, max: 30 });
  expect(propagation.delaysTo(0)).toEqual({ p50: 10, p99: 10, max: 10 });
  expect(propagation.delaysTo(1)).toBeNull();
  expect([propagation.complete(), propagation.openFrom(1)]).toEqual([1, 0]);
});

test("devnet propagation: what others submitted, was refused, or is in a block already is not measured", () => {
  const propagation = createPropagation(2);
  for (const hash of ["refused", "included"]) {
    propagation.submitted(hash, 0);
    propagation.added(hash, 1, 1);
    propagation.gone(hash);
    propagation.added(hash, 0, 2);
  }
  propagation.added("foreign", 0, 1);
  propagation.added("foreign", 1, 2);
  expect([propagation.openFrom(0), propagation.complete(), propagation.delays()]).toEqual([0, 0, null]);
});

test("devnet propagation: a node that is started again is not waited for, nor is what it was given", () => {
  const propagation = createPropagation(3);
  propagation.submitted("a", 0);
  propagation.submitted("b", 1);
  propagation.added("a", 0, 1_000);
  propagation.added("a", 1, 1_001);
  propagation.added("a", 2, 1_005);
  propagation.submitted("c", 0);
  propagation.added("c", 0, 2_000);
  propagation.added("c", 2, 2_007);
  propagation.exclude(1);
  expect([propagation.complete(), propagation.openFrom(1)]).toEqual([2, 0]);
  expect(propagation.delaysTo(2)).toEqual({ p50: 5, p99: 7, max: 7 });
  propagation.submitted("d", 1);
  propagation.added("d", 0, 3_000);
  propagation.added("d", 2, 3_000);
  expect(propagation.complete()).toBe(2);
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

type FedNode = FeedOptions["nodes"][number];

/** A node that answers each submission as told. */
function nodeThat(name: string, submit: AdminClient["submit"]): FedNode {
  const unused = (): never => {
    throw new Error("the feed only submits");
  };
  const client = { status: unused, pool: unused, account: unused, block: unused, peers: unused };
  const lists = { addresses: unused, bans: unused };
  const changes = { setRole: unused, dial: unused, ban: unused, unban: unused };
  return { name, client: { ...client, ...lists, ...changes, url: "", submit } };
}

const feedOf = (
  nodes: readonly FedNode[],
  durationMs: number | null,
  signal: AbortSignal,
  observers: Partial<FeedOptions> = {},
) =>
  startFeed({
    nodes,
    ratePerSecond: 200,
    durationMs,
    seed: 1,
    chainId: testGenesis().chainId,
    onSubmit: () => undefined,
    onRefused: () => undefined,
    signal,
    ...observers,
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
  const submissions: Submission[] = [];
  const onSubmit: FeedOptions["onSubmit"] = (submission) => submissions.push(submission);
  const feed = feedOf(nodes, 500, new AbortController().signal, { onSubmit });
  await feed.ended;
  expect(feed.counts()).toMatchObject({
    submitted: 100,
    accepted: 100,
    acceptedBy: [50, 50],
    overdue: 0,
    elapsedMs: 500,
  });
  for (const transfers of taken) {
    const nonces = transfers.map(({ nonce }) => nonce).sort((a, b) => a - b);
    expect(nonces).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    expect(new Set(transfers.map(({ from }) => from)).size).toBe(1);
  }
  expect(taken[0]?.[0]?.from).not.toBe(taken[1]?.[0]?.from);
  const told = submissions.map(({ sender, nonce }) => `${sender} ${nonce}`).sort();
  expect(told).toEqual(taken.flatMap((of) => of.map(({ from, nonce }) => `${from} ${nonce}`)).sort());
  expect(taken.map(([first]) => first?.from)).toEqual([feedingKey(0), feedingKey(1)]);
});

test("devnet feed: a node that is paused gets nothing, and the others its part", async () => {
  const interrupt = new AbortController();
  const nodes = ["a", "b"].map((name) => nodeThat(name, async (bytes) => itemHash(bytes)));
  const feed = feedOf(nodes, null, interrupt.signal);
  const accepted = (node: number): number => feed.counts().acceptedBy[node] ?? 0;
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  feed.pause(0);
  // What was begun before has arrived by then.
  await until(() => accepted(1) >= 20);
  const before = accepted(0);
  await until(() => accepted(1) >= 40);
  expect(accepted(0)).toBe(before);
  feed.resume(0);
  await until(() => accepted(0) > before);
  interrupt.abort();
  await feed.ended;
});

test("devnet feed: refusals are counted, with the reason of the first", async () => {
  const node = nodeThat("node-1", () => Promise.reject(new AdminError("no room", 409)));
  const refused: string[] = [];
  const onRefused: FeedOptions["onRefused"] = (hash) => refused.push(hash);
  const feed = feedOf([node], 50, new AbortController().signal, { onRefused });
  await feed.ended;
  expect(new Set(refused).size).toBe(10);
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
