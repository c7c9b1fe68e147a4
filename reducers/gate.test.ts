import { expect, test } from "vitest";
import { POOL_NAMES, type PoolName } from "../core/pools.ts";
import { isGateOpen } from "./gate.ts";
import { brokenInvariants } from "./invariants.ts";
import { adopt, CHAIN, childOf, START_MS } from "./testing/chain.ts";
import { bring, commitmentOf, type Item, infosIn, itemOf, snarkOf } from "./testing/items.ts";
import { getNext, refloor, say } from "./testing/messages.ts";
import { testNode } from "./testing/node.ts";
import { readyPeer, WITHOUT_TIPS } from "./testing/peers.ts";
import { sayTip } from "./testing/sync.ts";

/** 7.4, Gate: infos are sent only to a peer whose best tip, as it announced it, is ours or better. */

const { genesis } = CHAIN;
const [tip, fork] = [childOf(genesis, "tip"), childOf(genesis, "fork")];
const next = childOf(tip, "next");

const MAKE: { readonly [Pool in PoolName]: (name: string) => Item } = {
  transaction: (name) => itemOf(name),
  snark: (name) => snarkOf(name),
  "snark-job-commitment": (name) => commitmentOf(name, START_MS),
};

test.each(POOL_NAMES)("gate: closed until the peer has announced a tip as good as ours: %s", (pool) => {
  const node = testNode();
  adopt(node, {}, tip);
  bring(node, [MAKE[pool]("a")]);
  const peer = readyPeer(node, "p");
  expect(isGateOpen(node.state, peer.peerId)).toBe(false);
  expect(infosIn(say(node, peer.attemptId, getNext(0, {}, pool)).effects, peer, pool)).toEqual([]);
  expect(infosIn(say(node, peer.attemptId, refloor(1, {}, pool)).effects, peer, pool)).toEqual([]);
  expect(infosIn(bring(node, [MAKE[pool]("b")]), peer, pool)).toEqual([]);
  // Worse than ours: it goes on waiting.
  expect(infosIn(sayTip(node, peer, genesis).effects, peer, pool)).toEqual([]);
  expect(brokenInvariants(node.state)).toEqual([]);
  const { effects } = sayTip(node, peer, tip);
  expect(infosIn(effects, peer, pool)).toMatchObject([
    { seq: 1, items: [MAKE[pool]("a").info, MAKE[pool]("b").info] },
  ]);
  expect(brokenInvariants(node.state)).toEqual([]);
});

test.each(POOL_NAMES)(
  "gate: it closes when we have a better tip, and opens with the peer's acknowledgement: %s",
  (pool) => {
    const node = testNode();
    const peer = readyPeer(node, "p");
    sayTip(node, peer, genesis);
    say(node, peer.attemptId, getNext(0, {}, pool));
    adopt(node, {}, tip);
    expect(isGateOpen(node.state, peer.peerId)).toBe(false);
    expect(infosIn(bring(node, [MAKE[pool]("a")]), peer, pool)).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
    expect(infosIn(sayTip(node, peer, tip).effects, peer, pool)).toMatchObject([
      { items: [MAKE[pool]("a").info] },
    ]);
  },
);

test("gate: a peer that is ahead of us is sent what we have", () => {
  const node = testNode();
  bring(node, [itemOf("a")]);
  const peer = readyPeer(node, "p");
  say(node, peer.attemptId, getNext(0));
  expect(infosIn(sayTip(node, peer, next).effects, peer)).toHaveLength(1);
});

test("gate: it stays open for a peer that is ahead while we catch up, and closes when we pass it", () => {
  const node = testNode();
  const peer = readyPeer(node, "p");
  sayTip(node, peer, tip);
  say(node, peer.attemptId, getNext(0));
  adopt(node, {}, tip);
  expect(infosIn(bring(node, [itemOf("a")]), peer)).toHaveLength(1);
  say(node, peer.attemptId, getNext(1));
  adopt(node, {}, next);
  expect(infosIn(bring(node, [itemOf("b")]), peer)).toEqual([]);
  expect(infosIn(sayTip(node, peer, next).effects, peer)).toMatchObject([{ items: [itemOf("b").info] }]);
});

test("gate: of two tips of one height the better opens it", () => {
  const [better, worse] = (() => {
    const node = testNode();
    adopt(node, {}, tip);
    const peer = readyPeer(node, "p");
    sayTip(node, peer, fork);
    return isGateOpen(node.state, peer.peerId) ? [fork, tip] : [tip, fork];
  })();
  for (const [ours, theirs, isOpen] of [
    [better, worse, false],
    [worse, better, true],
    [worse, worse, true],
  ] as const) {
    const node = testNode();
    adopt(node, {}, ours);
    const peer = readyPeer(node, "p");
    sayTip(node, peer, theirs);
    expect(isGateOpen(node.state, peer.peerId)).toBe(isOpen);
  }
});

test("gate: what counts is what this peer has announced, not another", () => {
  const node = testNode();
  bring(node, [itemOf("a")]);
  const [p, q] = [readyPeer(node, "p"), readyPeer(node, "q")];
  for (const peer of [p, q]) say(node, peer.attemptId, getNext(0));
  const { effects } = sayTip(node, p, genesis);
  expect(infosIn(effects, p)).toHaveLength(1);
  expect(infosIn(effects, q)).toEqual([]);
});

test("gate: open for a peer with which no tips are exchanged; closed for who is not connected", () => {
  const node = testNode();
  adopt(node, {}, tip);
  bring(node, [itemOf("a")]);
  const peer = readyPeer(node, "p", WITHOUT_TIPS);
  expect(infosIn(say(node, peer.attemptId, getNext(0)).effects, peer)).toHaveLength(1);
  node.feed({ type: "event/connectionClosed", attemptId: peer.attemptId, error: null });
  expect(isGateOpen(node.state, peer.peerId)).toBe(false);
});
