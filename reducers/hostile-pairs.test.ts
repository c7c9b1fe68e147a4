import { expect, test } from "vitest";
import { CHANNEL_NAMES } from "../core/channels/table.ts";
import { brokenInvariants } from "./invariants.ts";
import { announce, commitmentOf, INVALID } from "./testing/items.ts";
import { discovery, say } from "./testing/messages.ts";
import { party, type TestNode, testNode } from "./testing/node.ts";
import { closeTransport, liveOf, openTransport, readyPeer, sayHello, WITHOUT_TIPS } from "./testing/peers.ts";
import { effectOf, effectsOf, endings } from "./testing/results.ts";
import { continueDial, multiaddrOf, offerFrom } from "./testing/signals.ts";

/** What peers can do together, or at the same moment, that none of them does alone. */

test("a relay and the peer that it named end in one step, and the dial between them with them", () => {
  // The relay is looked at first.
  const [relayName = "", , , , namedName = ""] = Array.from(
    { length: 20 },
    (_, index) => `peer ${index}`,
  ).sort((a, b) => (party(a).peerId < party(b).peerId ? -1 : 1));
  const node = testNode({ peersMin: 4 });
  const relay = readyPeer(node, relayName, { ...WITHOUT_TIPS, remoteAddress: "20.1.0.1" });
  say(node, relay.attemptId, discovery({ tag: "getNext" }));
  const named = discovery({ tag: "discovered", target: party(namedName).publicKey });
  const { effects } = say(node, relay.attemptId, named);
  const { attemptId } = effectOf(effects, "effect/createOffer");
  continueDial(node, attemptId, effects, "awaitingReply");
  const dialed = readyPeer(node, namedName, { ...WITHOUT_TIPS, remoteAddress: "20.2.0.1" });
  const item = commitmentOf("invalid", node.nowMs);
  announce(node, relay, [item]);
  announce(node, dialed, [item]);
  const [batchId] = [...node.state.batches.keys()];
  if (batchId === undefined) throw new Error("the item is verified");
  const { actions } = node.feed({ type: "event/itemsVerified", batchId, verdicts: [INVALID] });
  expect(endings(actions)).toHaveLength(2);
  expect(node.state.attempts.get(attemptId)?.phase.tag ?? "closing").toBe("closing");
  expect(brokenInvariants(node.state)).toEqual([]);
});

test("P25: who hangs up while its claimed address is dialed does not become a peer of our choice", () => {
  const node = testNode({ peersMin: 1, peersMax: 100 });
  const claim = { listen: multiaddrOf(party("attacker")) };
  const peer = readyPeer(node, "attacker", { changes: claim });
  const effects = node.pass(6_000);
  const [dial] = effectsOf(effects, "effect/createOffer");
  if (dial === undefined) throw new Error("its address is verified");
  continueDial(node, dial.attemptId, effects, "awaitingReply");
  closeTransport(node, peer.attemptId);
  continueDial(node, dial.attemptId, []);
  expect(liveOf(node, peer)).toBeUndefined();
  expect(node.state.attempts.get(dial.attemptId)?.phase.tag ?? "closing").toBe("closing");
  expect(brokenInvariants(node.state)).toEqual([]);
});

test("P25: whose claims are verified still count as incoming: our own dials keep their slots", () => {
  const node = testNode({ peersMax: 8, peersMin: 1 });
  const addressAt = (index: number): string => `20.${index}.0.1`;
  const incoming = ({ state }: TestNode): number =>
    [...state.peers.values()].filter(({ live }) => live?.direction === "incoming").length;
  for (let index = 0; index < 9; index++) {
    const from = addressAt(index);
    const changes = { listen: multiaddrOf(party(`peer ${index}`)).replace(/ip4\/[\d.]+/, `ip4/${from}`) };
    const { attemptId } = offerFrom(node, party(`peer ${index}`), { remoteAddress: from, changes });
    if (node.state.attempts.get(attemptId)?.phase.tag === "connecting") {
      openTransport(node, attemptId, CHANNEL_NAMES, from);
      sayHello(node, attemptId);
    }
    if (index === 5) node.pass(6_000);
  }
  expect(incoming(node)).toBe(6);
});
