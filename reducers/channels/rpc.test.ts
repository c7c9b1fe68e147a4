import { describe, expect, test } from "vitest";
import type { RpcPurpose, RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { Effect } from "../../core/effects.ts";
import { commitment, header, snarkInfo } from "../../core/golden/structs.ts";
import type { Hash } from "../../core/ids.ts";
import {
  ANCESTRY_MAX,
  BAN_MS,
  RPC_BLOCK_TIMEOUT_MS,
  RPC_BLOCKED_MS,
  RPC_OPEN_MAX,
  RPC_TIMEOUT_MS,
} from "../../core/limits.ts";
import { brokenInvariants } from "../invariants.ts";
import { CHAIN, childOf, headerOf } from "../testing/chain.ts";
import { announce, found, itemOf, serve } from "../testing/items.ts";
import { control, response, say } from "../testing/messages.ts";
import { cause, type TestNode, testNode } from "../testing/node.ts";
import { liveOf, readyPeer, type TestPeer, WITHOUT_TIPS } from "../testing/peers.ts";
import { effectsOf, endReason, goodbyes, type Result, requestsTo } from "../testing/results.ts";

/** 7.7: our requests, and what may answer them. Serving is in serve.test.ts. */

const [x, y] = [itemOf("x"), itemOf("y")];
const { genesis } = CHAIN;
const parent = childOf(genesis);
const tip = childOf(parent);

const ready = (): { readonly node: TestNode; readonly peer: TestPeer } => {
  const node = testNode();
  return { node, peer: readyPeer(node, "peer", WITHOUT_TIPS) };
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

/** As any rule would: some of these requests are made in few situations, and some in none yet. */
const ask = (node: TestNode, { peerId }: TestPeer, body: RpcRequest, purpose: RpcPurpose = "sync"): Result =>
  cause(node, { type: "rpc/request", peerId, purpose, body });

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
    const late = say(node, peer.attemptId, response(0, found(item)));
    expect(endReason(late)).toBeUndefined();
    expect(effectsOf(late.effects, "effect/verifyItems")).toEqual([]);
    expect(liveOf(node, peer)?.rpc?.ours).toEqual([]);
    expect(endReason(say(node, peer.attemptId, response(0, found(item))))).toBe("responseMismatch");
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

  test.each<RpcResponse>([{ tag: "notFound" }, { tag: "busy" }])("$tag is always right", (body) => {
    const { node, peer } = ready();
    announce(node, peer, [x]);
    expect(endReason(say(node, peer.attemptId, response(0, body)))).toBeUndefined();
    expect(node.state.fetches.size).toBe(0);
  });

  test("no more than four are open, whoever asks", () => {
    const { node, peer } = ready();
    for (let count = 0; count < RPC_OPEN_MAX; count++)
      expect(requestsTo(ask(node, peer, { tag: "bestTip" }).effects, peer.attemptId)).toHaveLength(1);
    expect(ask(node, peer, { tag: "bestTip" }).effects).toEqual([]);
    // What the fetcher wants waits for a slot, and comes then.
    expect(requestsTo(announce(node, peer, [x]).effects, peer.attemptId)).toEqual([]);
    const freed = say(node, peer.attemptId, response(2, { tag: "notFound" }));
    expect(requestsTo(freed.effects, peer.attemptId)).toMatchObject([
      { id: 4, body: { tag: "transactions", hashes: [x.hash] } },
    ]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P19: a slot that a late answer frees is used at once", () => {
    const { node, peer } = ready();
    for (let count = 0; count < RPC_OPEN_MAX; count++) ask(node, peer, { tag: "bestTip" });
    passAlive(node, peer, RPC_TIMEOUT_MS);
    expect(requestsTo(announce(node, peer, [x]).effects, peer.attemptId)).toEqual([]);
    const freed = say(node, peer.attemptId, response(0, { tag: "notFound" }));
    expect(requestsTo(freed.effects, peer.attemptId)).toHaveLength(1);
  });

  test("a full buffer takes no request; what is wanted is asked for when it drained", () => {
    const { node, peer } = ready();
    const { attemptId } = peer;
    node.feed({ type: "event/channelBlocked", attemptId, channel: "rpc" });
    expect(requestsTo(announce(node, peer, [x]).effects, attemptId)).toEqual([]);
    const { effects } = node.feed({ type: "event/channelDrained", attemptId, channel: "rpc" });
    expect(requestsTo(effects, attemptId)).toHaveLength(1);
  });

  const TIMEOUTS: readonly (readonly [RpcRequest, number])[] = [
    [{ tag: "bestTip" }, RPC_TIMEOUT_MS],
    [{ tag: "block", hash: x.hash }, RPC_BLOCK_TIMEOUT_MS],
    [{ tag: "transactions", hashes: [x.hash] }, RPC_TIMEOUT_MS],
    [{ tag: "snarks", hashes: [x.hash] }, RPC_TIMEOUT_MS],
    [{ tag: "ancestry", hash: x.hash, count: 1 }, RPC_BLOCK_TIMEOUT_MS],
    [{ tag: "peers" }, RPC_TIMEOUT_MS],
    [{ tag: "reconcile", pool: 0, salt: 1n, ranges: [] }, RPC_TIMEOUT_MS],
    [{ tag: "infosByShortId", pool: 0, salt: 1n, ids: [1n] }, RPC_TIMEOUT_MS],
  ];
  test.each(TIMEOUTS)("$tag is given up after its deadline", (body, timeoutMs) => {
    const { node, peer } = ready();
    ask(node, peer, body);
    node.pass(timeoutMs - 1);
    expect(liveOf(node, peer)?.rpc?.ours).toMatchObject([{ abandoned: false }]);
    node.pass(1);
    expect(liveOf(node, peer)?.rpc?.ours).toMatchObject([{ abandoned: true }]);
  });
});

/** Which response answers which request (7.7), the richest of each kind that is allowed. */
const HASHES: readonly Hash[] = [x.hash, y.hash];
const REQUESTS: { readonly [Kind in RpcRequest["tag"]]: RpcRequest } = {
  bestTip: { tag: "bestTip" },
  block: { tag: "block", hash: tip.hash },
  transactions: { tag: "transactions", hashes: HASHES },
  snarks: { tag: "snarks", hashes: HASHES },
  ancestry: { tag: "ancestry", hash: tip.hash, count: 2 },
  peers: { tag: "peers" },
  reconcile: { tag: "reconcile", pool: 1, salt: 7n, ranges: [] },
  infosByShortId: { tag: "infosByShortId", pool: 2, salt: 7n, ids: [1n, 2n] },
};
const infosOf = (tag: "transactions" | "snarks" | "commitments", count: number): RpcResponse => {
  const times = <T>(value: T): readonly T[] => Array<T>(count).fill(value);
  if (tag === "transactions") return { tag: "infos", infos: { tag, items: times(x.info) } };
  if (tag === "snarks") return { tag: "infos", infos: { tag, items: times(snarkInfo.value) } };
  return { tag: "infos", infos: { tag, items: times(commitment.value) } };
};
const EMPTY_BODY = { transactions: [], snarks: [] };
const RESPONSES: readonly (readonly [string, RpcResponse, readonly RpcRequest["tag"][]])[] = [
  ["BestTip", { tag: "bestTip", header: header.value }, ["bestTip"]],
  ["Block", { tag: "block", header: headerOf(tip), body: EMPTY_BODY }, ["block"]],
  ["Items, one", found(null), ["transactions", "snarks"]],
  ["Items, as many as asked", found(null, null), ["transactions", "snarks"]],
  ["Items, one more", found(null, null, null), []],
  ["Ancestry, none", { tag: "ancestry", headers: [] }, ["ancestry"]],
  [
    "Ancestry, as many as asked",
    { tag: "ancestry", headers: [headerOf(tip), headerOf(parent)] },
    ["ancestry"],
  ],
  ["Ancestry, one more", { tag: "ancestry", headers: [tip, parent, genesis].map(headerOf) }, []],
  ["Peers", { tag: "peers", addresses: ["/dns4/x/tcp/1/https"] }, ["peers"]],
  ["Reconcile", { tag: "reconcile", cursor: { epoch: 1n, next: 1n }, ranges: [] }, ["reconcile"]],
  ["Infos of transactions", infosOf("transactions", 1), []],
  ["Infos of snarks", infosOf("snarks", 1), []],
  ["Infos of commitments", infosOf("commitments", 2), ["infosByShortId"]],
  ["Infos of commitments, one more", infosOf("commitments", 3), []],
];

describe.each(Object.keys(REQUESTS) as (keyof typeof REQUESTS)[])("P19: responses to %s", (kind) => {
  const CASES = RESPONSES.map(([name, body, fitting]) => [name, body, fitting.includes(kind)] as const);

  test.each(CASES)("%s", (_, body, isFitting) => {
    for (const isLate of [false, true]) {
      const { node, peer } = ready();
      ask(node, peer, REQUESTS[kind]);
      // Late, it is ignored: but only if it is what was asked for.
      if (isLate) passAlive(node, peer, RPC_BLOCK_TIMEOUT_MS);
      const result = say(node, peer.attemptId, response(0, body));
      expect(goodbyes(result.effects)).toEqual(isFitting ? [] : [`responseMismatch ${BAN_MS}`]);
      if (isFitting) expect(liveOf(node, peer)?.rpc?.ours).toEqual([]);
    }
  });

  test("to an id never sent, of another id, or a second time it is responseMismatch", () => {
    for (const ids of [[0], [1], [2 ** 32 - 1]]) {
      const { node, peer } = ready();
      if (ids[0] !== 0) ask(node, peer, REQUESTS[kind]);
      const [id = 0] = ids;
      expect(endReason(say(node, peer.attemptId, response(id, { tag: "notFound" })))).toBe(
        "responseMismatch",
      );
    }
    const { node, peer } = ready();
    ask(node, peer, REQUESTS[kind]);
    expect(endReason(say(node, peer.attemptId, response(0, { tag: "busy" })))).toBeUndefined();
    expect(endReason(say(node, peer.attemptId, response(0, { tag: "busy" })))).toBe("responseMismatch");
  });
});

test("P19: a longest Ancestry is what was asked for", () => {
  const { node, peer } = ready();
  const tips = [parent];
  while (tips.length < ANCESTRY_MAX) tips.unshift(childOf(tips[0] ?? parent));
  ask(node, peer, { tag: "ancestry", hash: tips[0]?.hash ?? x.hash, count: ANCESTRY_MAX });
  const headers = tips.map(headerOf);
  expect(endReason(say(node, peer.attemptId, response(0, { tag: "ancestry", headers })))).toBeUndefined();
});

test("P19: what is answered out of order finds its request", () => {
  const { node, peer } = ready();
  announce(node, peer, [x]);
  ask(node, peer, { tag: "bestTip" });
  const best: RpcResponse = { tag: "bestTip", header: header.value };
  expect(endReason(say(node, peer.attemptId, response(1, best)))).toBeUndefined();
  const { effects } = serve(node, peer, 0, x);
  expect(effectsOf(effects, "effect/verifyItems")).toMatchObject([{ items: [{ hash: x.hash }] }]);
});
