import { describe, expect, test } from "vitest";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import { rpcSchema } from "../../core/channels/rpc.ts";
import { encode } from "../../core/codec/codec.ts";
import type { Effect } from "../../core/effects.ts";
import { BAN_MS, ITEM_BYTES_MAX, RPC_BLOCKED_MS, RPC_BYTES_MAX, RPC_TIMEOUT_MS } from "../../core/limits.ts";
import {
  announce,
  closeTransport,
  control,
  effectOf,
  effectsOf,
  endReason,
  goodbyes,
  type Item,
  itemOf,
  liveOf,
  readyPeer,
  request,
  requestsTo,
  response,
  say,
  sentOn,
  type TestNode,
  type TestPeer,
  testNode,
} from "../testing.ts";

const HASH = itemOf("x").info.hash;

const ready = (): { readonly node: TestNode; readonly peer: TestPeer } => {
  const node = testNode();
  return { node, peer: readyPeer(node, "peer") };
};

/** Time passes and the peer stays alive. */
function passAlive(node: TestNode, peer: TestPeer, ms: number): readonly Effect[] {
  const effects: Effect[] = [];
  for (let passed = 0; passed < ms; passed += 1_000) {
    effects.push(...node.pass(Math.min(1_000, ms - passed)));
    const open = liveOf(node, peer)?.control.awaitingPong;
    if (open != null) effects.push(...say(node, peer.attemptId, control({ tag: "pong", n: open.n })).effects);
    if (node.state.attempts.get(peer.attemptId)?.phase.tag === "ready") {
      node.feed({
        type: "event/channelDrained",
        attemptId: peer.attemptId,
        channel: "rpc",
      });
    }
  }
  return effects;
}

const served = (item: Item): RpcResponse => ({
  tag: "items",
  found: [{ tag: "some", bytes: item.bytes }],
});

describe("rpc: serving", () => {
  const OTHERS: readonly RpcRequest[] = [
    { tag: "bestTip" },
    { tag: "block", hash: HASH },
    { tag: "snarks", hashes: [HASH] },
    { tag: "ancestry", hash: HASH, count: 1 },
    { tag: "peers" },
    { tag: "reconcile", pool: 0, salt: 1n, ranges: [] },
    { tag: "infosByShortId", pool: 2, salt: 1n, ids: [1n] },
  ];

  test("P19: what this version does not serve is answered NotFound, each request exactly once", () => {
    const { node, peer } = ready();
    for (const [id, body] of OTHERS.entries()) {
      const { effects } = say(node, peer.attemptId, request(id, body));
      expect(sentOn(effects, peer.attemptId)).toEqual([
        { channel: "rpc", message: { tag: "response", id, body: { tag: "notFound" } } },
      ]);
    }
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

describe("rpc: asking", () => {
  test("ids start at 0 and grow by 1", () => {
    const { node, peer } = ready();
    for (const id of [0, 1, 2]) {
      const [asked] = requestsTo(announce(node, peer, [itemOf(`item ${id}`)]).effects, peer.attemptId);
      expect(asked?.id).toBe(id);
      say(node, peer.attemptId, response(id, { tag: "notFound" }));
    }
  });

  test("P19: a request without an answer is given up after 5 s, keeps its slot, and its late answer is ignored", () => {
    const { node, peer } = ready();
    const item = itemOf("slow");
    announce(node, peer, [item]);
    node.pass(RPC_TIMEOUT_MS - 1);
    expect(liveOf(node, peer)?.rpc?.ours).toMatchObject([{ id: 0, abandoned: false }]);
    node.pass(1);
    expect(liveOf(node, peer)?.rpc?.ours).toMatchObject([{ id: 0, abandoned: true }]);
    const late = say(node, peer.attemptId, response(0, served(item)));
    expect(endReason(late)).toBeUndefined();
    expect(effectsOf(late.effects, "effect/verifyTransactions")).toEqual([]);
    expect(liveOf(node, peer)?.rpc?.ours).toEqual([]);
    expect(endReason(say(node, peer.attemptId, response(0, served(item))))).toBe("responseMismatch");
  });

  test("four slots that are blocked for 30 s are a timeout; one late answer unblocks", () => {
    const block = (): { readonly node: TestNode; readonly peer: TestPeer } => {
      const { node, peer } = ready();
      for (let round = 0; round < 4; round++) {
        announce(node, peer, [itemOf(`round ${round}`)]);
        passAlive(node, peer, RPC_TIMEOUT_MS);
      }
      expect(liveOf(node, peer)?.rpc?.blockedSinceMs).toBe(node.nowMs);
      return { node, peer };
    };
    const blocked = block();
    expect(goodbyes(passAlive(blocked.node, blocked.peer, RPC_BLOCKED_MS - 1_000))).toEqual([]);
    expect(goodbyes(passAlive(blocked.node, blocked.peer, 1_000))).toEqual(["timeout 0"]);

    const freed = block();
    passAlive(freed.node, freed.peer, RPC_BLOCKED_MS - 2_000);
    say(freed.node, freed.peer.attemptId, response(2, { tag: "busy" }));
    expect(goodbyes(passAlive(freed.node, freed.peer, RPC_BLOCKED_MS))).toEqual([]);
    const [asked] = requestsTo(
      announce(freed.node, freed.peer, [itemOf("next")]).effects,
      freed.peer.attemptId,
    );
    expect(asked?.id).toBe(4);
  });

  const MISMATCHES: readonly (readonly [string, RpcResponse])[] = [
    ["peers", { tag: "peers", addresses: [] }],
    ["infos", { tag: "infos", infos: { tag: "transactions", items: [] } }],
    ["reconcile", { tag: "reconcile", cursor: { epoch: 1n, next: 1n }, ranges: [] }],
    ["ancestry", { tag: "ancestry", headers: [] }],
    ["more entries than asked", { tag: "items", found: [{ tag: "none" }, { tag: "none" }] }],
  ];
  test.each(MISMATCHES)("a response that does not fit (%s) is responseMismatch", (_, body) => {
    const { node, peer } = ready();
    announce(node, peer, [itemOf("x")]);
    const result = say(node, peer.attemptId, response(0, body));
    expect(goodbyes(result.effects)).toEqual([`responseMismatch ${BAN_MS}`]);
  });

  test.each<RpcResponse>([{ tag: "notFound" }, { tag: "busy" }])("$tag is always right", (body) => {
    const { node, peer } = ready();
    announce(node, peer, [itemOf("x")]);
    expect(endReason(say(node, peer.attemptId, response(0, body)))).toBeUndefined();
    expect(node.state.fetches.size).toBe(0);
  });

  test("a second response to one request is responseMismatch", () => {
    const { node, peer } = ready();
    announce(node, peer, [itemOf("x")]);
    say(node, peer.attemptId, response(0, { tag: "notFound" }));
    expect(endReason(say(node, peer.attemptId, response(0, { tag: "notFound" })))).toBe("responseMismatch");
  });
});
