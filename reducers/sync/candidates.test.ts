import { describe, expect, test } from "vitest";
import type { Tip } from "../../core/block.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { Hash } from "../../core/ids.ts";
import { INVALID_BLOCKS_MAX, SYNC_RETRY_MAX_MS, SYNC_STALLED_MS } from "../../core/limits.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import { bytes32, CHAIN, childOf, headerOf } from "../testing/chain.ts";
import { testNode } from "../testing/node.ts";
import { closeTransport, liveOf, readyPeer, type TestPeer } from "../testing/peers.ts";
import { effectOf, effectsOf } from "../testing/results.ts";
import { blockOn, chainOn, createWorld, empty, honest, sayTip, silent, type World } from "../testing/sync.ts";

const GENESIS = CHAIN.genesis;
const last = (tips: readonly Tip[]): Tip => tips.at(-1) as Tip;
const pursued = ({ node }: World): Hash | undefined => node.state.sync.pursuit?.tip.hash;

/** When requests for blocks were sent, in seconds from now. */
function triesOf(world: World, forMs: number): readonly number[] {
  const startMs = world.node.nowMs;
  world.asked.length = 0;
  world.pass(forMs);
  return world.asked.flatMap(({ body, atMs }) => (body.tag === "block" ? [(atMs - startMs) / 1_000] : []));
}

describe("candidates: which tip is pursued", () => {
  test("the best by pairwise comparison, one at a time, whoever announced it", () => {
    const blocking = blockOn(GENESIS, "blocking");
    const tips = [2, 3, 4].map((length) => last(chainOn(GENESIS, length, `of ${length}`)));
    const best = last(tips);
    for (const order of [
      [0, 1, 2],
      [1, 2, 0],
      [2, 0, 1],
    ]) {
      const world = createWorld();
      world.paused.add("effect/verifyHeaders");
      world.announce(world.peer("first"), blocking);
      for (const [peer, tip] of order.entries()) world.announce(world.peer(`peer ${peer}`), tips[tip] as Tip);
      expect(pursued(world)).toBe(blocking.hash);
      expect(effectsOf(world.effects, "effect/verifyHeaders")).toHaveLength(1);
      world.paused.clear();
      world.settle();
      const adopted = effectsOf(world.effects, "effect/adoptTip").map(({ hash }) => hash);
      expect(adopted).toEqual([blocking.hash, best.hash]);
    }
  });

  test("P31: three that beat each other in a circle end in one of them, without going round", () => {
    const consensus = (lock: string, minWindowDensity: number) => ({
      consensus: {
        ...GENESIS.consensus,
        minWindowDensity,
        stakingLock: bytes32(lock),
        vrfOutput: bytes32(lock),
      },
    });
    const tips = [
      blockOn(GENESIS, "worse", { changes: consensus("a lock", 20) }),
      blockOn(blockOn(GENESIS), "better", { changes: consensus("a lock", 15) }),
      blockOn(GENESIS, "circling", { changes: consensus("another lock", 17) }),
    ];
    for (const [index, tip] of tips.entries())
      expect(isBetterTip(tip, tips[(index + 2) % 3] as Tip, CHAIN)).toBe(true);
    const world = createWorld();
    const peers = tips.map((_, index) => world.peer(`peer ${index}`));
    for (const tip of tips) world.changes.set(tip.hash, { extendsOld: tip === tips[0] });
    for (const [index, tip] of tips.entries()) world.announce(peers[index] as TestPeer, tip);
    expect(effectsOf(world.effects, "effect/adoptTip").map(({ hash }) => hash)).toEqual(
      tips.map(({ hash }) => hash),
    );
    // Nobody waits for a tip that is not pursued.
    for (const peer of peers) expect(liveOf(world.node, peer)?.bestTip?.ours.tag).toBe("permitGiven");
  });

  test("another one that is better than ours, when there is no progress for three seconds", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a", silent), world.peer("b", silent)];
    const [one, other] = [last(chainOn(GENESIS, 2, "one")), blockOn(GENESIS, "other")];
    world.announce(a, one);
    world.pass(SYNC_STALLED_MS + 500);
    expect(pursued(world)).toBe(one.hash);
    // Nothing better to do until now.
    world.announce(b, other);
    expect(pursued(world)).toBe(other.hash);
    expect(world.node.state.sync.givenUp.get(one.hash)?.failures).toBe(1);
  });

  test("not while it makes progress, nor while it is the chain that is slow", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 5, "slow");
    const [a, b] = [world.peer("a"), world.peer("b", silent)];
    world.paused.add("effect/applyBlock");
    world.announce(a, last(tips));
    world.announce(b, blockOn(GENESIS, "other"));
    world.pass(2 * SYNC_STALLED_MS);
    expect(pursued(world)).toBe(last(tips).hash);
    for (const { hash } of tips) {
      world.node.feed({ type: "event/blockApplied", hash, verdict: { tag: "valid" } });
      world.pass(SYNC_STALLED_MS - 500);
    }
    expect(world.node.state.chain.tip.hash).toBe(last(tips).hash);
  });

  test.each(["effect/verifyHeaders", "effect/prepareBlock", "effect/applyBlock", "effect/adoptTip"] as const)(
    "however long the chain takes for %s",
    (slow) => {
      const world = createWorld();
      world.paused.add(slow);
      const tip = last(chainOn(GENESIS, 2, "slow chain"));
      world.announce(world.peer("a"), tip);
      world.announce(world.peer("b"), blockOn(GENESIS, "other"));
      world.pass(2 * SYNC_STALLED_MS);
      expect(pursued(world)).toBe(tip.hash);
      world.paused.clear();
      world.settle();
      expect(world.node.state.chain.tip.hash).toBe(tip.hash);
    },
  );

  test("what the chain is applying when the pursuit ends is known afterwards, and not forgotten", () => {
    const world = createWorld();
    const tip = blockOn(GENESIS, "late");
    world.paused.add("effect/applyBlock");
    world.announce(world.peer("a"), tip);
    const made = last(chainOn(GENESIS, 2, "made"));
    world.node.feed({ type: "event/blockProduced", slot: made.slot, header: headerOf(made) });
    world.settle();
    expect(world.node.state.chain.tip.hash).toBe(made.hash);
    expect(world.node.state.sync).toMatchObject({ pursuit: null, applying: { hash: tip.hash } });
    world.paused.clear();
    world.settle();
    expect(world.node.state.chain.blocks.has(tip.hash)).toBe(true);
    expect(world.held.has(tip.hash)).toBe(true);
  });

  test("it is not asked for again while it is being applied, when another tip builds on it", () => {
    const world = createWorld();
    const tip = blockOn(GENESIS, "late");
    const peer = world.peer("a");
    world.paused.add("effect/applyBlock");
    world.announce(peer, tip);
    const made = last(chainOn(GENESIS, 2, "made"));
    world.node.feed({ type: "event/blockProduced", slot: made.slot, header: headerOf(made) });
    world.settle();
    const above = chainOn(tip, 3, "above");
    world.asked.length = 0;
    world.announce(peer, last(above));
    world.pass(1_500);
    world.paused.clear();
    world.settle();
    expect(world.node.state.chain.tip.hash).toBe(last(above).hash);
    const asked = world.asked.flatMap(({ body }) => (body.tag === "block" ? [body.hash] : []));
    expect(asked).toEqual(above.map(({ hash }) => hash));
  });

  test("invalid after its pursuit has ended, it costs its announcers all the same, and is forgotten", () => {
    const world = createWorld();
    const tip = blockOn(GENESIS, "late");
    world.blockVerdicts.set(tip.hash, { tag: "invalid", detail: "bad" });
    world.paused.add("effect/applyBlock");
    world.announce(world.peer("a"), tip);
    const made = last(chainOn(GENESIS, 2, "made"));
    world.node.feed({ type: "event/blockProduced", slot: made.slot, header: headerOf(made) });
    world.settle();
    world.paused.clear();
    world.settle();
    expect(world.node.state.endings).toEqual({ "us invalidBlock": 1 });
    expect(world.held.has(tip.hash)).toBe(false);
  });
});

describe("candidates: a tip that was given up", () => {
  test("is tried again after 1 s, doubling to 60 s, as long as it is better", () => {
    const world = createWorld();
    const peer = world.peer("a", empty);
    world.announce(peer, blockOn(GENESIS));
    expect(triesOf(world, 250_000)).toEqual([1, 3, 7, 15, 31, 63, 123, 183, 243]);
    expect(SYNC_RETRY_MAX_MS).toBe(60_000);
    world.announce(world.peer("b"), last(chainOn(GENESIS, 2, "better")));
    expect(world.node.state.sync.givenUp.size).toBe(0);
    expect(triesOf(world, 100_000)).toEqual([]);
  });

  test("is tried with everybody who announced it, and at once with one more", () => {
    const world = createWorld();
    const tip = blockOn(GENESIS);
    const peers = ["a", "b", "c"].map((name) => world.peer(name, empty));
    for (const peer of peers) world.announce(peer, tip);
    expect(world.node.state.sync.givenUp.get(tip.hash)?.failures).toBe(3);
    world.asked.length = 0;
    world.pass(8_000);
    expect(world.asked).toHaveLength(3);
    world.announce(world.peer("d"), tip);
    expect(world.node.state.chain.tip.hash).toBe(tip.hash);
    expect(world.node.state.sync.givenUp.size).toBe(0);
  });

  test("is forgotten when nobody announces it any more: the others left, or have a better one", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 3, "gone");
    const [a, b] = [world.peer("a", empty), world.peer("b", empty)];
    for (const peer of [a, b]) world.announce(peer, tips[1] as Tip);
    closeTransport(world.node, a.attemptId);
    expect([...world.node.state.sync.givenUp.keys()]).toEqual([tips[1]?.hash]);
    world.announce(b, last(tips));
    expect([...world.node.state.sync.givenUp.keys()]).toEqual([last(tips).hash]);
    closeTransport(world.node, b.attemptId);
    expect(world.node.state.sync.givenUp.size).toBe(0);
    expect(world.node.state.deadlines.byName.has(`syncRetry ${last(tips).hash}`)).toBe(false);
  });

  test("waits for its time while another one is pursued, and is next then", () => {
    const world = createWorld();
    const [tip, other] = [last(chainOn(GENESIS, 2, "first")), blockOn(GENESIS, "second")];
    const a = world.peer("a", empty);
    world.announce(a, tip);
    world.serve(a, honest);
    world.paused.add("effect/applyBlock");
    world.announce(world.peer("b"), other);
    world.pass(5_000);
    expect(pursued(world)).toBe(other.hash);
    world.paused.clear();
    world.settle();
    expect(world.node.state.chain.tip.hash).toBe(tip.hash);
  });

  test("the others are asked at once when the one that was asked leaves", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 12, "left");
    const peers = [world.peer("a", silent), world.peer("b", silent)];
    for (const peer of peers) world.announce(peer, last(tips));
    expect(world.asked).toHaveLength(1);
    for (const peer of peers) {
      if (peer.attemptId === world.asked[0]?.attemptId) closeTransport(world.node, peer.attemptId);
      else world.serve(peer, honest);
    }
    world.settle();
    expect(world.node.state.chain.tip.hash).toBe(last(tips).hash);
  });

  test("with the last peer that is high enough the pursuit ends, and nothing of it is kept", () => {
    const world = createWorld();
    world.announce(world.peer("low"), GENESIS);
    const a = world.peer("a", (body) => (body.tag === "transactions" ? null : honest(body, world)));
    const tip = blockOn(GENESIS, "alone", { transactions: ["x"] });
    world.announce(a, tip);
    expect(world.held.has(tip.hash)).toBe(true);
    closeTransport(world.node, a.attemptId);
    world.settle();
    expect(world.node.state.sync).toMatchObject({ pursuit: null });
    expect(world.held.has(tip.hash)).toBe(false);
    expect(world.node.state.deadlines.byName.has("sync")).toBe(false);
  });
});

describe("candidates: bounds", () => {
  test("so many invalid blocks are remembered, the oldest makes room", () => {
    const hashes = Array.from({ length: INVALID_BLOCKS_MAX }, (_, index) => bytes32(`bad ${index}`));
    const { state } = testNode();
    const invalid = SortedMap.from(hashes.map((hash, index) => [hash, index + 1] as const));
    const node = testNode().at({ ...state, sync: { ...state.sync, invalid } });
    for (const name of ["a", "b"]) {
      const { effects } = sayTip(node, readyPeer(node, name), childOf(GENESIS, `bad ${name}`));
      const { checkId } = effectOf(effects, "effect/verifyHeaders");
      node.feed({ type: "event/headersVerified", checkId, verdict: { tag: "invalid", detail: "bad" } });
    }
    expect(node.state.sync.invalid.size).toBe(INVALID_BLOCKS_MAX);
    expect(hashes.map((hash) => node.state.sync.invalid.has(hash)).indexOf(true)).toBe(2);
    expect(node.state.sync.invalid.has(childOf(GENESIS, "bad b").hash)).toBe(true);
  });
});
