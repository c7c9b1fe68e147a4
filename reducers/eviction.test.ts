import { describe, expect, test } from "vitest";
import { CHANNEL_NAMES } from "../core/channels/table.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import { brokenInvariants } from "./invariants.ts";
import { announce, itemOf, serve } from "./testing/items.ts";
import { party, type TestNode, testNode } from "./testing/node.ts";
import {
  closeTransport,
  dialedPeer,
  liveOf,
  openTransport,
  sayHello,
  type TestPeer,
} from "./testing/peers.ts";
import { goodbyes, requestsTo } from "./testing/results.ts";
import { addressOf, dialTo, offerFrom } from "./testing/signals.ts";

/** Who gives way when all slots are taken (P25): 24 of 32 are for incoming peers, and the last one for who comes. */
const PEERS_MAX = 32;
const INCOMING_MAX = 24;
const SHARE = Math.floor(INCOMING_MAX / 8);

/** Comes in from this address, as far as it is let. */
function come(node: TestNode, name: string, remoteAddress: string): TestPeer {
  node.pass(20);
  const { attemptId, peerId, publicKey } = offerFrom(node, party(name), { remoteAddress });
  if (node.state.attempts.get(attemptId)?.phase.tag === "connecting") {
    openTransport(node, attemptId, CHANNEL_NAMES, remoteAddress);
    sayHello(node, attemptId);
  }
  for (const { id, phase } of node.state.attempts.values())
    if (phase.tag === "closing") closeTransport(node, id);
  return { attemptId, peerId, publicKey };
}

const ownGroup = (index: number): string => `20.1.${index}.7`;

/** The oldest first; one more takes the last slot. */
const fill = (node: TestNode, addressOf: (index: number) => string = ownGroup): readonly TestPeer[] =>
  Array.from({ length: INCOMING_MAX - 1 }, (_, index) => come(node, `peer ${index}`, addressOf(index)));

const here = (node: TestNode, peers: readonly TestPeer[]): readonly TestPeer[] =>
  peers.filter((peer) => liveOf(node, peer) !== undefined);

const crowd = (node: TestNode, count: number, address: string): readonly TestPeer[] =>
  Array.from({ length: count }, (_, index) => come(node, `crowd ${index}`, address));

describe("a node whose slots are all taken", () => {
  test("P25: where all groups are equal it is the newcomer that goes, told why", () => {
    const said: string[] = [];
    const node = testNode({ peersMax: PEERS_MAX }, "us", (_, { effects }) => said.push(...goodbyes(effects)));
    const peers = fill(node);
    expect(here(node, peers)).toHaveLength(INCOMING_MAX - 1);
    expect(said).toEqual([]);
    const newcomer = come(node, "newcomer", "20.2.0.1");
    expect(liveOf(node, newcomer)).toBeUndefined();
    expect(said).toEqual(["capacity 0"]);
    expect(here(node, peers)).toHaveLength(INCOMING_MAX - 1);
    expect(node.state.offenders.size).toBe(0);
  });

  test("P25: the youngest of the largest group of addresses gives way to a newcomer of another", () => {
    const node = testNode({ peersMax: PEERS_MAX });
    const peers = fill(node, (index) => (index < 15 ? ownGroup(index) : `99.9.9.${index}`));
    const newcomer = come(node, "newcomer", "20.2.0.1");
    expect(liveOf(node, newcomer)).toBeDefined();
    expect(peers.filter((peer) => liveOf(node, peer) === undefined)).toEqual([peers.at(-1)]);
  });

  test("P25: one group of addresses takes nobody's slot but its own", () => {
    const node = testNode({ peersMax: PEERS_MAX });
    const peers = fill(node);
    crowd(node, 100, "99.9.9.1");
    expect(here(node, peers)).toHaveLength(INCOMING_MAX - 1);
  });

  test("P25: whoever has a new group for each key gets no more than the slots of the young", () => {
    const node = testNode({ peersMax: PEERS_MAX });
    const peers = fill(node);
    for (let count = 0; count < 300; count++)
      come(node, `sybil ${count}`, `${60 + (count >> 8)}.3.${count & 255}.1`);
    // Half of those that have no other merit are protected by their age.
    expect(here(node, peers).length).toBeGreaterThanOrEqual((INCOMING_MAX - SHARE * 2) / 2);
  });

  test("P25: who answers fastest stays, however young and whatever its group", () => {
    const node = testNode({ peersMax: PEERS_MAX });
    const peers = fill(node, (index) => (index < 15 ? ownGroup(index) : `99.9.9.${index}`));
    const fast = peers.slice(-SHARE);
    for (const peer of peers.slice(3, 12)) answer(node, peer, 1, 200);
    for (const peer of fast) answer(node, peer, 1, 20);
    come(node, "newcomer", "20.2.0.1");
    expect(here(node, fast)).toEqual(fast);
  });

  test("P25: who has served most stays, however young and whatever its group", () => {
    const node = testNode({ peersMax: PEERS_MAX });
    const peers = fill(node, (index) => (index < 15 ? ownGroup(index) : `99.9.9.${index}`));
    const useful = peers.slice(-SHARE);
    for (const peer of useful) answer(node, peer, 9, 300);
    for (const peer of peers.slice(3, 12)) answer(node, peer, 1, 20);
    come(node, "newcomer", "20.2.0.1");
    expect(here(node, useful)).toEqual(useful);
  });

  test("P25: who is dialed, or named by the operator, never gives way", () => {
    const node = testNode({ peersMax: PEERS_MAX });
    const dialed = Array.from({ length: PEERS_MAX - INCOMING_MAX }, (_, index) =>
      dialedPeer(node, `dialed ${index}`),
    );
    const named = come(node, "named", "99.9.9.200");
    // It is connected already; that it is dialed when it is not is what makes it ours.
    const target = { address: addressOf(party("named")), failures: 0, retries: 0, nextMs: 0 };
    const told = node.at({
      ...node.state,
      targets: node.state.targets.set(formatMultiaddr(target.address), target),
    });
    for (let count = 0; count < 60; count++) come(told, `crowd ${count}`, "99.9.9.9");
    expect(here(told, dialed)).toHaveLength(dialed.length);
    expect(liveOf(told, named)).toBeDefined();
  });

  test("P25, P34: whoever comes and goes, no slot too many is held, and a slot for a newcomer is free again", () => {
    const node = testNode({ peersMax: PEERS_MAX }, "us", (_, { state }) => {
      expect(state.peers.size).toBeLessThanOrEqual(PEERS_MAX);
    });
    fill(node);
    for (let count = 0; count < 40; count++) {
      const { peerId } = come(node, `more ${count}`, `${70 + count}.3.3.1`);
      if (count % 5 === 0) dialTo(node, party(`out ${count}`));
      expect(node.state.peers.get(peerId)?.answering ?? null).toBeNull();
      const incoming = [...node.state.peers.values()].filter(({ live }) => live?.direction === "incoming");
      expect(incoming).toHaveLength(INCOMING_MAX - 1);
    }
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P25: slots that are only held by offers send nobody away who is ready", () => {
    const node = testNode({ peersMax: 40 });
    for (let index = 0; index < 10; index++) dialedPeer(node, `dialed ${index}`);
    const peers = Array.from({ length: 5 }, (_, index) => come(node, `peer ${index}`, ownGroup(index)));
    for (let index = 0; index < 25; index++)
      offerFrom(node, party(`silent ${index}`), { remoteAddress: `99.${Math.floor(index / 3)}.1.1` });
    expect(node.state.peers.size).toBe(40);
    node.pass(2_500);
    const newcomer = come(node, "newcomer", "20.2.0.1");
    expect(here(node, [...peers, newcomer])).toHaveLength(6);
  });

  test("a small node refuses who comes, and sends nobody away", () => {
    const node = testNode({ peersMax: 8 });
    const peers = Array.from({ length: 6 }, (_, index) => come(node, `peer ${index}`, ownGroup(index)));
    const newcomer = come(node, "newcomer", "20.2.0.1");
    expect(liveOf(node, newcomer)).toBeUndefined();
    expect(here(node, peers)).toHaveLength(6);
  });
});

/** Announces so many items and serves them, when it is asked, so much later. */
function answer(node: TestNode, peer: TestPeer, count: number, delayMs: number): void {
  const items = Array.from({ length: count }, (_, index) => itemOf(`${peer.attemptId} ${index}`));
  const { effects } = announce(node, peer, items);
  const [asked] = requestsTo(effects, peer.attemptId);
  if (asked === undefined) throw new Error("the peer is asked");
  node.pass(delayMs);
  const { hashes } = asked.body as { readonly hashes: readonly string[] };
  serve(node, peer, asked.id, ...hashes.map((hash) => items.find((item) => item.hash === hash) ?? null));
}
