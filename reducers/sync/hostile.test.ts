import { describe, expect, test } from "vitest";
import { bodyRoot, type Tip } from "../../core/block.ts";
import type { RpcResponse } from "../../core/channels/rpc.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { Hash } from "../../core/ids.ts";
import { SYNC_STALLED_MS } from "../../core/limits.ts";
import { bytes32, CHAIN, childOf, headerOf } from "../testing/chain.ts";
import { response, say } from "../testing/messages.ts";
import { liveOf, type TestPeer } from "../testing/peers.ts";
import { effectsOf } from "../testing/results.ts";
import {
  blockOn,
  chainOn,
  createWorld,
  empty,
  honest,
  keeping,
  type Server,
  silent,
  type World,
} from "../testing/sync.ts";

const GENESIS = CHAIN.genesis;
const last = (tips: readonly Tip[]): Tip => tips.at(-1) as Tip;
const endingsOf = ({ node }: World): Readonly<Record<string, number>> => node.state.endings;
const isLive = ({ node }: World, peer: TestPeer): boolean => liveOf(node, peer) !== undefined;

/** Serves otherwise what `change` makes of an honest response. */
const lying =
  (change: (response: RpcResponse) => RpcResponse): Server =>
  (body, world) =>
    change(honest(body, world) ?? { tag: "notFound" });

describe("hostile: what a server says wrongly", () => {
  test("a block with another header is itemMismatch, and it is fetched from somebody else", () => {
    const world = createWorld();
    const other = childOf(GENESIS, "other");
    const liar = world.peer(
      "a",
      lying((response) => (response.tag === "block" ? { ...response, header: headerOf(other) } : response)),
    );
    const tip = blockOn(GENESIS);
    world.announce(liar, tip);
    expect(endingsOf(world)).toEqual({ "us itemMismatch": 1 });
    world.announce(world.peer("b"), tip);
    expect(world.node.state.chain.tip.hash).toBe(tip.hash);
  });

  test("a body that has not the root of its header is itemMismatch, for the server only", () => {
    const world = createWorld();
    const server = world.peer("a", empty);
    const announcer = world.peer("b");
    const tip = blockOn(GENESIS);
    world.announce(announcer, tip);
    const [wrong, right] = [world.peer("c"), world.peer("d")];
    world.serve(
      wrong,
      lying((response) =>
        response.tag === "block"
          ? { ...response, body: { ...response.body, transactions: [bytes32("x")] } }
          : response,
      ),
    );
    const next = blockOn(tip, "next");
    world.serve(announcer, empty);
    for (const peer of [announcer, wrong, right]) world.announce(peer, next);
    expect(endingsOf(world)).toEqual({ "us itemMismatch": 1 });
    expect(isLive(world, wrong)).toBe(false);
    for (const peer of [server, announcer, right]) expect(isLive(world, peer)).toBe(true);
    expect(world.node.state.chain.tip.hash).toBe(next.hash);
  });

  test("bytes that are not the item asked for are itemMismatch", () => {
    const world = createWorld();
    const liar = world.peer(
      "a",
      lying((response) =>
        response.tag === "items"
          ? { tag: "items", found: [{ tag: "some", bytes: new Uint8Array(3) }] }
          : response,
      ),
    );
    const tip = blockOn(GENESIS, "full", { transactions: ["x", "y"] });
    world.announce(liar, tip);
    expect(endingsOf(world)).toEqual({ "us itemMismatch": 1 });
    expect(effectsOf(world.effects, "effect/supplyItems")).toEqual([]);
  });

  test.each([
    ["does not begin with the block asked for", (headers: readonly unknown[]) => headers.slice(1)],
    ["leaves one out", (headers: readonly unknown[]) => [...headers.slice(0, 2), ...headers.slice(3)]],
    ["turns round", (headers: readonly unknown[]) => [...headers].reverse()],
    [
      "repeats one, as in a cycle",
      (headers: readonly unknown[]) => [...headers.slice(0, 2), ...headers.slice(0, 2)],
    ],
  ])("an ancestry that %s is responseMismatch", (_, change) => {
    const world = createWorld();
    const liar = world.peer(
      "a",
      lying((response) =>
        response.tag === "ancestry"
          ? { tag: "ancestry", headers: change(response.headers) as never }
          : response,
      ),
    );
    world.announce(liar, last(chainOn(GENESIS, 6, "six")));
    expect(endingsOf(world)).toEqual({ "us responseMismatch": 1 });
  });

  test("it is punished also when nobody waits for it any more", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a", silent), world.peer("b")];
    const tip = blockOn(GENESIS);
    world.announce(a, tip);
    const request = liveOf(world.node, a)?.rpc?.ours[0];
    world.pass(1_000);
    world.announce(b, blockOn(GENESIS, "something else"));
    world.announce(b, last(chainOn(GENESIS, 3, "better")));
    world.pass(3_000);
    expect(world.node.state.chain.tip.height).toBe(3);
    const header = headerOf(childOf(GENESIS, "wrong"));
    const body = { tag: "block", header, body: { transactions: [], snarks: [] } } as const;
    say(world.node, a.attemptId, response(request?.id ?? -1, body));
    expect(endingsOf(world)).toEqual({ "us itemMismatch": 1 });
  });
});

describe("hostile: invalid blocks fall on those who announced them", () => {
  test("a header with a bad signature: every announcer, and those who announce it later", () => {
    const world = createWorld();
    const [a, b, c] = [world.peer("a"), world.peer("b"), world.peer("c")];
    const tip = blockOn(GENESIS);
    world.headerVerdicts.set(tip.hash, { tag: "invalid", detail: "signature" });
    world.paused.add("effect/verifyHeaders");
    for (const peer of [a, b]) world.announce(peer, tip);
    world.paused.clear();
    world.settle();
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 2 });
    world.asked.length = 0;
    const checks = effectsOf(world.effects, "effect/verifyHeaders").length;
    world.announce(c, tip);
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 3 });
    world.announce(world.peer("d"), blockOn(tip, "its child"));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 4 });
    // It was known: nobody had to check it again.
    expect(effectsOf(world.effects, "effect/verifyHeaders")).toHaveLength(checks);
    expect(world.asked).toEqual([]);
  });

  test("a block that cannot be applied: the announcers, never those who served it", () => {
    const world = createWorld();
    const parent = blockOn(GENESIS, "parent");
    const [x, y] = [blockOn(parent, "x"), blockOn(parent, "y")];
    const [worse, better] = isBetterTip(x, y, CHAIN) ? [y, x] : [x, y];
    const announcer = world.peer("a", (body) =>
      body.tag === "block" ? { tag: "notFound" } : honest(body, world),
    );
    // As high as the invalid one: it is asked when the announcer does not serve.
    const server = world.peer("b");
    world.blockVerdicts.set(better.hash, { tag: "invalid", detail: "a balance below zero" });
    world.paused.add("effect/verifyHeaders");
    world.announce(announcer, better);
    world.announce(server, worse);
    world.paused.clear();
    world.settle();
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 1 });
    expect(isLive(world, server)).toBe(true);
    expect(world.asked.filter(({ attemptId }) => attemptId === server.attemptId).length).toBeGreaterThan(2);
    expect(world.node.state.chain.tip.hash).toBe(worse.hash);
  });

  test("an invalid ancestor: who announced the descendant, and later one on another branch above it", () => {
    const world = createWorld();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => world.peer(name)) as [
      TestPeer,
      TestPeer,
      TestPeer,
      TestPeer,
    ];
    const below = chainOn(GENESIS, 3, "below");
    const bad = blockOn(last(below), "bad");
    world.blockVerdicts.set(bad.hash, { tag: "invalid", detail: "ledger root" });
    world.announce(a, last(chainOn(bad, 3, "above")));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 1 });
    expect([...world.held].filter((hash) => hash === bad.hash)).toEqual([]);
    world.asked.length = 0;
    world.announce(b, last(chainOn(bad, 4, "other branch")));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 2 });
    expect(world.asked.map(({ body }) => body.tag)).toEqual(["ancestry"]);
    world.announce(c, blockOn(last(chainOn(bad, 3, "above")), "child of the announced one"));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 3 });
    // What is below it is as good as before.
    world.announce(d, last(chainOn(last(below), 2, "good")));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 3 });
    expect(world.node.state.chain.tip.height).toBe(5);
  });

  test("a bad header among the ancestors", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tips = chainOn(GENESIS, 5, "five");
    world.headerVerdicts.set(tips[2]?.hash as Hash, {
      tag: "invalid",
      detail: "not the producer of its slot",
    });
    world.announce(peer, last(tips));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 1 });
    expect(world.asked.map(({ body }) => body.tag)).toEqual(["ancestry"]);
  });

  test.each([
    ["of the announced block", 0],
    ["of an ancestor", 2],
  ])("heights that do not follow, %s: it is what its creator wrote, not what the server did", (_, above) => {
    const world = createWorld();
    const [announcer, server] = [world.peer("b"), world.peer("a")];
    const parent = last(chainOn(GENESIS, 3, "right"));
    world.announce(server, parent);
    const wrong = blockOn(parent, "wrong", { changes: { height: 5 } });
    world.announce(announcer, last([wrong, ...chainOn(wrong, above, "above")]));
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 1 });
    expect(isLive(world, server)).toBe(true);
  });

  test("heights with a gap among blocks that we do not have", () => {
    const world = createWorld();
    const announcer = world.peer("a");
    const below = last(chainOn(GENESIS, 3, "below the gap"));
    world.announce(
      announcer,
      last(chainOn(blockOn(below, "gap", { changes: { height: 6 } }), 2, "above it")),
    );
    expect(endingsOf(world)).toEqual({ "us invalidBlock": 1 });
    expect(world.asked.map(({ body }) => body.tag)).toEqual(["ancestry"]);
  });

  test("another genesis", () => {
    for (const length of [1, 2, 7]) {
      const world = createWorld();
      const peer = world.peer("a");
      const other = blockOn({ ...GENESIS, height: -1, hash: "00".repeat(32) as Hash }, "genesis");
      world.announce(peer, last(chainOn(other, length, "foreign")));
      expect(world.asked).toHaveLength(length === 1 ? 0 : 1);
      expect(endingsOf(world)).toEqual({ "us invalidBlock": 1 });
    }
  });
});

describe("hostile: what is nobody's fault ends in silence", () => {
  test("a slot in the future: given up, and tried again when it is time", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tip = blockOn(GENESIS);
    world.headerVerdicts.set(tip.hash, { tag: "notNow", detail: "slot in the future" });
    world.announce(peer, tip);
    expect(world.node.state.sync.pursuit).toBeNull();
    expect(world.asked).toEqual([]);
    world.headerVerdicts.clear();
    world.pass(1_000);
    expect(world.node.state.chain.tip.hash).toBe(tip.hash);
    expect(endingsOf(world)).toEqual({});
  });

  test("a block that is not valid now", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tip = blockOn(GENESIS);
    world.blockVerdicts.set(tip.hash, { tag: "notNow", detail: "the parent is not kept" });
    world.announce(peer, tip);
    expect(world.node.state.sync).toMatchObject({ pursuit: null, applying: null });
    expect(world.held.has(tip.hash)).toBe(false);
    expect(endingsOf(world)).toEqual({});
  });

  test("parents that nobody has", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tip = childOf(childOf(GENESIS, "never made"), "announced");
    world.announce(peer, tip);
    expect(world.asked.map(({ body }) => body.tag)).toEqual(["ancestry"]);
    expect(world.node.state.sync.givenUp.has(tip.hash)).toBe(true);
    expect(endingsOf(world)).toEqual({});
  });

  test("items that do not exist", () => {
    const world = createWorld();
    const body = { transactions: [bytes32("no item"), bytes32("none either")], snarks: [] };
    const tip = blockOn(GENESIS, "hollow", { changes: { bodyRoot: bodyRoot(body) } });
    const hollow: Server = (asked) =>
      asked.tag === "block" ? { tag: "block", header: headerOf(tip), body } : honest(asked, world);
    const [a, b] = [world.peer("a", hollow), world.peer("b", hollow)];
    for (const peer of [a, b]) world.announce(peer, tip);
    expect(world.node.state.sync.pursuit).toBeNull();
    // Each was asked once by both of the tries.
    expect(world.asked.filter(({ body: asked }) => asked.tag === "transactions")).toHaveLength(3);
    expect(world.held.has(tip.hash)).toBe(false);
    expect(endingsOf(world)).toEqual({});
  });
});

describe("hostile: who withholds costs three seconds at most when there is another tip", () => {
  /** Says the first part of everything, and then nothing. */
  const withholding = {
    headers: (body) => (body.tag === "ancestry" ? null : honest(body, undefined as never)),
    blocks: (body) => (body.tag === "block" ? null : honest(body, undefined as never)),
    items: (body) => (body.tag === "transactions" ? null : honest(body, undefined as never)),
    everything: silent,
  } satisfies Record<string, Server>;

  test.each(Object.entries(withholding))("of %s", (_, server) => {
    const world = createWorld();
    const liar = world.peer("a", server);
    const tips = chainOn(GENESIS, 5, "withheld", { transactions: ["t"] });
    world.announce(liar, last(tips));
    const startMs = world.node.nowMs;
    const honestTip = blockOn(GENESIS, "honest");
    world.announce(world.peer("b", keeping(honestTip)), honestTip);
    while (world.node.state.chain.tip.hash !== honestTip.hash && world.node.nowMs < startMs + 20_000)
      world.pass(100);
    expect(world.node.nowMs - startMs).toBeLessThanOrEqual(SYNC_STALLED_MS);
    expect(world.node.state.sync.givenUp.has(last(tips).hash)).toBe(true);
  });

  test("one that serves an item now and then, a little longer", () => {
    const world = createWorld();
    let allowed = 0;
    const dripping: Server = (body) => {
      if (body.tag !== "transactions") return honest(body, world);
      if (allowed === 0) return null;
      allowed -= 1;
      const answer = honest(body, world);
      return answer?.tag === "items" ? { ...answer, found: answer.found.slice(0, 1) } : answer;
    };
    const names = Array.from({ length: 500 }, (_, index) => `drip ${index}`);
    const liar = world.peer("a", dripping);
    const announced = blockOn(GENESIS, "dripping", { transactions: names });
    allowed = 1;
    world.announce(liar, announced);
    const startMs = world.node.nowMs;
    const honestTip = blockOn(GENESIS, "honest");
    world.announce(world.peer("b", keeping(honestTip)), honestTip);
    while (world.node.state.chain.tip.hash === GENESIS.hash && world.node.nowMs < startMs + 60_000) {
      allowed = 1;
      world.pass(500);
    }
    expect(world.node.nowMs - startMs).toBeLessThanOrEqual(SYNC_STALLED_MS + 1_000);
  });

  test("a second announcer of the same tip is asked after one second", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 20, "both");
    const [a, b] = [world.peer("a", silent), world.peer("b")];
    for (const peer of [a, b]) world.announce(peer, last(tips));
    world.pass(3_000);
    expect(world.node.state.chain.tip.hash).toBe(last(tips).hash);
  });
});
