import { describe, expect, test } from "vitest";
import type { Tip } from "../../core/block.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import { isBetterTip } from "../../core/consensus.ts";
import { BAN_MS, TIP_SETTLE_MS } from "../../core/limits.ts";
import { isGateOpen } from "../gate.ts";
import { bytes32, CHAIN, childOf, headerOf } from "../testing/chain.ts";
import { itemOf, submit } from "../testing/items.ts";
import { getNext as getInfos, say } from "../testing/messages.ts";
import { testNode } from "../testing/node.ts";
import { liveOf, readyPeer, type TestPeer, WITHOUT_TIPS } from "../testing/peers.ts";
import { endings, goodbyes, sentOn } from "../testing/results.ts";
import { blockOn, chainOn, createWorld, empty, sayTip, silent, type World } from "../testing/sync.ts";

const GENESIS = CHAIN.genesis;
const GET_NEXT: ChannelMessage = { channel: "best-tip", message: { tag: "getNext" } };

/** `getNext` and the heights of the tips that were sent on best-tip since the last look. */
function said(world: World, { attemptId }: TestPeer): readonly string[] {
  const sent = sentOn(world.effects.splice(0), attemptId).flatMap(({ channel, message }) =>
    channel !== "best-tip"
      ? []
      : message.tag === "bestTip"
        ? [`tip ${message.header.height}`]
        : [message.tag],
  );
  return sent;
}

/** Two siblings, the better one last. */
function siblings(parent: Tip): readonly [Tip, Tip] {
  const [one, other] = [blockOn(parent, "one"), blockOn(parent, "other")];
  return isBetterTip(one, other, CHAIN) ? [other, one] : [one, other];
}

describe("best tip: what a peer may send", () => {
  test("a permit is given when the connection is ready, and one tip comes for it", () => {
    const world = createWorld();
    const peer = world.peer("a");
    expect(said(world, peer)).toEqual(["getNext"]);
    expect(liveOf(world.node, peer)?.bestTip?.ours).toEqual({ tag: "permitGiven" });
  });

  test("a second GetNext while one is open is overLimit", () => {
    const world = createWorld();
    const peer = world.peer("a");
    // The first one is used up by our first announcement.
    for (let given = 0; given < 2; given++)
      expect(goodbyes(say(world.node, peer.attemptId, GET_NEXT).effects)).toEqual([]);
    expect(goodbyes(say(world.node, peer.attemptId, GET_NEXT).effects)).toEqual([`overLimit ${BAN_MS}`]);
  });

  test("P18: a tip while the one before is processed has no permit", () => {
    const world = createWorld();
    const peer = world.peer("a", silent);
    const [first, second] = chainOn(blockOn(GENESIS, "unknown"), 2);
    expect(endings(world.announce(peer, first as Tip).actions)).toEqual([]);
    expect(goodbyes(sayTip(world.node, peer, second as Tip).effects)).toEqual([`noPermit ${BAN_MS}`]);
  });

  test("P18: a tip that equals the last one, or is worse, is inferiorTip, whatever became of that", () => {
    for (const which of ["same", "worse"] as const) {
      const world = createWorld();
      const peer = world.peer("a", empty);
      const [worse, better] = siblings(blockOn(GENESIS, "unknown"));
      world.announce(peer, better);
      expect(world.node.state.sync.givenUp.has(better.hash)).toBe(true);
      const again = world.announce(peer, which === "same" ? better : worse);
      expect(goodbyes(again.effects)).toEqual([`inferiorTip ${BAN_MS}`]);
    }
  });

  test("the first header of a peer may be worse than ours, and the next is compared with that one only", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a"), world.peer("b")];
    const [first, second, third] = chainOn(GENESIS, 3);
    world.announce(a, third as Tip);
    for (const tip of [first, second, third])
      expect(endings(world.announce(b, tip as Tip).actions)).toEqual([]);
    expect(liveOf(world.node, b)?.bestTip?.received?.hash).toBe(third?.hash);
  });

  test("nothing on a channel that the peer does not enable", () => {
    const node = testNode();
    const peer = readyPeer(node, "a", WITHOUT_TIPS);
    const { actions } = sayTip(node, peer, childOf(GENESIS));
    expect(actions.map(({ type }) => type)).toEqual(["event/message"]);
  });
});

describe("best tip: P18: the next permit comes when the tip was processed", () => {
  test("at once for one that is not better than ours", () => {
    const world = createWorld();
    const peer = world.peer("a");
    said(world, peer);
    world.announce(peer, GENESIS);
    expect(said(world, peer)).toEqual(["getNext"]);
  });

  test("not before its block is adopted", () => {
    const world = createWorld();
    const peer = world.peer("a");
    said(world, peer);
    world.paused.add("effect/adoptTip");
    world.announce(peer, blockOn(GENESIS));
    expect(world.node.state.chain.blocks.size).toBe(2);
    expect(said(world, peer)).toEqual([]);
    world.paused.clear();
    world.settle();
    expect(said(world, peer)).toEqual(["getNext"]);
  });

  test("when it is given up", () => {
    const world = createWorld();
    const peer = world.peer("a", empty);
    said(world, peer);
    world.announce(peer, blockOn(GENESIS));
    expect(world.node.state.sync.pursuit).toBeNull();
    expect(said(world, peer)).toEqual(["getNext"]);
  });

  test("after ten seconds of catching up, once", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.paused.add("effect/applyBlock");
    world.announce(peer, blockOn(GENESIS));
    said(world, peer);
    world.node.pass(TIP_SETTLE_MS - 1);
    expect(said(world, peer)).toEqual([]);
    world.node.pass(1);
    expect(said(world, peer)).toEqual(["getNext"]);
    world.paused.clear();
    world.settle();
    expect(said(world, peer)).toEqual([]);
  });

  test("not while the transport takes nothing", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const { attemptId } = peer;
    said(world, peer);
    world.node.feed({ type: "event/channelBlocked", attemptId, channel: "best-tip" });
    world.announce(peer, GENESIS);
    expect(said(world, peer)).toEqual([]);
    world.node.feed({ type: "event/channelDrained", attemptId, channel: "best-tip" });
    expect(said(world, peer)).toEqual(["getNext"]);
  });
});

describe("best tip: what we announce", () => {
  test("our first tip always, genesis included, and each only once", () => {
    const world = createWorld();
    const peer = world.peer("a");
    said(world, peer);
    say(world.node, peer.attemptId, GET_NEXT);
    expect(said(world, peer)).toEqual(["tip 0"]);
    say(world.node, peer.attemptId, GET_NEXT);
    expect(said(world, peer)).toEqual([]);
    expect(liveOf(world.node, peer)?.bestTip?.theirs).toBe("open");
  });

  test("an adopted tip to everybody with a permit, also to the peer it came from", () => {
    const world = createWorld();
    const [a, b, c] = [world.peer("a"), world.peer("b"), world.peer("c")];
    for (const { attemptId } of [a, b]) {
      say(world.node, attemptId, GET_NEXT);
      say(world.node, attemptId, GET_NEXT);
    }
    world.effects.length = 0;
    const tip = blockOn(GENESIS);
    world.announce(a, tip);
    const sent = [a, b, c].map(({ attemptId }) =>
      sentOn(world.effects, attemptId).filter(({ message }) => message.tag === "bestTip"),
    );
    const announcement = { channel: "best-tip", message: { tag: "bestTip", header: tip } };
    expect(sent).toEqual([[announcement], [announcement], []]);
    // Whoever gives his permit later gets it then.
    say(world.node, c.attemptId, GET_NEXT);
    expect(said(world, c)).toEqual(["tip 1"]);
  });

  test("only what is better than the last one announced to that peer, for the relation is not transitive", () => {
    const { worse, better, circling } = circle();
    const world = createWorld();
    const [a, b] = [world.peer("a"), world.peer("b")];
    world.announce(a, worse);
    said(world, b);
    say(world.node, b.attemptId, GET_NEXT);
    expect(said(world, b)).toEqual(["tip 1"]);
    world.announce(a, better);
    world.announce(a, circling);
    expect(world.node.state.chain.tip.hash).toBe(circling.hash);
    say(world.node, b.attemptId, GET_NEXT);
    expect(said(world, b)).toEqual([]);
    const next = blockOn(circling, "next", {
      changes: { consensus: { ...circling.consensus, minWindowDensity: 21 } },
    });
    world.announce(a, next);
    expect(said(world, b)).toEqual(["tip 2"]);
  });

  test("not while the transport takes nothing, but as soon as it does", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const { attemptId } = peer;
    world.node.feed({ type: "event/channelBlocked", attemptId, channel: "best-tip" });
    said(world, peer);
    say(world.node, attemptId, GET_NEXT);
    expect(said(world, peer)).toEqual([]);
    world.node.feed({ type: "event/channelDrained", attemptId, channel: "best-tip" });
    expect(said(world, peer)).toEqual(["tip 0"]);
  });
});

describe("best tip: the gate of 7.4", () => {
  test("is open for a peer whose tip is ours or better, and for one without the channel", () => {
    const world = createWorld();
    const peer = world.peer("a", silent);
    expect(isGateOpen(world.node.state, peer.peerId)).toBe(false);
    world.announce(peer, GENESIS);
    expect(isGateOpen(world.node.state, peer.peerId)).toBe(true);
    const other = world.peer("b");
    world.announce(other, blockOn(GENESIS));
    expect(isGateOpen(world.node.state, peer.peerId)).toBe(false);
    expect(isGateOpen(world.node.state, other.peerId)).toBe(true);
    world.announce(peer, childOf(childOf(GENESIS, "mine"), "mine"));
    expect(isGateOpen(world.node.state, peer.peerId)).toBe(true);
    const plain = readyPeer(world.node, "c", WITHOUT_TIPS);
    expect(isGateOpen(world.node.state, plain.peerId)).toBe(true);
  });

  test("what waited behind it leaves when the peer has announced our tip", () => {
    const world = createWorld();
    const peer = world.peer("a");
    submit(world.node, [itemOf("held")]);
    say(world.node, peer.attemptId, getInfos(0));
    world.effects.length = 0;
    const { effects } = sayTip(world.node, peer, GENESIS);
    expect(
      sentOn(effects, peer.attemptId).map(({ channel, message }) => `${channel} ${message.tag}`),
    ).toEqual(["transaction infos", "best-tip getNext"]);
  });

  test("opens too when our own tip changes to one that the peer's is better than", () => {
    const { worse, better, circling } = circle();
    const world = createWorld();
    const [a, b] = [world.peer("a"), world.peer("b")];
    world.announce(a, worse);
    world.announce(b, circling);
    expect(world.node.state.chain.tip.hash).toBe(worse.hash);
    submit(world.node, [itemOf("held")]);
    say(world.node, b.attemptId, getInfos(0));
    world.paused.add("effect/verifyHeaders");
    world.effects.length = 0;
    world.node.feed({ type: "event/blockProduced", slot: better.slot, header: headerOf(better) });
    world.settle();
    expect(world.node.state.chain.tip.hash).toBe(better.hash);
    expect(sentOn(world.effects, b.attemptId).map(({ message }) => message.tag)).toContain("infos");
  });
});

/** `better` beats `worse`, `circling` beats `better`, and `worse` beats `circling` (P31). */
function circle(): { readonly worse: Tip; readonly better: Tip; readonly circling: Tip } {
  const consensus = (lock: string, minWindowDensity: number) => ({
    consensus: {
      ...GENESIS.consensus,
      minWindowDensity,
      stakingLock: bytes32(lock),
      vrfOutput: bytes32(lock),
    },
  });
  const tips = {
    worse: blockOn(GENESIS, "worse", { changes: consensus("a lock", 20) }),
    better: blockOn(blockOn(GENESIS), "better", { changes: consensus("a lock", 15) }),
    circling: blockOn(GENESIS, "circling", { changes: consensus("another lock", 17) }),
  };
  expect(isBetterTip(tips.better, tips.worse, CHAIN)).toBe(true);
  expect(isBetterTip(tips.circling, tips.better, CHAIN)).toBe(true);
  expect(isBetterTip(tips.worse, tips.circling, CHAIN)).toBe(true);
  return tips;
}
