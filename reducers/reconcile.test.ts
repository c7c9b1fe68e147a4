import { describe, expect, test } from "vitest";
import type { Hash } from "../core/ids.ts";
import { INFOS_MAX, RECONCILE_POOL_MIN, RECONCILE_TIMEOUT_MS } from "../core/limits.ts";
import { POOL_NAMES, type PoolName, priorityOf } from "../core/pools.ts";
import { comparePriority } from "../core/priority.ts";
import { brokenInvariants } from "./invariants.ts";
import { START_MS } from "./testing/chain.ts";
import {
  announce,
  commitmentOf,
  holding,
  type Item,
  itemOf,
  permitsIn,
  poolOf,
  serve,
  snarkOf,
  valid,
  verified,
} from "./testing/items.ts";
import { control, response, say } from "./testing/messages.ts";
import { type TestNode, testNode } from "./testing/node.ts";
import { liveOf, readyPeer, type TestPeer, WITHOUT_TIPS } from "./testing/peers.ts";
import { bytesOf, createPoolNet, type PoolNet, type Sent } from "./testing/pool-net.ts";
import { randomOf } from "./testing/random.ts";
import { effectsOf, endReason, goodbyes, requestsTo } from "./testing/results.ts";

/** 7.7, Reconcile, and what the permits make of it: two pools become equal, and for how much. */

const MAKE: { readonly [Pool in PoolName]: (name: string) => Item } = {
  transaction: (name) => itemOf(name),
  snark: (name) => snarkOf(name),
  "snark-job-commitment": (name) => commitmentOf(name, START_MS),
};

const many = (pool: PoolName, count: number, name = "many"): readonly Item[] =>
  Array.from({ length: count }, (_, index) => MAKE[pool](`${name} ${index}`));

/** Two nodes with these pools, not connected. */
function pair(a: readonly Item[], b: readonly Item[]): PoolNet {
  const all = [...a, ...b];
  const holds: { readonly [name: string]: readonly Item[] } = { a, b };
  const net = createPoolNet(7, ["a", "b"], all, {
    prepare: (state) => {
      const own = [...Object.keys(holds)].find(
        (name) => testNode({}, name).state.config.peerId === state.config.peerId,
      );
      return holding({ ...state, pools: withOwnEpochs(state.pools, own ?? "a") }, holds[own ?? "a"] ?? []);
    },
  });
  net.keep("a", a);
  net.keep("b", b);
  return net;
}

/** Every process draws its own; the nodes of a test begin with one seed. */
function withOwnEpochs(pools: TestNode["state"]["pools"], name: string): TestNode["state"]["pools"] {
  const epoch = name === "a" ? 1_111n : 2_222n;
  return {
    transaction: { ...pools.transaction, epoch },
    snark: { ...pools.snark, epoch },
    "snark-job-commitment": { ...pools["snark-job-commitment"], epoch },
  };
}

/** All but bodies, and what has nothing to do with pools. */
function isTold({ channel, message }: Sent): boolean {
  if (channel === "control" || channel === "best-tip") return false;
  if (message.tag === "request" && "body" in message) return !("hashes" in message.body);
  return message.tag !== "response" || message.body.tag !== "items";
}

const isReconcile = ({ message }: Sent): boolean =>
  message.tag === "request" && "body" in message && message.body.tag === "reconcile";

describe("reconcile: pools become equal", () => {
  test("P23: 3,000 entries with 20 differences cost at most 8 KB, bodies aside", { timeout: 60_000 }, () => {
    // Where the differences lie is chance: the median, and none far from it.
    const costs = Array.from({ length: 11 }, (_, name) => {
      const common = many("transaction", 2_970, `common ${name}`);
      const net = pair(
        [...common, ...many("transaction", 10, `a ${name}`)],
        [...common, ...many("transaction", 10, `b ${name}`)],
      );
      net.link("a", "b");
      net.pass(30_000);
      expect(poolOf(net.node("a"))).toEqual(poolOf(net.node("b")));
      expect(poolOf(net.node("a"))).toHaveLength(2_990);
      expect([net.node("a"), net.node("b")].map((node) => node.state.offenders.size)).toEqual([0, 0]);
      return bytesOf(net.delivered, isTold);
    });
    costs.sort((a, b) => a - b);
    expect(costs[5]).toBeLessThanOrEqual(8_192);
    expect(costs[10]).toBeLessThanOrEqual(10_240);
  });

  test("P23: a reconnect within ten minutes costs next to nothing", () => {
    const common = many("transaction", 2_000);
    const net = pair(common, common);
    net.link("a", "b");
    net.pass(5_000);
    net.unlink("a", "b");
    net.pass(60_000);
    net.delivered.length = 0;
    net.link("a", "b");
    net.pass(15_000);
    expect(bytesOf(net.delivered, isTold)).toBeLessThanOrEqual(1_000);
  });

  test("a small pool is told without it", () => {
    const SMALL = RECONCILE_POOL_MIN - INFOS_MAX;
    const net = pair(many("snark", SMALL, "a"), many("snark", SMALL, "b"));
    net.link("a", "b");
    net.pass(20_000);
    expect(poolOf(net.node("a"), "snark")).toEqual(poolOf(net.node("b"), "snark"));
    expect(net.delivered.some(isReconcile)).toBe(false);
  });

  test.each(POOL_NAMES)("whatever differs, however much: %s", (pool) => {
    const common = many(pool, 300);
    for (const [mine, theirs] of [
      [0, 1],
      [40, 40],
      [0, 400],
    ] as const) {
      const net = pair([...common, ...many(pool, mine, "a")], [...common, ...many(pool, theirs, "b")]);
      net.link("a", "b");
      net.pass(60_000);
      expect(poolOf(net.node("a"), pool)).toEqual(poolOf(net.node("b"), pool));
      expect(poolOf(net.node("a"), pool)).toHaveLength(300 + mine + theirs);
    }
  });
});

describe("reconcile: the promise among three (7.4)", () => {
  test.each([1, 2, 3, 4, 5, 6])("pools of equal capacity become equal, whatever comes when: %i", (seed) => {
    const random = randomOf(seed);
    const items = Array.from({ length: 60 }, (_, index) =>
      itemOf(`${seed} ${index}`, BigInt(1 + random(5_000)), random(12), `sender ${random(4)}`),
    );
    const net = createPoolNet(seed, ["a", "b", "c"], items, { changes: { capacity: 9 } });
    net.link("a", "b");
    net.link("b", "c");
    const names = ["a", "b", "c"] as const;
    for (const item of items) {
      net.submit(names[random(3)] ?? "a", item);
      if (random(3) === 0) net.pass(random(3_000));
      if (random(12) === 0) {
        net.unlink("b", "c");
        net.pass(random(3_000));
        net.link("b", "c");
      }
    }
    net.pass(120_000);
    const winners = new Map<string, Item>();
    for (const item of items) {
      const slot = `${item.info.sender} ${item.info.nonce}`;
      const holder = winners.get(slot);
      if (holder === undefined || comparePriority(priorityOf(item.info), priorityOf(holder.info)) < 0)
        winners.set(slot, item);
    }
    const best: readonly Hash[] = [...winners.values()]
      .sort((one, other) => comparePriority(priorityOf(one.info), priorityOf(other.info)))
      .slice(0, 9)
      .map(({ hash }) => hash)
      .sort();
    for (const name of names) expect([name, poolOf(net.node(name))]).toEqual([name, best]);
    for (const name of names) expect(net.node(name).state.offenders.size).toBe(0);
  });
});

/** One node with a large pool, and one peer that says what the test wants. */
function alone(pool: PoolName = "transaction", size = 300) {
  const node = testNode({}, "us", undefined, (state) => holding(state, many(pool, size)));
  const peer = readyPeer(node, "p", WITHOUT_TIPS);
  return { node, peer };
}

const answered = (node: TestNode, peer: TestPeer, item: Item, next = 1n) => {
  const { effects } = announce(node, peer, [item], { cursor: { epoch: 77n, next } });
  const [asked] = requestsTo(effects, peer.attemptId);
  const served =
    asked === undefined || asked.body.tag === "reconcile"
      ? effects
      : serve(node, peer, asked.id, item).effects;
  return effectsOf(served, "effect/verifyItems").length > 0
    ? verified(node, served, valid(item)).effects
    : served;
};

describe("reconcile: the permit is withheld meanwhile", () => {
  test("a stranger's first permit is for one info: it tells its log as well as many would", () => {
    const { node, peer } = alone();
    expect(liveOf(node, peer)?.pools.transaction?.ours).toMatchObject({ tag: "permitGiven", limit: 1 });
  });

  test("after it we ask before we give the next one, with a salt of our own", () => {
    const { node, peer } = alone();
    const effects = answered(node, peer, itemOf("many 0"));
    expect(permitsIn(effects, peer)).toEqual([]);
    const [asked] = requestsTo(effects, peer.attemptId);
    expect(asked?.body).toMatchObject({ tag: "reconcile", pool: 0 });
    const other = alone();
    const again = answered(other.node, other.peer, itemOf("many 0"));
    const salts = [asked, requestsTo(again, other.peer.attemptId)[0]].map((one) =>
      one !== undefined && "salt" in one.body ? one.body.salt : 0n,
    );
    expect(salts[0]).not.toBe(0n);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("at most ten seconds, whatever the peer does", () => {
    for (const reply of [null, "busy", "notFound"] as const) {
      const { node, peer } = alone();
      const effects = answered(node, peer, itemOf("many 0"));
      const [asked] = requestsTo(effects, peer.attemptId);
      let permits = 0;
      if (reply !== null && asked !== undefined)
        permits += permitsIn(
          say(node, peer.attemptId, response(asked.id, { tag: reply })).effects,
          peer,
        ).length;
      for (let passed = 0; passed < RECONCILE_TIMEOUT_MS; passed += 1_000) {
        permits += permitsIn(node.pass(1_000), peer).length;
        const open = liveOf(node, peer)?.control.awaitingPong;
        if (open != null) say(node, peer.attemptId, control({ tag: "pong", n: open.n }));
      }
      expect([reply, permits]).toEqual([reply, 1]);
      expect(liveOf(node, peer)?.pools.transaction?.ours.tag).toBe("permitGiven");
      expect(brokenInvariants(node.state)).toEqual([]);
    }
  });

  test("a peer whose log goes on is not asked again", () => {
    const { node, peer } = alone();
    const effects = answered(node, peer, itemOf("many 0"));
    const [asked] = requestsTo(effects, peer.attemptId);
    const cursor = { epoch: 77n, next: 300n };
    const body = asked?.body.tag === "reconcile" ? asked.body : null;
    const reply = { tag: "reconcile", cursor, ranges: body?.ranges ?? [] } as const;
    const given = permitsIn(say(node, peer.attemptId, response(asked?.id ?? 0, reply)).effects, peer);
    // It has just what we have: on from where its log stood then, nothing is lacking.
    expect(given).toMatchObject([{ resume: cursor, window: { band: null }, limit: 32 }]);
    expect(requestsTo(answered(node, peer, itemOf("new"), 301n), peer.attemptId)).toEqual([]);
  });

  test("infos that were not asked for are responseMismatch", () => {
    const { node, peer } = alone();
    const [asked] = requestsTo(answered(node, peer, itemOf("many 0")), peer.attemptId);
    const body = asked?.body.tag === "reconcile" ? asked.body : null;
    const ranges = (body?.ranges ?? []).map(
      ({ from, to }) => ({ from, to, body: { tag: "ids", ids: [from] } }) as const,
    );
    const reply = { tag: "reconcile", cursor: { epoch: 77n, next: 300n }, ranges } as const;
    const { effects } = say(node, peer.attemptId, response(asked?.id ?? 0, reply));
    const [next] = requestsTo(effects, peer.attemptId);
    if (next?.body.tag !== "infosByShortId") throw new Error("it asks for what it lacks");
    const wrong = { tag: "infos", infos: { tag: "transactions", items: [itemOf("unasked").info] } } as const;
    const result = say(node, peer.attemptId, response(next.id, wrong));
    expect(endReason(result)).toBe("responseMismatch");
  });

  test("nobody is blamed for a reconciliation that leads nowhere", () => {
    const { node, peer } = alone();
    const [asked] = requestsTo(answered(node, peer, itemOf("many 0")), peer.attemptId);
    const body = asked?.body.tag === "reconcile" ? asked.body : null;
    // Every range differs, every time.
    let next = asked;
    let ranges = body?.ranges ?? [];
    for (let rounds = 0; rounds < 40 && next !== undefined && next.body.tag === "reconcile"; rounds++) {
      const wrong = { tag: "fingerprint", count: 4_000, xor: 1n, sum: 1n } as const;
      ranges = next.body.ranges.map(({ from, to }) => ({ from, to, body: wrong }));
      const reply = { tag: "reconcile", cursor: { epoch: 77n, next: 300n }, ranges } as const;
      const result = say(node, peer.attemptId, response(next.id, reply));
      expect(goodbyes(result.effects)).toEqual([]);
      [next] = requestsTo(result.effects, peer.attemptId);
    }
    expect(next).toBeUndefined();
    expect(liveOf(node, peer)?.pools.transaction?.ours.tag).toBe("permitGiven");
  });
});
