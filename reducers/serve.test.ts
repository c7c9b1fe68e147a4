import { describe, expect, test } from "vitest";
import { type RpcRequest, type RpcResponse, rpcSchema } from "../core/channels/rpc.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import { ITEM_BYTES_MAX, RPC_BYTES_MAX, RPC_OPEN_MAX, RPC_RATES } from "../core/limits.ts";
import { POOL_NAMES } from "../core/pools.ts";
import { shortId } from "../core/set-index.ts";
import { adopt, bytes32, CHAIN, childOf, headerOf, START_MS } from "./testing/chain.ts";
import { bring, commitmentOf, type Item, itemOf, snarkOf } from "./testing/items.ts";
import { control, request, response, say } from "./testing/messages.ts";
import { type TestNode, testNode } from "./testing/node.ts";
import { closeTransport, liveOf, readyPeer, type TestPeer } from "./testing/peers.ts";
import { effectOf, effectsOf, endReason, sentOn } from "./testing/results.ts";

/** 7.7: the answers to a peer's requests. */

const HASH = itemOf("x").hash;

const ready = (): { readonly node: TestNode; readonly peer: TestPeer } => {
  const node = testNode();
  return { node, peer: readyPeer(node, "peer") };
};

const answersIn = (effects: readonly Effect[], { attemptId }: TestPeer): readonly RpcResponse[] =>
  sentOn(effects, attemptId).flatMap(({ message }) => (message.tag === "response" ? [message.body] : []));

/** The next request of this peer. */
function ask(node: TestNode, peer: TestPeer, body: RpcRequest) {
  const id = liveOf(node, peer)?.rpc?.theirNextId ?? 0;
  const { effects } = say(node, peer.attemptId, request(id, body));
  return { id, effects, answers: answersIn(effects, peer) };
}

describe("serving: what is answered at once", () => {
  test("BestTip: the best tip", () => {
    const { node, peer } = ready();
    expect(ask(node, peer, { tag: "bestTip" }).answers).toEqual([
      { tag: "bestTip", header: expect.objectContaining(headerOf(CHAIN.genesis)) },
    ]);
    const tip = childOf(CHAIN.genesis);
    adopt(node, {}, tip);
    expect(ask(node, peer, { tag: "bestTip" }).answers).toMatchObject([{ header: headerOf(tip) }]);
  });

  test("blocks and ancestries of what is not applied here, and peers: NotFound", () => {
    const { node, peer } = ready();
    for (const body of [
      { tag: "block", hash: HASH },
      { tag: "ancestry", hash: HASH, count: 3 },
      { tag: "peers" },
    ] as const)
      expect(ask(node, peer, body)).toMatchObject({ answers: [{ tag: "notFound" }] });
  });

  const MAKE: readonly (readonly [tag: string, make: (name: string) => Item])[] = [
    ["transactions", (name) => itemOf(name)],
    ["snarks", (name) => snarkOf(name)],
    ["commitments", (name) => commitmentOf(name, START_MS)],
  ];
  test.each(MAKE)(
    "InfosByShortId: %s of the pool under the asker's salt, unknown ids left out",
    (tag, make) => {
      const { node, peer } = ready();
      const items = ["a", "b", "c"].map(make);
      const pool = MAKE.findIndex(([name]) => name === tag);
      bring(node, items);
      expect(node.state.pools[POOL_NAMES[pool] ?? "snark"].entries.size).toBe(3);
      const [a, , c] = items;
      const salt = 99n;
      const ids = [shortId(salt, c?.hash ?? HASH), 12_345n, shortId(salt, a?.hash ?? HASH)];
      expect(ask(node, peer, { tag: "infosByShortId", pool, salt, ids }).answers).toEqual([
        { tag: "infos", infos: { tag, items: [c?.info, a?.info] } },
      ]);
    },
  );

  test("Reconcile of everything: the ids of a small pool, and where its log stands", () => {
    const { node, peer } = ready();
    const items = ["a", "b", "c"].map((name) => itemOf(name));
    bring(node, items);
    const salt = 4n;
    const ids = items.map(({ hash }) => shortId(salt, hash)).sort((one, other) => (one < other ? -1 : 1));
    const range = { from: 0n, to: 2n ** 64n - 1n };
    const nothing = { ...range, body: { tag: "fingerprint", count: 0, xor: 0n, sum: 0n } } as const;
    expect(ask(node, peer, { tag: "reconcile", pool: 0, salt, ranges: [nothing] }).answers).toEqual([
      {
        tag: "reconcile",
        cursor: { epoch: node.state.pools.transaction.epoch, next: 3n },
        ranges: [{ ...range, body: { tag: "ids", ids } }],
      },
    ]);
  });
});

describe("serving: what the chain has", () => {
  test("a block that is applied is loaded, and answered once", () => {
    const { node, peer } = ready();
    const { genesis } = CHAIN;
    const { id, effects, answers } = ask(node, peer, { tag: "block", hash: genesis.hash });
    expect(answers).toEqual([]);
    expect(effectOf(effects, "effect/loadBlock")).toMatchObject({ rpcId: id, hash: genesis.hash });
    const block = { header: headerOf(genesis), body: { transactions: [bytes32("t")], snarks: [] } };
    const loaded = { type: "event/blockLoaded", attemptId: peer.attemptId, rpcId: id, block } as const;
    expect(answersIn(node.feed(loaded).effects, peer)).toEqual([{ tag: "block", ...block }]);
    expect(node.feed(loaded).effects).toEqual([]);
  });

  test("an ancestry likewise, as long as was asked for", () => {
    const { node, peer } = ready();
    const { genesis } = CHAIN;
    const tip = childOf(genesis);
    adopt(node, {}, tip);
    const { id, effects } = ask(node, peer, { tag: "ancestry", hash: tip.hash, count: 2 });
    expect(effectOf(effects, "effect/loadAncestry")).toMatchObject({ rpcId: id, hash: tip.hash, count: 2 });
    const headers = [headerOf(tip), headerOf(genesis)];
    const loaded = { type: "event/ancestryLoaded", attemptId: peer.attemptId, rpcId: id, headers } as const;
    expect(answersIn(node.feed(loaded).effects, peer)).toEqual([{ tag: "ancestry", headers }]);
  });

  test("P19: what the chain has lost meanwhile is NotFound", () => {
    const { node, peer } = ready();
    const { attemptId } = peer;
    const { hash } = CHAIN.genesis;
    const block = ask(node, peer, { tag: "block", hash }).id;
    const ancestry = ask(node, peer, { tag: "ancestry", hash, count: 1 }).id;
    const lost = { type: "event/blockLoaded", attemptId, rpcId: block, block: null } as const;
    expect(answersIn(node.feed(lost).effects, peer)).toEqual([{ tag: "notFound" }]);
    const gone = { type: "event/ancestryLoaded", attemptId, rpcId: ancestry, headers: [] } as const;
    expect(answersIn(node.feed(gone).effects, peer)).toEqual([{ tag: "notFound" }]);
  });

  test("requests for transactions are answered when they are loaded, in whatever order, each once", () => {
    const { node, peer } = ready();
    const { attemptId } = peer;
    for (const rpcId of [0, 1, 2, 3]) {
      const { effects } = say(node, attemptId, request(rpcId, { tag: "transactions", hashes: [HASH] }));
      expect(effectOf(effects, "effect/loadItems")).toEqual({
        type: "effect/loadItems",
        attemptId,
        rpcId,
        hashes: [HASH],
      });
    }
    for (const rpcId of [2, 0, 3, 1]) {
      const loaded = { type: "event/itemsLoaded", attemptId, rpcId, items: [null] } as const;
      expect(sentOn(node.feed(loaded).effects, attemptId)).toEqual([
        { channel: "rpc", message: response(rpcId, { tag: "items", found: [{ tag: "none" }] }).message },
      ]);
      expect(node.feed(loaded).effects).toEqual([]);
    }
    expect(endReason(say(node, attemptId, request(4, { tag: "peers" })))).toBeUndefined();
  });

  test("four open requests are allowed; an answered one makes room for the next", () => {
    const { node, peer } = ready();
    const { attemptId } = peer;
    const ask = (id: number) => say(node, attemptId, request(id, { tag: "transactions", hashes: [HASH] }));
    for (const id of [0, 1, 2, 3]) ask(id);
    node.feed({ type: "event/itemsLoaded", attemptId, rpcId: 1, items: [null] });
    expect(endReason(ask(4))).toBeUndefined();
    expect(endReason(ask(5))).toBe("overLimit");
  });

  test("P16: as many entries as fit into 64 KiB are sent, at least one, larger items are for streaming", () => {
    const { node, peer } = ready();
    const { attemptId } = peer;
    const sizes: readonly (readonly [readonly (number | null)[], readonly string[]])[] = [
      [[ITEM_BYTES_MAX], ["some"]],
      [[ITEM_BYTES_MAX + 1], ["stream"]],
      [
        [null, 0, 1],
        ["none", "some", "some"],
      ],
      [Array.from({ length: 16 }, () => ITEM_BYTES_MAX), ["some", "some", "some"]],
      [Array.from({ length: 16 }, () => 4_000), Array.from({ length: 16 }, () => "some")],
      [Array.from({ length: 16 }, () => 5_000), Array.from({ length: 13 }, () => "some")],
    ];
    for (const [id, [lengths, tags]] of sizes.entries()) {
      const hashes = lengths.map((_, index) => itemOf(`${id} ${index}`).info.hash);
      say(node, attemptId, request(id, { tag: "transactions", hashes }));
      const items = lengths.map((length) => (length === null ? null : new Uint8Array(length)));
      const { effects } = node.feed({ type: "event/itemsLoaded", attemptId, rpcId: id, items });
      const { message } = effectOf(effects, "effect/send");
      if (message.tag !== "response" || message.body.tag !== "items") throw new Error("items are answered");
      expect(message.body.found.map(({ tag }) => tag)).toEqual(tags);
      expect(encode(rpcSchema, message).length).toBeLessThanOrEqual(RPC_BYTES_MAX);
    }
  });

  test("what was loaded for a connection that ended goes nowhere", () => {
    const { node, peer } = ready();
    say(node, peer.attemptId, request(0, { tag: "transactions", hashes: [HASH] }));
    closeTransport(node, peer.attemptId);
    const late = { type: "event/itemsLoaded", attemptId: peer.attemptId, rpcId: 0, items: [null] } as const;
    expect(node.feed(late).actions).toEqual([]);
    const again = readyPeer(node, "peer");
    say(node, again.attemptId, request(0, { tag: "transactions", hashes: [HASH] }));
    expect(node.feed(late).effects).toEqual([]);
    expect(liveOf(node, again)?.rpc?.theirs).toMatchObject([{ id: 0 }]);
  });
});

describe("P26: costs", () => {
  const REQUESTS: {
    readonly [Kind in Exclude<RpcRequest["tag"], "reconcile" | "infosByShortId">]: RpcRequest;
  } = {
    bestTip: { tag: "bestTip" },
    block: { tag: "block", hash: HASH },
    transactions: { tag: "transactions", hashes: [HASH] },
    snarks: { tag: "snarks", hashes: [HASH] },
    ancestry: { tag: "ancestry", hash: HASH, count: 1 },
    peers: { tag: "peers" },
  };

  /** Asks until the answer is Busy, and answers as the chain what is loaded. @returns the answers before it */
  function askUntilBusy(node: TestNode, peer: TestPeer, body: RpcRequest, max = 5_000): number {
    for (let count = 0; count < max; count++) {
      const { id, effects, answers } = ask(node, peer, body);
      const isLoaded = effectsOf(effects, "effect/loadItems").length > 0;
      const { attemptId } = peer;
      const final = isLoaded
        ? answersIn(
            node.feed({ type: "event/itemsLoaded", attemptId, rpcId: id, items: [null] }).effects,
            peer,
          )
        : answers;
      expect(final).toHaveLength(1);
      if (final[0]?.tag === "busy") return count;
    }
    throw new Error("it is never Busy");
  }

  test.each(Object.entries(REQUESTS))(
    "%s beyond the burst is Busy, and again when it has refilled",
    (kind, body) => {
      const { node, peer } = ready();
      const { burst, perSecond } = RPC_RATES[kind as keyof typeof RPC_RATES];
      expect(askUntilBusy(node, peer, body)).toBe(burst);
      // What one kind costs is of that kind, and of that peer.
      expect(askUntilBusy(node, readyPeer(node, "other"), body)).toBe(burst);
      for (const other of Object.values(REQUESTS))
        if (other.tag !== kind) expect(ask(node, peer, other).answers).not.toEqual([{ tag: "busy" }]);
      for (const { id } of liveOf(node, peer)?.rpc?.theirs ?? [])
        node.feed({ type: "event/itemsLoaded", attemptId: peer.attemptId, rpcId: id, items: [null] });
      node.pass(1_000 / perSecond);
      const open = liveOf(node, peer)?.control.awaitingPong;
      if (open != null) say(node, peer.attemptId, control({ tag: "pong", n: open.n }));
      expect(askUntilBusy(node, peer, body)).toBeGreaterThanOrEqual(1);
      // A refused request costs nothing that would have to be made up for.
      expect(askUntilBusy(node, peer, body)).toBe(0);
      node.pass(4_000);
      expect(askUntilBusy(node, peer, body)).toBeGreaterThanOrEqual(
        Math.min(burst, Math.floor(perSecond * 4)),
      );
    },
  );

  test.each(["reconcile", "infosByShortId"] as const)("%s costs the size of the pool", (tag) => {
    const { node, peer } = ready();
    const size = 416;
    for (let part = 0; part * 32 < size; part++)
      bring(
        node,
        Array.from({ length: 32 }, (_, index) => commitmentOf(`item ${part} ${index}`, START_MS)),
      );
    const body: RpcRequest =
      tag === "reconcile" ? { tag, pool: 2, salt: 1n, ranges: [] } : { tag, pool: 2, salt: 1n, ids: [1n] };
    const { burst, perSecond } = RPC_RATES[tag];
    const answered = askUntilBusy(node, peer, body);
    expect(answered).toBeLessThanOrEqual(Math.ceil(burst / size));
    expect(answered).toBeGreaterThan(burst / size / 2);
    // The next one waits until a request's worth was refilled at most.
    node.pass((1_000 * (size + 2)) / perSecond);
    expect(askUntilBusy(node, peer, body)).toBeGreaterThanOrEqual(1);
    // Another pool, with nothing in it, costs next to nothing: but it is the same bucket.
    expect(ask(node, peer, { ...body, pool: 0 }).answers).toEqual([{ tag: "busy" }]);
  });

  test("four that are not answered yet are no reason to be Busy", () => {
    const { node, peer } = ready();
    for (let count = 0; count < RPC_OPEN_MAX; count++)
      expect(ask(node, peer, REQUESTS.transactions).answers).toEqual([]);
    expect(endReason(say(node, peer.attemptId, request(RPC_OPEN_MAX, REQUESTS.peers)))).toBe("overLimit");
  });

  test("while the buffer is full nothing is begun; each is answered when it drained, and pays then", () => {
    const { node, peer } = ready();
    const { attemptId } = peer;
    node.feed({ type: "event/channelBlocked", attemptId, channel: "rpc" });
    for (let count = 0; count < RPC_OPEN_MAX; count++)
      expect(ask(node, peer, REQUESTS.transactions).effects).toEqual([]);
    const { effects } = node.feed({ type: "event/channelDrained", attemptId, channel: "rpc" });
    expect(effectsOf(effects, "effect/loadItems").map(({ rpcId }) => rpcId)).toEqual([0, 1, 2, 3]);
    expect(node.feed({ type: "event/channelDrained", attemptId, channel: "rpc" }).effects).toEqual([]);
  });
});
