import { describe, expect, test } from "vitest";
import type { ItemVerdict } from "../../core/chain.ts";
import type { Effect } from "../../core/effects.ts";
import { BAN_MS, RPC_TIMEOUT_MS, SETTLE_TIMEOUT_MS } from "../../core/limits.ts";
import { FETCHED_POOLS, POOL_NAMES, type PoolName } from "../../core/pools.ts";
import { brokenInvariants } from "../invariants.ts";
import { START_MS } from "../testing/chain.ts";
import {
  announce,
  commitmentOf,
  INVALID,
  type Item,
  itemOf,
  NOT_NOW,
  permitOf,
  permitsIn,
  poolOf,
  serve,
  snarkOf,
  submit,
  valid,
  verified,
} from "../testing/items.ts";
import { control, infos, response, say } from "../testing/messages.ts";
import { party, type TestNode, testNode } from "../testing/node.ts";
import { openTransport, readyPeer, sayHello, type TestPeer, WITHOUT_TIPS } from "../testing/peers.ts";
import { effectOf, effectsOf, goodbyes, requestsTo } from "../testing/results.ts";
import { offerFrom } from "../testing/signals.ts";

/** Laws 1 and 2 on the three channels of 7.4 to 7.6. */

const MAKE: { readonly [Pool in PoolName]: (name: string) => Item } = {
  transaction: (name) => itemOf(name),
  snark: (name) => snarkOf(name),
  "snark-job-commitment": (name) => commitmentOf(name, START_MS),
};

const two = (): { readonly node: TestNode; readonly p: TestPeer; readonly q: TestPeer } => {
  const node = testNode();
  return { node, p: readyPeer(node, "p", WITHOUT_TIPS), q: readyPeer(node, "q", WITHOUT_TIPS) };
};

const pong = (node: TestNode, peer: TestPeer): void => {
  const open = node.state.peers.get(peer.peerId)?.live?.control.awaitingPong;
  if (open != null) say(node, peer.attemptId, control({ tag: "pong", n: open.n }));
};

/** What was announced is served, if it has to be, and verified. */
function conclude(
  node: TestNode,
  peer: TestPeer,
  item: Item,
  announced: readonly Effect[],
  verdict: ItemVerdict,
): readonly Effect[] {
  const isServed = effectsOf(announced, "effect/verifyItems").length > 0;
  const effects = isServed ? announced : serve(node, peer, 0, item).effects;
  return verified(node, effects, verdict).effects;
}

describe.each(POOL_NAMES)("permits: the laws on %s", (pool) => {
  const [a, b, c] = [MAKE[pool]("a"), MAKE[pool]("b"), MAKE[pool]("c")];

  test("law 1: the first permit is given when the peer is ready, and no second one while it is open", () => {
    const node = testNode();
    const peer = readyPeer(node, "p", WITHOUT_TIPS);
    expect(permitOf(node, peer, pool)).toBe(0);
    const effects: Effect[] = [];
    for (let passed = 0; passed < 120; passed++) {
      effects.push(...node.pass(1_000));
      pong(node, peer);
    }
    expect(permitOf(node, peer, pool)).toBe(0);
    expect(permitsIn(effects, peer, pool)).toEqual([]);
  });

  test("the first permit is for everything, for as many infos as fit, and resumes nothing", () => {
    const node = testNode();
    const peer = offerFrom(node, party("p"));
    openTransport(node, peer.attemptId);
    const { effects } = sayHello(node, peer.attemptId);
    expect(permitsIn(effects, peer, pool)).toMatchObject([
      { tag: "getNext", limit: 32, window: { seq: 0, floor: null, band: null }, resume: null },
    ]);
  });

  test.each([
    ["valid", "valid"],
    ["not now", "notNow"],
  ] as const)("law 2: the next permit comes when what was announced is settled: %s", (_, tag) => {
    const { node, p, q } = two();
    const announced = announce(node, p, [a]).effects;
    expect(permitsIn(announced, p, pool)).toEqual([]);
    const effects = conclude(node, p, a, announced, tag === "valid" ? valid(a) : NOT_NOW);
    expect(permitsIn(effects, p, pool)).toMatchObject([{ window: { seq: 1 }, resume: null }]);
    expect(permitsIn(effects, q, pool)).toEqual([]);
    expect(poolOf(node, pool)).toEqual(tag === "valid" ? [a.hash] : []);
    expect(node.state.fetches.size).toBe(0);
    expect(goodbyes(effects)).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("law 2: never verified is settled after 15 s", () => {
    const { node, p } = two();
    const announced = announce(node, p, [a]).effects;
    if (pool !== "snark-job-commitment") serve(node, p, 0, a);
    else expect(effectsOf(announced, "effect/verifyItems")).toHaveLength(1);
    const early = [...node.pass(9_500)];
    pong(node, p);
    early.push(...node.pass(SETTLE_TIMEOUT_MS - 9_501));
    expect(permitsIn(early, p, pool)).toEqual([]);
    pong(node, p);
    expect(permitsIn(node.pass(1), p, pool)).toMatchObject([{ window: { seq: 1 } }]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("law 2: the permit waits for the last of many", () => {
    const { node, p } = two();
    const announced = announce(node, p, [a, b, c]).effects;
    const effects =
      pool === "snark-job-commitment"
        ? announced
        : serve(node, p, 0, ...inOrder(announced, p, [a, b, c])).effects;
    const { batchId, items } = effectOf(effects, "effect/verifyItems");
    expect(items).toHaveLength(3);
    expect(permitsIn(effects, p, pool)).toEqual([]);
    const done = node.feed({ type: "event/itemsVerified", batchId, verdicts: [NOT_NOW, NOT_NOW, NOT_NOW] });
    expect(permitsIn(done.effects, p, pool)).toHaveLength(1);
  });

  test("law 2: what is held already is settled at once", () => {
    const { node, p } = two();
    conclude(node, p, a, announce(node, p, [a]).effects, valid(a));
    const again = announce(node, p, [a]).effects;
    expect(permitsIn(again, p, pool)).toMatchObject([{ window: { seq: 2 } }]);
    expect(effectsOf(again, "effect/verifyItems")).toEqual([]);
    expect(requestsTo(again, p.attemptId)).toEqual([]);
    expect(node.state.fetches.size).toBe(0);
  });

  test("a permit of one channel is none on another", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const other = pool === "snark" ? "transaction" : "snark";
    expect(permitOf(node, p, other)).toBe(0);
    const result = say(node, p.attemptId, infos(0, [b.info], {}, pool));
    expect(goodbyes(result.effects)).toEqual([`noPermit ${BAN_MS}`]);
  });

  test("invalidItem falls on every announcer, and on nobody else", () => {
    const { node, p, q } = two();
    const bystander = readyPeer(node, "bystander", WITHOUT_TIPS);
    const announced = announce(node, p, [a]).effects;
    expect(effectsOf(announce(node, q, [a]).effects, "effect/verifyItems")).toEqual([]);
    const effects = conclude(node, p, a, announced, INVALID);
    expect(goodbyes(effects)).toEqual([`invalidItem ${BAN_MS}`, `invalidItem ${BAN_MS}`]);
    expect([...node.state.peers.keys()]).toEqual([bystander.peerId]);
    expect(poolOf(node, pool)).toEqual([]);
  });
});

describe.each(FETCHED_POOLS)("permits: law 2 and fetching on %s", (pool) => {
  const a = MAKE[pool]("a");

  const ENDS: readonly (readonly [string, (node: TestNode, peer: TestPeer) => readonly Effect[]])[] = [
    ["not servable", (node, peer) => serve(node, peer, 0, null).effects],
    ["not found", (node, peer) => say(node, peer.attemptId, response(0, { tag: "notFound" })).effects],
    ["busy", (node, peer) => say(node, peer.attemptId, response(0, { tag: "busy" })).effects],
    [
      "too large for rpc",
      (node, peer) =>
        say(node, peer.attemptId, response(0, { tag: "items", found: [{ tag: "stream" }] })).effects,
    ],
    ["not answered", (node) => node.pass(RPC_TIMEOUT_MS)],
  ];
  test.each(ENDS)("law 2: the next permit comes when the announced item is settled: %s", (_, end) => {
    const { node, p } = two();
    const before = announce(node, p, [a]);
    expect(permitsIn(before.effects, p, pool)).toEqual([]);
    const effects = end(node, p);
    expect(permitsIn(effects, p, pool)).toHaveLength(1);
    expect(permitOf(node, p, pool)).toBe(1);
    expect(node.state.fetches.size).toBe(0);
    expect(goodbyes(effects)).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("one hash twice in a message, equal or not, leaves nothing behind", () => {
    const { node, p } = two();
    announce(node, p, [a, a]);
    expect(permitsIn(serve(node, p, 0, null).effects, p, pool)).toHaveLength(1);
    expect(node.state.fetches.size).toBe(0);
    const lie = { ...a.info, fee: 9_999n };
    const result = say(node, p.attemptId, infos(permitOf(node, p, pool), [a.info, lie], {}, pool));
    expect(goodbyes(result.effects)).toEqual([`itemMismatch ${BAN_MS}`]);
    expect(node.state.fetches.size).toBe(0);
  });
});

describe("permits: law 2 for transactions", () => {
  test("what loses its slot is settled at once", () => {
    const { node, p } = two();
    const rich = itemOf("rich", 1_000n, 7, "s");
    const poor = itemOf("poor", 10n, 7, "s");
    submit(node, [rich]);
    expect(permitsIn(announce(node, p, [poor]).effects, p)).toHaveLength(1);
    expect(node.state.fetches.size).toBe(0);
  });
});

/** These in the order in which the peer was asked for them. */
const inOrder = (
  effects: readonly Effect[],
  { attemptId }: TestPeer,
  items: readonly Item[],
): readonly Item[] =>
  requestsTo(effects, attemptId).flatMap(({ body }) =>
    "hashes" in body
      ? [...items].sort((x, y) => body.hashes.indexOf(x.hash) - body.hashes.indexOf(y.hash))
      : [],
  );
