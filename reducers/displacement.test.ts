import { describe, expect, test } from "vitest";
import { CHANNEL_NAMES } from "../core/channels/table.ts";
import { DISPLACED_AFTER_MS, HALF_OPEN_MAX, HALF_OPEN_PER_GROUP_MAX } from "../core/limits.ts";
import { brokenInvariants } from "./invariants.ts";
import { party, type TestNode, testNode, UNLIMITED } from "./testing/node.ts";
import { closeTransport, liveOf, openTransport, sayHello } from "./testing/peers.ts";
import { type Dialed, knock, offerFrom } from "./testing/signals.ts";

/** Offers that are answered, and then nothing follows: whom they keep out (P25, 3.2). */

const HALF_OPEN = {
  ...UNLIMITED,
  halfOpenMax: HALF_OPEN_MAX,
  halfOpenPerGroupMax: HALF_OPEN_PER_GROUP_MAX,
};

const halfOpenOf = ({ state }: TestNode): number =>
  [...state.attempts.values()].filter(({ phase }) => phase.tag !== "ready").length;

/** Transports of those who gave way are closed by now. */
function close(node: TestNode): void {
  for (const { id, phase } of node.state.attempts.values())
    if (phase.tag === "closing") closeTransport(node, id);
}

let names = 0;
/** An offer of a new key from each address in turn, answered, and then silence. @returns false if it was refused */
function beginAndStop(node: TestNode, remoteAddress: string): boolean {
  const { attemptId, effects } = knock(node, remoteAddress);
  if (attemptId === undefined) return effects.length === 0;
  // It is opened already: the offer itself comes by another request.
  node.feed({ type: "event/envelopeOpened", attemptId, plaintext: null });
  offerFrom(node, party(`silent ${names++}`), { remoteAddress });
  close(node);
  return true;
}

function getReady(node: TestNode, name: string, remoteAddress: string): Dialed {
  const dialed = offerFrom(node, party(name), { remoteAddress });
  close(node);
  if (node.state.attempts.get(dialed.attemptId)?.phase.tag === "connecting") {
    openTransport(node, dialed.attemptId, CHANNEL_NAMES, remoteAddress);
    sayHello(node, dialed.attemptId);
  }
  close(node);
  return dialed;
}

describe("who begins and does not go on", () => {
  test("P25: sixteen groups that hold all that may be half-open keep nobody else out", () => {
    const node = testNode({ admission: HALF_OPEN, peersMax: 400 }, "us", () => {
      expect(halfOpenOf(node)).toBeLessThanOrEqual(HALF_OPEN_MAX);
    });
    for (let round = 0; round < 60; round++) {
      for (let group = 0; group < 16; group++) beginAndStop(node, `99.${group}.1.${round % 250}`);
      node.pass(500);
      if (round < 10) continue;
      const { peerId } = getReady(node, `honest ${round}`, `20.${round}.1.1`);
      expect(node.state.peers.get(peerId)?.live ?? null).not.toBeNull();
    }
    expect(halfOpenOf(node)).toBeGreaterThan(HALF_OPEN_MAX / 2);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P25: nor do the 256 groups of one /48 with one each, and a group whose three are never old", () => {
    const node = testNode({ admission: HALF_OPEN, peersMax: 400 }, "us", () => {
      expect(halfOpenOf(node)).toBeLessThanOrEqual(HALF_OPEN_MAX);
    });
    const young: Dialed[] = [];
    for (let round = 0; round < 300; round++) {
      beginAndStop(node, `2a00:1:2:${((round % 256) << 8).toString(16)}::1`);
      const [oldest] = young;
      if (oldest !== undefined && young.length === 3) {
        closeTransport(node, oldest.attemptId);
        young.shift();
      }
      young.push(offerFrom(node, party(`young ${round}`), { remoteAddress: "99.1.1.1" }));
      node.pass(200);
      close(node);
      if (round % 5 !== 0) continue;
      const { peerId } = getReady(node, `honest ${round}`, `20.${round % 250}.${round}.1`);
      expect(node.state.peers.get(peerId)?.live ?? null).not.toBeNull();
    }
    expect(halfOpenOf(node)).toBeGreaterThan(HALF_OPEN_MAX / 2);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P25: nor do they hold the last slot of a full node", () => {
    const node = testNode({ admission: HALF_OPEN, peersMax: 32 });
    for (let count = 0; count < 23; count++) {
      node.pass(20);
      getReady(node, `crowd ${count}`, `99.${count % 4}.1.${count}`);
    }
    beginAndStop(node, "99.0.1.99");
    const early = getReady(node, "too early", "20.0.0.1");
    expect(liveOf(node, early)).toBeUndefined();
    node.pass(DISPLACED_AFTER_MS);
    const honest = getReady(node, "honest", "20.0.1.1");
    expect(liveOf(node, honest)).toBeDefined();
    // Somebody of the crowd has gone in its place: the last slot is free again.
    expect([...node.state.peers.values()].filter(({ live }) => live !== null)).toHaveLength(23);
    expect(node.state.offenders.size).toBe(0);
  });

  test("P25: nor does one connection hold it, whose group has no other", () => {
    const { node, slow } = lastSlotTaken((count) => `99.${count % 4}.1.${count}`);
    const early = getReady(node, "too early", "20.101.1.1");
    expect(liveOf(node, early)).toBeUndefined();
    expect(node.state.attempts.get(slow.attemptId)?.phase.tag).toBe("connecting");
    node.pass(DISPLACED_AFTER_MS);
    const honest = getReady(node, "honest", "20.102.1.1");
    expect(liveOf(node, honest)).toBeDefined();
    expect(node.state.attempts.has(slow.attemptId)).toBe(false);
  });

  test("who comes from a group that has as many as any displaces nobody", () => {
    const { node, slow } = lastSlotTaken((count) => `20.${count}.1.1`);
    node.pass(2 * DISPLACED_AFTER_MS);
    const next = getReady(node, "next", "20.1.1.2");
    expect(liveOf(node, next)).toBeUndefined();
    expect(node.state.attempts.get(slow.attemptId)?.phase.tag).toBe("connecting");
  });
});

/** All slots for incoming peers are taken but one, and that by somebody who is slow. */
function lastSlotTaken(addressOf: (count: number) => string): {
  readonly node: TestNode;
  readonly slow: Dialed;
} {
  const node = testNode({ admission: HALF_OPEN, peersMax: 32 });
  for (let count = 0; count < 23; count++) {
    node.pass(20);
    getReady(node, `peer ${count}`, addressOf(count));
  }
  return { node, slow: offerFrom(node, party("slow"), { remoteAddress: "20.100.1.1" }) };
}
