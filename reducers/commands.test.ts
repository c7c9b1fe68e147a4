import { describe, expect, test } from "vitest";
import type { Effect } from "../core/effects.ts";
import { itemHash } from "../core/hash.ts";
import { toPeerId } from "../core/identity.ts";
import type { PeerId, RequestId } from "../core/ids.ts";
import { DIAL_TARGETS_MAX, ITEM_BYTES_MAX, LOCAL_MAX, SUBMISSIONS_MAX } from "../core/limits.ts";
import { FETCHED_POOLS } from "../core/pools.ts";
import type { CommandResult } from "../core/services.ts";
import { SortedMap } from "../core/sorted-map.ts";
import { brokenInvariants } from "./invariants.ts";
import { adopt } from "./testing/chain.ts";
import {
  announce,
  bring,
  INVALID,
  type Item,
  infosIn,
  itemOf,
  jobOf,
  NOT_NOW,
  poolOf,
  snarkOf,
  submit,
  valid,
  verified,
} from "./testing/items.ts";
import { getNext, say } from "./testing/messages.ts";
import { freshRequestId, party, type TestNode, testNode } from "./testing/node.ts";
import { closeTransport, readyPeer, WITHOUT_TIPS } from "./testing/peers.ts";
import { effectOf, effectsOf, goodbyes } from "./testing/results.ts";
import { addressOf, dialTo, offerFrom } from "./testing/signals.ts";

const peer = party("peer");
const item = itemOf("x");

const answersIn = (effects: readonly Effect[], requestId: RequestId): readonly CommandResult[] =>
  effectsOf(effects, "effect/answerCommand")
    .filter((effect) => effect.requestId === requestId)
    .map(({ result }) => result);

function dial(node: TestNode, peerId: PeerId, port?: number): readonly CommandResult[] {
  const requestId = freshRequestId();
  const address = { ...addressOf(peer, port), peerId };
  return answersIn(node.feed({ type: "command/dial", requestId, address }).effects, requestId);
}

function disconnect(node: TestNode, peerId: PeerId) {
  const requestId = freshRequestId();
  const { effects } = node.feed({ type: "command/disconnect", requestId, peerId });
  return { effects, answers: answersIn(effects, requestId) };
}

describe("command/dial", () => {
  test("is answered once and starts a dial", () => {
    const node = testNode();
    expect(dial(node, peer.peerId)).toEqual([{ tag: "dialing", peerId: peer.peerId }]);
    expect(node.state.peers.get(peer.peerId)?.dialing).not.toBeNull();
  });

  test("the same address again dials no second time", () => {
    const node = testNode();
    dial(node, peer.peerId);
    expect(dial(node, peer.peerId)).toEqual([{ tag: "dialing", peerId: peer.peerId }]);
    expect(node.state.attempts.size).toBe(1);
    expect(node.state.targets.size).toBe(1);
  });

  test("refuses this node itself, keys that cannot sign, and what comes after the end", () => {
    const node = testNode();
    expect(dial(node, node.state.config.peerId)).toMatchObject([{ tag: "invalid" }]);
    expect(dial(node, toPeerId(new Uint8Array(32).fill(255)))).toMatchObject([{ tag: "invalid" }]);
    expect(dial(node, toPeerId(Uint8Array.from([1, ...new Uint8Array(31)])))).toMatchObject([
      { tag: "invalid" },
    ]);
    node.feed({ type: "command/stop" });
    expect(dial(node, peer.peerId)).toMatchObject([{ tag: "unavailable" }]);
    expect(node.state.attempts.size).toBe(0);
  });

  test("keeps a bounded number of addresses", () => {
    const node = testNode({ peersMax: 1 });
    for (let port = 1; port <= DIAL_TARGETS_MAX; port++) dial(node, peer.peerId, port);
    expect(dial(node, peer.peerId, 2_000)).toMatchObject([{ tag: "unavailable" }]);
    expect(node.state.targets.size).toBe(DIAL_TARGETS_MAX);
  });
});

describe("command/disconnect", () => {
  test("ends a live connection with a Goodbye and dials no more", () => {
    const node = testNode();
    const live = readyPeer(node, "peer");
    dial(node, peer.peerId);
    const { effects, answers } = disconnect(node, peer.peerId);
    expect(answers).toEqual([{ tag: "disconnected", peerId: peer.peerId }]);
    expect(goodbyes(effects)).toEqual(["operator 0"]);
    closeTransport(node, live.attemptId);
    expect(effectsOf(node.pass(3_600_000), "effect/createOffer")).toEqual([]);
    expect(node.state.targets.size).toBe(0);
  });

  test.each(["offering", "awaitingReply", "connecting"] as const)("ends a dial in %s", (until) => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, until);
    expect(disconnect(node, peer.peerId).answers).toMatchObject([{ tag: "disconnected" }]);
    closeTransport(node, attemptId);
    expect(node.state.attempts.size + node.state.peers.size + node.state.deadlines.byName.size).toBe(0);
  });

  test("ends an attempt that is being answered, and answers its request", () => {
    const node = testNode();
    const { requestId } = offerFrom(node, peer, { until: "answering" });
    const { effects } = disconnect(node, peer.peerId);
    expect(effectsOf(effects, "effect/replySignal")).toMatchObject([{ requestId }]);
    expect(node.state.peers.size).toBe(0);
  });

  test("says so if there is nothing to disconnect", () => {
    expect(disconnect(testNode(), peer.peerId).answers).toMatchObject([{ tag: "notFound" }]);
  });
});

describe.each(FETCHED_POOLS)("command/submit to the %s pool", (pool) => {
  const make = (name: string): Item => (pool === "transaction" ? itemOf(name) : snarkOf(name));
  const item = make("x");

  function begin(node: TestNode, bytes: Uint8Array) {
    const requestId = freshRequestId();
    const { effects } = node.feed({ type: "command/submit", requestId, pool, bytes });
    return { requestId, effects, answers: answersIn(effects, requestId) };
  }

  test.each([
    ["valid", valid(item), { tag: "submitted", hash: item.hash }],
    ["invalid", INVALID, { tag: "invalid", detail: "bad" }],
    ["not now", NOT_NOW, { tag: "conflict", detail: "later" }],
  ] as const)("is answered once, with the verdict: %s", (_, verdict, result) => {
    const node = testNode();
    const { requestId, effects, answers } = begin(node, item.bytes);
    expect(answers).toEqual([]);
    const { items, pool: asked, peerId } = effectOf(effects, "effect/verifyItems");
    expect([asked, items]).toEqual([pool, [{ hash: itemHash(item.bytes), bytes: item.bytes }]]);
    expect(peerId).toBe(null);
    const done = verified(node, effects, verdict);
    expect(answersIn(done.effects, requestId)).toEqual([result]);
    expect(poolOf(node, pool)).toEqual(verdict.tag === "valid" ? [item.hash] : []);
    expect(node.state.batches.size).toBe(0);
  });

  test("is offered to everybody who waits for something", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer", WITHOUT_TIPS);
    say(node, peer.attemptId, getNext(0, {}, pool));
    const { effects } = begin(node, item.bytes);
    expect(infosIn(verified(node, effects, valid(item)).effects, peer, pool)).toMatchObject([
      { items: [item.info] },
    ]);
  });

  test("a verdict the chain cannot give for it alone is `invalid`, and nobody is blamed", () => {
    const node = testNode();
    const { requestId, effects } = begin(node, item.bytes);
    const { batchId } = effectOf(effects, "effect/verifyItems");
    const done = node.feed({ type: "event/itemsVerified", batchId, verdicts: null });
    expect(answersIn(done.effects, requestId)).toMatchObject([{ tag: "invalid" }]);
  });

  test("what lost its slot is a conflict, and named", () => {
    const node = testNode();
    const [worse, better] =
      pool === "transaction"
        ? [itemOf("worse", 100n, 1, "s"), itemOf("better", 200n, 1, "s")]
        : [snarkOf("worse", 200n, "job"), snarkOf("better", 100n, "job")];
    submit(node, [better]);
    const { requestId, effects } = begin(node, worse.bytes);
    const [answer] = answersIn(verified(node, effects, valid(worse)).effects, requestId);
    expect(answer).toMatchObject({ tag: "conflict", detail: expect.stringContaining(better.hash) });
    expect(poolOf(node, pool)).toEqual([better.hash]);
  });

  test("what is in the pool, too large, or too late is refused at once", () => {
    const node = testNode();
    submit(node, [item]);
    expect(begin(node, item.bytes).answers).toMatchObject([{ tag: "conflict" }]);
    expect(begin(node, new Uint8Array(ITEM_BYTES_MAX + 1)).answers).toMatchObject([{ tag: "invalid" }]);
    expect(begin(node, new Uint8Array(ITEM_BYTES_MAX)).answers).toEqual([]);
    node.feed({ type: "command/stop" });
    expect(begin(node, make("y").bytes).answers).toMatchObject([{ tag: "unavailable" }]);
  });

  test("a bounded number waits for a verdict", () => {
    const node = testNode();
    for (let index = 0; index < SUBMISSIONS_MAX; index++) begin(node, make(`many ${index}`).bytes);
    expect(begin(node, item.bytes).answers).toMatchObject([{ tag: "unavailable" }]);
  });

  test("the same bytes twice are both answered, and one entry is made", () => {
    const node = testNode();
    const runs = [begin(node, item.bytes), begin(node, item.bytes)];
    const results = runs.map(({ requestId, effects }) => {
      const done = verified(node, effects, valid(item));
      return answersIn(done.effects, requestId)[0]?.tag;
    });
    expect(results).toEqual(["submitted", "conflict"]);
    expect(node.state.pools[pool].entries.size).toBe(1);
  });

  test("the same bytes twice: the chain does not forget what the pool holds", () => {
    const node = testNode();
    const runs = [begin(node, item.bytes), begin(node, item.bytes)];
    const effects = runs.flatMap((run) => verified(node, run.effects, valid(item)).effects);
    expect(effectsOf(effects, "effect/forgetItems")).toEqual([]);
  });

  test("what is being fetched from a peer too settles for that peer, and nobody is blamed", () => {
    const node = testNode();
    const live = readyPeer(node, "peer", WITHOUT_TIPS);
    announce(node, live, [item]);
    const { effects } = begin(node, item.bytes);
    expect(goodbyes(verified(node, effects, valid(item)).effects)).toEqual([]);
    expect(node.state.fetches.size).toBe(0);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});

describe("command/submit: kept aside", () => {
  const full = (): TestNode => {
    const node = testNode({ capacity: 1 });
    bring(node, [itemOf("rich", 1_000n)]);
    return node;
  };

  test("a transaction that the full pool has no room for waits for it, and that is said", () => {
    const node = full();
    const requestId = freshRequestId();
    const { bytes, hash } = item;
    const { effects } = node.feed({ type: "command/submit", requestId, pool: "transaction", bytes });
    const done = verified(node, effects, valid(item));
    expect(answersIn(done.effects, requestId)).toEqual([{ tag: "keptAside", hash }]);
    expect(effectsOf(done.effects, "effect/forgetItems")).toEqual([]);
    const again = freshRequestId();
    const second = node.feed({ type: "command/submit", requestId: again, pool: "transaction", bytes });
    expect(answersIn(second.effects, again)).toMatchObject([{ tag: "conflict" }]);
  });

  test("a bounded number of them", () => {
    const node = full();
    // Made directly: four thousand submissions take a while.
    const local = SortedMap.from(
      Array.from({ length: LOCAL_MAX }, (_, index) => {
        const { hash, info } = itemOf(`aside ${index}`);
        return [hash, info] as const;
      }),
    );
    const crowded = node.at({ ...node.state, local });
    const requestId = freshRequestId();
    const { bytes } = item;
    const { effects } = crowded.feed({ type: "command/submit", requestId, pool: "transaction", bytes });
    expect(answersIn(effects, requestId)).toMatchObject([{ tag: "unavailable" }]);
  });
});

describe("command/stop", () => {
  test("P33: says Goodbye to everybody, ends what is half-open, and leaves nothing to wait for", () => {
    const node = testNode();
    const live = readyPeer(node, "live");
    const dialed = dialTo(node, peer);
    const { attemptId } = offerFrom(node, party("half"));
    const { effects } = node.feed({ type: "command/stop" });
    expect(goodbyes(effects)).toEqual(["shutdown 0"]);
    expect(effectsOf(effects, "effect/close")).toHaveLength(3);
    for (const id of [live.attemptId, dialed.attemptId, attemptId]) closeTransport(node, id);
    expect(node.state.attempts.size + node.state.peers.size).toBe(0);
    const kinds = [...node.state.deadlines.byName.keys()].map((name) => name.split(" ")[0]);
    expect(kinds.filter((kind) => kind !== "replay")).toEqual([]);
    expect(node.feed({ type: "command/stop" }).actions).toEqual([]);
  });

  test("P33: whoever produces and works stops doing so, and cannot be told to go on", () => {
    const node = testNode({ produces: true, workFee: 1n });
    adopt(node, { jobsAdded: [jobOf("x")] });
    node.feed({ type: "command/stop" });
    for (const type of ["command/produce", "command/work"] as const) {
      const requestId = freshRequestId();
      const { effects } = node.feed({ type, requestId, isOn: true });
      expect(answersIn(effects, requestId)).toHaveLength(1);
    }
    expect([...node.state.deadlines.byName.keys()]).toEqual([]);
    expect(node.pass(60_000)).toEqual([]);
  });
});
