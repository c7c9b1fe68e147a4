import { describe, expect, test } from "vitest";
import type { Effect } from "../core/effects.ts";
import type { BatchId, Hash } from "../core/ids.ts";
import {
  ASKED_AT_ONCE_MAX,
  BAN_MS,
  HEDGE_MS,
  INFOS_MAX,
  REFUSED_MAX,
  RPC_HASHES_MAX,
  RPC_TIMEOUT_MS,
} from "../core/limits.ts";
import { FETCHED_POOLS, type FetchedPool, priorityOf } from "../core/pools.ts";
import { comparePriority } from "../core/priority.ts";
import { brokenInvariants } from "./invariants.ts";
import { adopt, START_MS } from "./testing/chain.ts";
import {
  announce,
  bring,
  commitmentOf,
  found,
  type Item,
  itemOf,
  NOT_NOW,
  permitsIn,
  poolOf,
  serve,
  snarkOf,
  submit,
  valid,
  verified,
} from "./testing/items.ts";
import { control, infos, response, say } from "./testing/messages.ts";
import { type TestNode, testNode } from "./testing/node.ts";
import {
  channelsWithout,
  closeTransport,
  liveOf,
  readyPeer,
  type TestPeer,
  WITHOUT_TIPS,
} from "./testing/peers.ts";
import { effectOf, effectsOf, endings, goodbyes, requestsTo } from "./testing/results.ts";

/** 7.4, Fetch. */

const MAKE: { readonly [Pool in FetchedPool]: (name: string, fee?: bigint) => Item } = {
  transaction: (name, fee) => itemOf(name, fee),
  snark: (name, fee) => snarkOf(name, fee),
};

const [a, b, c] = [itemOf("a", 100n), itemOf("b", 200n), itemOf("c", 300n)];

interface World {
  readonly node: TestNode;
  readonly peers: readonly TestPeer[];
}

const peers = (count: number): World => {
  const node = testNode();
  const all = Array.from({ length: count }, (_, index) => readyPeer(node, `peer ${index}`, WITHOUT_TIPS));
  return { node, peers: all };
};

const two = () => {
  const { node, peers: all } = peers(2);
  const [p, q] = all;
  if (p === undefined || q === undefined) throw new Error("there are two");
  return { node, p, q };
};

/** Time passes and everybody stays alive. */
function pass(node: TestNode, ms: number): readonly Effect[] {
  const effects: Effect[] = [];
  for (let passed = 0; passed < ms; passed += 1_000) {
    effects.push(...node.pass(Math.min(1_000, ms - passed)));
    for (const { live } of node.state.peers.values()) {
      if (live?.control.awaitingPong == null) continue;
      const { n } = live.control.awaitingPong;
      effects.push(...say(node, live.attemptId, control({ tag: "pong", n })).effects);
    }
  }
  return effects;
}

/** Who is asked for this item, in the order of the requests. */
const askedFor = (
  { node, peers: all }: World,
  effects: readonly Effect[],
  { hash }: Item,
): readonly number[] =>
  effectsOf(effects, "effect/send").flatMap(({ attemptId, message }) => {
    if (message.tag !== "request" || !("body" in message)) return [];
    if (!("hashes" in message.body) || !message.body.hashes.includes(hash)) return [];
    expect(node.state.attempts.has(attemptId)).toBe(true);
    return [all.findIndex((peer) => peer.attemptId === attemptId)];
  });

describe.each(FETCHED_POOLS)("fetch: asking for a %s", (pool) => {
  const kind = pool === "transaction" ? "transactions" : "snarks";

  test("the greatest priority first, at most 16 at once, the rest afterwards", () => {
    const { node, p } = two();
    const items = Array.from({ length: INFOS_MAX }, (_, index) =>
      MAKE[pool](`many ${index}`, BigInt(index * index + 1)),
    );
    const order = [...items]
      .sort((one, other) => comparePriority(priorityOf(one.info), priorityOf(other.info)))
      .map(({ hash }) => hash);
    const asked = requestsTo(announce(node, p, items).effects, p.attemptId);
    expect(asked.map(({ body }) => body)).toEqual([{ tag: kind, hashes: order.slice(0, RPC_HASHES_MAX) }]);
    const next = requestsTo(say(node, p.attemptId, response(0, { tag: "busy" })).effects, p.attemptId);
    expect(next.map(({ body }) => body)).toEqual([{ tag: kind, hashes: order.slice(RPC_HASHES_MAX) }]);
  });

  test("a shorter answer means the rest did not fit: it is asked for again", () => {
    const { node, p } = two();
    const [x, y, z] = [MAKE[pool]("x"), MAKE[pool]("y"), MAKE[pool]("z")];
    const [first] = requestsTo(announce(node, p, [x, y, z]).effects, p.attemptId);
    const order = first !== undefined && "hashes" in first.body ? first.body.hashes : [];
    const served = [x, y, z].find(({ hash }) => hash === order[0]);
    const { effects } = serve(node, p, 0, served ?? null);
    expect(requestsTo(effects, p.attemptId).map(({ id, body }) => [id, body])).toEqual([
      [1, { tag: kind, hashes: order.slice(1) }],
    ]);
  });

  test("what is verified is verified for the peer who served it, whoever announced it", () => {
    const { node, p, q } = two();
    const item = MAKE[pool]("one", 1n);
    announce(node, p, [item]);
    announce(node, q, [item]);
    expect(effectOf(serve(node, p, 0, item).effects, "effect/verifyItems").peerId).toBe(p.peerId);
  });

  test("P07: a batch that is not valid as a whole is halved until the bad item is alone", () => {
    const { node, p, q } = two();
    const items = Array.from({ length: 16 }, (_, index) => MAKE[pool](`many ${index}`, BigInt(index + 1)));
    const [asked] = requestsTo(announce(node, p, items).effects, p.attemptId);
    const hashes = asked !== undefined && "hashes" in asked.body ? asked.body.hashes : [];
    const [bad] = items;
    if (bad === undefined) throw new Error("there is one");
    announce(node, q, [bad]);
    const ordered = hashes.map((hash) => items.find((item) => item.hash === hash) ?? bad);
    let queue: readonly { readonly batchId: BatchId; readonly hashes: readonly Hash[] }[] = effectsOf(
      serve(node, p, 0, ...ordered).effects,
      "effect/verifyItems",
    ).map(({ batchId, items: all }) => ({ batchId, hashes: all.map(({ hash }) => hash) }));
    const ends: string[] = [];
    let questions = 0;
    for (let [next] = queue; next !== undefined; [next] = queue) {
      questions += 1;
      const { batchId, hashes: half } = next;
      const verdicts = half.includes(bad.hash)
        ? null
        : half.map((hash) => valid(items.find((item) => item.hash === hash) ?? bad));
      const result = node.feed({ type: "event/itemsVerified", batchId, verdicts });
      ends.push(...endings(result.actions));
      const halves = effectsOf(result.effects, "effect/verifyAgain");
      expect(halves.every((one) => one.pool === pool)).toBe(true);
      queue = [...queue.slice(1), ...halves];
      expect(brokenInvariants(node.state)).toEqual([]);
    }
    // 16, then two of each half: 8, 4, 2, 1.
    expect(questions).toBe(1 + 2 * 4);
    expect(poolOf(node, pool)).toEqual(
      items
        .slice(1)
        .map(({ hash }) => hash)
        .sort(),
    );
    // Both announced the bad one; that it was served by hash is nobody's fault.
    expect(ends.sort()).toEqual(["us invalidItem", "us invalidItem"]);
    expect(node.state.batches.size + node.state.fetches.size).toBe(0);
  });

  test("a wrong announcement of an item that is held is itemMismatch; another one of the message is still refused cleanly", () => {
    const { node, p } = two();
    const [x, y] = [MAKE[pool]("x"), MAKE[pool]("y")];
    submit(node, [x]);
    const lie = { ...x, info: { ...x.info, fee: 1n } };
    const result = announce(node, p, [lie, y]);
    expect(endings(result.actions)).toEqual(["us itemMismatch"]);
    expect(requestsTo(result.effects, p.attemptId)).toEqual([]);
    expect(node.state.fetches.size).toBe(0);
  });

  const LIES: readonly object[] =
    pool === "transaction"
      ? [{ fee: 101n }, { nonce: 9 }, { sender: "00".repeat(32) }]
      : [{ fee: 101n }, { jobId: "00".repeat(32) }, { prover: "00".repeat(32) }];
  test.each(LIES)(
    "itemMismatch falls on the announcers whose info differs, and the item is kept: %o",
    (lie) => {
      for (const isFirst of [true, false]) {
        const { node, p, q } = two();
        const x = MAKE[pool]("x", 100n);
        const liar = { ...x, info: { ...x.info, ...lie } };
        announce(node, p, [isFirst ? liar : x]);
        announce(node, q, [isFirst ? x : liar]);
        const result = verified(node, serve(node, p, 0, x).effects, valid(x));
        expect(goodbyes(result.effects)).toEqual([`itemMismatch ${BAN_MS}`]);
        expect(liveOf(node, p) === undefined).toBe(isFirst);
        expect(liveOf(node, q) === undefined).toBe(!isFirst);
        expect(poolOf(node, pool)).toEqual([x.hash]);
      }
    },
  );
});

describe("fetch: who is asked", () => {
  test("P08: a peer that answers nothing does not hold up another, nor itself in another pool", () => {
    const { node, p, q } = two();
    expect(requestsTo(announce(node, p, [a]).effects, p.attemptId)).toHaveLength(1);
    expect(requestsTo(announce(node, q, [b]).effects, q.attemptId)).toHaveLength(1);
    expect(requestsTo(announce(node, p, [snarkOf("s")]).effects, p.attemptId)).toHaveLength(1);
  });

  test("one slot for each peer and pool: nothing more is asked of it before it has answered", () => {
    const world = peers(1);
    const [p] = world.peers;
    if (p === undefined) throw new Error("there is one");
    const items = Array.from({ length: 20 }, (_, index) => itemOf(`many ${index}`));
    announce(world.node, p, items);
    expect(requestsTo(pass(world.node, RPC_TIMEOUT_MS - 1), p.attemptId)).toEqual([]);
    expect(liveOf(world.node, p)?.rpc?.ours).toHaveLength(1);
    // Timed out, it keeps its rpc slot, but not that of the fetcher.
    expect(requestsTo(pass(world.node, 1), p.attemptId)).toHaveLength(1);
  });

  test("P09: a body that two peers announce is fetched from one and verified once", () => {
    const { node, p, q } = two();
    expect(requestsTo(announce(node, p, [a]).effects, p.attemptId)).toHaveLength(1);
    expect(requestsTo(announce(node, q, [a]).effects, q.attemptId)).toEqual([]);
    const { effects } = serve(node, p, 0, a);
    const done = verified(node, effects, valid(a));
    expect(permitsIn(done.effects, p)).toHaveLength(1);
    expect(permitsIn(done.effects, q)).toHaveLength(1);
    expect(effectsOf(done.effects, "effect/verifyItems")).toEqual([]);
    expect(poolOf(node)).toEqual([a.hash]);
  });

  test("P09: what is being verified is not fetched a second time", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    serve(node, p, 0, a);
    expect(requestsTo(announce(node, q, [a]).effects, q.attemptId)).toEqual([]);
    expect(requestsTo(pass(node, 5_000), q.attemptId)).toEqual([]);
  });

  test.each([
    ["does not have it", (node: TestNode, p: TestPeer) => serve(node, p, 0, null).effects],
    [
      "is busy",
      (node: TestNode, p: TestPeer) => say(node, p.attemptId, response(0, { tag: "busy" })).effects,
    ],
    [
      "has it for streaming",
      (node: TestNode, p: TestPeer) =>
        say(node, p.attemptId, response(0, { tag: "items", found: [{ tag: "stream" }] })).effects,
    ],
    ["leaves", (node: TestNode, p: TestPeer) => closeTransport(node, p.attemptId).effects],
    ["is too slow", (node: TestNode) => node.pass(HEDGE_MS)],
    ["serves other bytes", (node: TestNode, p: TestPeer) => serve(node, p, 0, b).effects],
  ])("P07: the other announcer is asked when the first %s", (_, fail) => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const asked = requestsTo(fail(node, p), q.attemptId);
    expect(asked.map(({ body }) => body)).toEqual([{ tag: "transactions", hashes: [a.hash] }]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P20: who failed is not asked again for the same announcement, who was not asked yet is", () => {
    const world = peers(3);
    const { node } = world;
    const [p, q, r] = world.peers;
    if (p === undefined || q === undefined || r === undefined) throw new Error("there are three");
    for (const peer of world.peers) announce(node, peer, [a]);
    const second = askedFor(world, serve(node, p, 0, null).effects, a);
    expect(second).toHaveLength(1);
    expect(second).not.toContain(0);
    const asked = second[0] === 1 ? q : r;
    const third = askedFor(world, serve(node, asked, 0, null).effects, a);
    expect(third).toEqual([second[0] === 1 ? 2 : 1]);
    const last = third[0] === 1 ? q : r;
    const { effects } = serve(node, last, 0, null);
    expect(askedFor(world, effects, a)).toEqual([]);
    expect(node.state.fetches.size).toBe(0);
    expect(askedFor(world, pass(node, 9_000), a)).toEqual([]);
    // Announced again, as a band brings it, it is asked for again.
    expect(askedFor(world, announce(node, p, [a]).effects, a)).toEqual([0]);
  });

  test("P20: nothing is asked again as time goes by", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const effects = pass(node, 4_900);
    expect(requestsTo(effects, p.attemptId)).toEqual([]);
    expect(requestsTo(effects, q.attemptId)).toHaveLength(1);
  });

  test("an announcer without rpc is asked nothing, and holds up nobody", () => {
    const node = testNode();
    const mute = readyPeer(node, "mute", { channels: channelsWithout("best-tip", "rpc") });
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    // A slow one: it is asked last, but it is the only one that can be asked.
    announce(node, p, [b]);
    pass(node, HEDGE_MS);
    serve(node, p, 0, null);
    expect(liveOf(node, p)?.record.promptness).toBe("slow");
    announce(node, mute, [a]);
    const { effects } = announce(node, p, [a]);
    expect(requestsTo([...effects, ...pass(node, 1_000)], p.attemptId)).toHaveLength(1);
  });

  test("an announcer whose buffer is full holds up nobody", () => {
    const node = testNode();
    const full = readyPeer(node, "full", WITHOUT_TIPS);
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    announce(node, p, [b]);
    pass(node, HEDGE_MS);
    serve(node, p, 0, null);
    node.feed({ type: "event/channelBlocked", attemptId: full.attemptId, channel: "rpc" });
    announce(node, full, [a]);
    const { effects } = announce(node, p, [a]);
    expect(requestsTo([...effects, ...pass(node, 1_000)], p.attemptId)).toHaveLength(1);
  });
});

describe("fetch: the hedge", () => {
  /** Everybody who is asked for `a`, one after the other, before the first request times out and makes room. */
  function askedInTurn(world: World): readonly number[] {
    const { node } = world;
    const asked = world.peers.flatMap((peer) => askedFor(world, announce(node, peer, [a]).effects, a));
    expect(asked).toHaveLength(1);
    for (let round = 1; (round + 1) * HEDGE_MS < RPC_TIMEOUT_MS; round++) {
      expect(askedFor(world, node.pass(HEDGE_MS - 1), a)).toEqual([]);
      asked.push(...askedFor(world, node.pass(1), a));
    }
    expect(brokenInvariants(node.state)).toEqual([]);
    expect(new Set(asked).size).toBe(asked.length);
    return asked;
  }

  test("after 500 ms without an answer the next announcer is asked, and the next after 500 more", () => {
    expect(askedInTurn(peers(ASKED_AT_ONCE_MAX + 1))).toHaveLength(ASKED_AT_ONCE_MAX + 1);
  });

  test("of slow ones only so many at once", () => {
    const world = peers(ASKED_AT_ONCE_MAX + 1);
    const { node } = world;
    for (const [index, peer] of world.peers.entries()) announce(node, peer, [itemOf(`own ${index}`)]);
    node.pass(HEDGE_MS);
    for (const peer of world.peers) serve(node, peer, 0, null);
    expect(askedInTurn(world)).toHaveLength(ASKED_AT_ONCE_MAX);
  });

  test("who is slow is waited for by nobody else, but keeps what he is asked for", () => {
    const { node, p, q } = two();
    announce(node, p, [b]);
    node.pass(HEDGE_MS);
    serve(node, p, 0, null);
    expect(requestsTo(announce(node, p, [a]).effects, p.attemptId)).toHaveLength(1);
    expect(requestsTo(announce(node, q, [a]).effects, q.attemptId)).toHaveLength(1);
    expect(brokenInvariants(node.state)).toEqual([]);
    verified(node, serve(node, p, 1, a).effects, valid(a));
    expect(poolOf(node)).toEqual([a.hash]);
  });

  test("what nobody is asked for comes first, even with a smaller priority", () => {
    const { node, p, q } = two();
    announce(node, q, [b]);
    node.pass(HEDGE_MS);
    serve(node, q, 0, null);
    announce(node, q, [c]);
    // Greater, and asked of the slow one already.
    const [request] = requestsTo(announce(node, p, [c, a]).effects, p.attemptId);
    expect(request).toMatchObject({ body: { hashes: [a.hash, c.hash] } });
  });

  test("a new one does not wait for a prompt one that is busy", () => {
    const { node, p, q } = two();
    announce(node, p, [b]);
    verified(node, serve(node, p, 0, b).effects, valid(b));
    const many = Array.from({ length: RPC_HASHES_MAX }, (_, index) => itemOf(`many ${index}`, 1_000n));
    // One more than fits into a request.
    const [request] = requestsTo(announce(node, p, [...many, a]).effects, p.attemptId);
    expect(request).toMatchObject({ body: { hashes: expect.not.arrayContaining([a.hash]) } });
    expect(requestsTo(announce(node, q, [a]).effects, q.attemptId)).toHaveLength(1);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("the first valid answer wins: everybody's permit comes back, and the late answer costs nothing", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    node.pass(HEDGE_MS);
    const won = verified(node, serve(node, q, 0, a).effects, valid(a));
    expect(permitsIn(won.effects, p)).toHaveLength(1);
    expect(permitsIn(won.effects, q)).toHaveLength(1);
    expect(poolOf(node)).toEqual([a.hash]);
    const late = serve(node, p, 0, a);
    expect(goodbyes(late.effects)).toEqual([]);
    expect(late.effects).toEqual([]);
    expect(liveOf(node, p)?.record.withheld).toBe(0);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P09: the answer that comes second is not verified again, not even while the first one is", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    node.pass(HEDGE_MS);
    const first = serve(node, q, 0, a);
    expect(effectsOf(serve(node, p, 0, a).effects, "effect/verifyItems")).toEqual([]);
    verified(node, first.effects, valid(a));
    expect(poolOf(node)).toEqual([a.hash]);
  });

  test("a late answer of other bytes is still itemMismatch of its server alone", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    node.pass(HEDGE_MS);
    verified(node, serve(node, q, 0, a).effects, valid(a));
    const late = serve(node, p, 0, b);
    expect(goodbyes(late.effects)).toEqual([`itemMismatch ${BAN_MS}`]);
    expect(liveOf(node, q)).toBeDefined();
  });

  test("law 2: the peer that lost keeps its slot of the fetcher until it answers, and its next item waits for it", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    node.pass(HEDGE_MS);
    verified(node, serve(node, q, 0, a).effects, valid(a));
    expect(requestsTo(announce(node, p, [b]).effects, p.attemptId)).toEqual([]);
    expect(requestsTo(serve(node, p, 0, a).effects, p.attemptId)).toMatchObject([{ id: 1 }]);
  });

  test("one that does not have it does not take it from one who is still asked", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    node.pass(HEDGE_MS);
    const missing = serve(node, q, 0, null);
    expect(permitsIn(missing.effects, q)).toHaveLength(1);
    expect(permitsIn(missing.effects, p)).toEqual([]);
    verified(node, serve(node, p, 0, a).effects, valid(a));
    expect(poolOf(node)).toEqual([a.hash]);
  });

  test("an answer after 499 ms is in time", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    node.pass(HEDGE_MS - 1);
    serve(node, p, 0, null);
    expect(liveOf(node, p)?.record.promptness).not.toBe("slow");
  });

  test("slow peers are asked last, and recover by an answer in time", () => {
    const world = peers(2);
    const { node } = world;
    const [p, q] = world.peers;
    if (p === undefined || q === undefined) throw new Error("there are two");
    announce(node, p, [a]);
    node.pass(HEDGE_MS);
    serve(node, p, 0, null);
    expect(liveOf(node, p)?.record.promptness).toBe("slow");
    // Announced by the slow one alone, there is no choice; it stays asked, and nobody else is.
    announce(node, p, [b, c]);
    expect(liveOf(node, p)?.rpc?.ours).toHaveLength(1);
    node.pass(HEDGE_MS);
    serve(node, p, 1, null, null);
    // Now the other one announced them first: the slow one is not asked.
    announce(node, q, [a]);
    expect(requestsTo(announce(node, p, [a, b]).effects, p.attemptId)).toMatchObject([
      { body: { hashes: [b.hash] } },
    ]);
    serve(node, p, 2, b);
    expect(liveOf(node, p)?.record.promptness).toBe("prompt");
  });

  test("a timeout makes a peer slow", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    node.pass(HEDGE_MS);
    serve(node, q, 0, null);
    expect(liveOf(node, p)?.record.promptness).toBe("slow");
    expect(goodbyes(node.pass(RPC_TIMEOUT_MS - HEDGE_MS))).toEqual([]);
    expect(node.state.fetches.size).toBe(0);
  });
});

describe("fetch: what becomes of the bytes", () => {
  test("the hash is checked before anything else, and only the server of other bytes is to blame", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const result = serve(node, p, 0, b);
    expect(effectsOf(result.effects, "effect/verifyItems")).toEqual([]);
    expect(endings(result.actions)).toEqual(["us itemMismatch"]);
    expect(liveOf(node, p)).toBeUndefined();
    expect(liveOf(node, q)).toBeDefined();
  });

  test("one wrong body voids the whole response of that peer, but for nobody else", () => {
    const { node, p, q } = two();
    announce(node, p, [a, c]);
    announce(node, q, [a, c]);
    const result = say(node, p.attemptId, response(0, found(c, b)));
    expect(endings(result.actions)).toEqual(["us itemMismatch"]);
    expect(requestsTo(result.effects, q.attemptId)).toMatchObject([{ body: { hashes: [c.hash, a.hash] } }]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("notNow blames nobody, and the item is not kept", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const result = verified(node, serve(node, p, 0, a).effects, NOT_NOW);
    expect(goodbyes(result.effects)).toEqual([]);
    expect(poolOf(node)).toEqual([]);
    expect(node.state.offenders.size).toBe(0);
    expect([liveOf(node, p)?.record.withheld, liveOf(node, q)?.record.withheld]).toEqual([0, 0]);
  });

  test("a verdict that comes after its announcers have left still counts for the pool", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const { effects } = serve(node, p, 0, a);
    closeTransport(node, p.attemptId);
    verified(node, effects, valid(a));
    expect(poolOf(node)).toEqual([a.hash]);
    expect(node.state.batches.size).toBe(0);
  });

  test("verdicts of a batch that does not exist, or too few of them, change nothing", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const { batchId } = effectOf(serve(node, p, 0, a).effects, "effect/verifyItems");
    for (const [id, verdicts] of [
      [99 as BatchId, [valid(a)]],
      [99 as BatchId, null],
      [batchId, []],
      [batchId, [valid(a), valid(b)]],
    ] as const) {
      expect(node.feed({ type: "event/itemsVerified", batchId: id, verdicts }).actions).toEqual([]);
    }
    expect(poolOf(node)).toEqual([]);
  });

  test("P07: a bad item alone, of which the chain can say no more, is invalid", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const { batchId } = effectOf(serve(node, p, 0, a).effects, "effect/verifyItems");
    const result = node.feed({ type: "event/itemsVerified", batchId, verdicts: null });
    expect(goodbyes(result.effects)).toEqual([`invalidItem ${BAN_MS}`]);
    expect(effectsOf(result.effects, "effect/verifyAgain")).toEqual([]);
  });

  test("commitments go to verification as they came, all of a message in one batch", () => {
    const { node, p, q } = two();
    const items = Array.from({ length: INFOS_MAX }, (_, index) => commitmentOf(`many ${index}`, START_MS));
    const batch = effectOf(announce(node, p, items).effects, "effect/verifyItems");
    expect(batch.items).toEqual(items.map(({ hash, bytes }) => ({ hash, bytes })));
    expect(batch.pool).toBe("snark-job-commitment");
    expect(batch.peerId).toBe(p.peerId);
    expect(effectsOf(announce(node, q, items).effects, "effect/verifyItems")).toEqual([]);
  });

  test("what the chain refused at this tip is known up to a bound, and forgotten with the tip", () => {
    const node = testNode();
    const bringer = readyPeer(node, "bringer", WITHOUT_TIPS);
    for (let round = 0; round * INFOS_MAX < REFUSED_MAX + 64; round++) {
      const items = Array.from({ length: INFOS_MAX }, (_, index) =>
        commitmentOf(`refused ${round} ${index}`, START_MS),
      );
      const { effects } = announce(node, bringer, items);
      verified(node, effects, ...items.map(() => NOT_NOW));
    }
    expect(node.state.refused.size).toBe(REFUSED_MAX);
    adopt(node);
    expect(node.state.refused.size).toBe(0);
  });

  test("a contradiction in one message is itemMismatch, whatever the pool holds", () => {
    const { node, p } = two();
    const said = [a.info, { ...a.info, fee: 3n }];
    expect(goodbyes(say(node, p.attemptId, infos(0, said)).effects)).toEqual([`itemMismatch ${BAN_MS}`]);
  });
});

describe("fetch: doesNotHave (section 5)", () => {
  const many = (count: number): readonly Item[] =>
    Array.from({ length: count }, (_, index) => itemOf(`many ${index}`, BigInt(1 + index)));

  /** The peer announces one item after the other and serves those that it is said to. */
  function run(node: TestNode, p: TestPeer, items: readonly Item[], serves: (index: number) => boolean) {
    const ends: string[] = [];
    for (const [index, item] of items.entries()) {
      if (liveOf(node, p) === undefined) break;
      const [asked] = requestsTo(announce(node, p, [item]).effects, p.attemptId);
      if (asked === undefined) throw new Error("it is wanted");
      const result = serve(node, p, asked.id, serves(index) ? item : null);
      ends.push(...endings(result.actions));
      if (serves(index)) verified(node, result.effects, NOT_NOW);
      node.pass(100);
    }
    return { ends, asked: liveOf(node, p)?.record.asked };
  }

  test("more than half of at least 20 announcements", () => {
    const { node, p } = two();
    expect(run(node, p, many(19), () => false).ends).toEqual([]);
    expect(run(node, p, [itemOf("the 20th")], () => false).ends).toEqual(["us doesNotHave"]);
    expect(node.state.offenders.get(p.peerId)?.strikesMs).toHaveLength(1);
    expect(node.state.offenders.get(p.peerId)?.bannedUntilMs).toBe(0);
  });

  test("half is not more than half", () => {
    const { node, p } = two();
    expect(run(node, p, many(60), (index) => index % 2 === 0).ends).toEqual([]);
    expect(run(node, p, [itemOf("one"), itemOf("two")], () => false).ends).toEqual(["us doesNotHave"]);
  });

  test("what is older than ten minutes does not count", () => {
    const { node, p } = two();
    run(node, p, many(19), () => false);
    pass(node, 600_000);
    expect(run(node, p, [itemOf("much later")], () => false)).toMatchObject({ ends: [], asked: 1 });
  });

  test("what others had served by then does not count, nor what is left unasked", () => {
    const { node, p, q } = two();
    for (const item of many(40)) {
      announce(node, p, [item]);
      announce(node, q, [item]);
      node.pass(HEDGE_MS);
      const open = [p, q].map((peer) => liveOf(node, peer)?.rpc?.ours.at(-1)?.id ?? 0);
      const asked = liveOf(node, q)?.rpc?.ours.length === 0 ? p : q;
      const id = asked === q ? open[1] : open[0];
      verified(node, serve(node, asked, id ?? 0, item).effects, NOT_NOW);
      for (const peer of [p, q]) {
        for (const { id: late } of liveOf(node, peer)?.rpc?.ours ?? []) serve(node, peer, late, null);
      }
    }
    expect(liveOf(node, p)?.record.withheld).toBe(0);
    expect(liveOf(node, q)?.record.withheld).toBe(0);
    expect([liveOf(node, p), liveOf(node, q)]).not.toContain(undefined);
  });

  test("a request that is not answered counts for every item in it", () => {
    const { node, p } = two();
    announce(node, p, many(INFOS_MAX));
    const goodbye = goodbyes(pass(node, 2 * RPC_TIMEOUT_MS));
    expect(goodbye).toEqual(["doesNotHave 0"]);
  });
});

test("P21: what is fetched is looked at when something is due, never by a tick that is not", () => {
  const { node, p } = two();
  announce(
    node,
    p,
    Array.from({ length: INFOS_MAX }, (_, index) => itemOf(`many ${index}`)),
  );
  const before = node.state;
  const { actions } = node.feed({ type: "tick" });
  expect(actions.map(({ type }) => type)).toEqual(["tick"]);
  expect(node.state.fetches).toBe(before.fetches);
  expect(node.state.peers).toBe(before.peers);
});

test("a pool item that somebody announces wrongly is held all the same", () => {
  const { node, p } = two();
  bring(node, [a]);
  announce(node, p, [{ ...a, info: { ...a.info, fee: 9n } }]);
  expect(liveOf(node, p)).toBeUndefined();
  expect(poolOf(node)).toEqual([a.hash]);
});
