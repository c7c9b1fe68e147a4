import { describe, expect, test } from "vitest";
import { encode } from "../../core/codec/codec.ts";
import type { Effect } from "../../core/effects.ts";
import { offerSchema } from "../../core/signals.ts";
import { party, type TestNode } from "../testing/node.ts";
import { closeTransport, liveOf, readyPeer, type TestPeer } from "../testing/peers.ts";
import { ENVELOPE, onExchange, peersNamed, relayed, relayNode, tagsTo } from "../testing/relays.ts";
import { effectOf, effectsOf, endReason } from "../testing/results.ts";
import { offerOf, sdpText, sealed } from "../testing/signals.ts";
import { keptAlive } from "../testing/streams.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const DIALER = party("dialer");
const NONE = { tag: "answer", reply: null } as const;

const bring = (node: TestNode, relay: TestPeer, from = DIALER.publicKey) =>
  onExchange(node, relay, { tag: "offer", from, offer: ENVELOPE });

const isGiven = (node: TestNode, relay: TestPeer): boolean =>
  liveOf(node, relay)?.exchange?.ours.tag === "permitGiven";

const isPermitted = (node: TestNode, relay: TestPeer): boolean =>
  isGiven(node, relay) || liveOf(node, relay)?.exchange?.ours.tag === "lapsed";

const given = (node: TestNode, relays: readonly TestPeer[]): readonly TestPeer[] =>
  relays.filter((relay) => isGiven(node, relay));

const namesOf = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix} ${index}`);

/** The offer can not be opened: answered by None at once. */
function bringNothing(node: TestNode, relay: TestPeer): readonly Effect[] {
  const { effects } = bring(node, relay);
  const [opening] = effectsOf(effects, "effect/openEnvelope");
  if (opening === undefined) return effects;
  const { attemptId } = opening;
  return [...effects, ...node.feed({ type: "event/envelopeOpened", attemptId, plaintext: null }).effects];
}

describe("listener: permits", () => {
  test("one at once for each of up to five peers", () => {
    const node = relayNode();
    const relays = peersNamed(node, namesOf("relay", 8));
    expect(given(node, relays).length).toBe(5);
  });

  test("the turn is random: when one is free, any of those who wait may get it", () => {
    const lucky = new Set<string>();
    for (let round = 0; round < 24; round++) {
      const node = relayNode();
      // Draws differ with what was drawn before.
      const relays = peersNamed(node, namesOf(`relay ${round}`, 9));
      for (const relay of given(node, relays)) closeTransport(node, relay.attemptId);
      for (const relay of given(node, relays)) lucky.add(relay.publicKey);
    }
    expect(lucky.size).toBeGreaterThan(24);
  });

  test("P11: a listener's permit is renewed after each answer, and when a slot becomes free", () => {
    const node = relayNode({ peersMax: 3 });
    const relay = readyPeer(node, "relay");
    for (let count = 0; count < 4; count++) {
      const effects = bringNothing(node, relay);
      expect(relayed(effects, relay)).toEqual([NONE, { tag: "getNext" }]);
    }
    const [other, third] = peersNamed(node, ["other", "third"]) as [TestPeer, TestPeer];
    expect(relayed(bringNothing(node, relay), relay)).toEqual([NONE]);
    keptAlive(node, [relay, other, third], 2 * MINUTE_MS);
    expect(isGiven(node, relay)).toBe(false);
    const { effects } = closeTransport(node, other.attemptId);
    expect(tagsTo(effects, relay)).toEqual(["getNext"]);
  });

  test("P11: over an hour one relay brings as many offers as the rate allows", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    let offers = 0;
    for (let second = 0; second < 3_600; second++) {
      if (isGiven(node, relay)) {
        bringNothing(node, relay);
        offers += 1;
      }
      keptAlive(node, [relay], SECOND_MS);
    }
    expect(offers).toBeGreaterThan(290);
    expect(offers).toBeLessThanOrEqual(300);
  });

  test("none while the slots for those who come in are taken", () => {
    // One of four is for our own dials.
    const node = relayNode({ peersMax: 4 });
    const [a, b, c] = peersNamed(node, ["a", "b", "c"]) as [TestPeer, TestPeer, TestPeer];
    expect(given(node, [a, b]).length).toBe(2);
    expect(isGiven(node, c)).toBe(false);
    expect(tagsTo(closeTransport(node, a.attemptId).effects, c)).toEqual(["getNext"]);
  });

  test("a permit lapses after 60 s: a later Offer is answered None, unopened", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    keptAlive(node, [relay], MINUTE_MS);
    const { effects } = bring(node, relay);
    expect(relayed(effects, relay)[0]).toEqual(NONE);
    expect(effectsOf(effects, "effect/openEnvelope")).toEqual([]);
  });

  test("when it counts no more, one late Offer is answered None, unopened; a second one is noPermit", () => {
    // The others take the last free slots: the permit is not given again.
    const node = relayNode({ peersMax: 4 });
    const relays = peersNamed(node, ["relay", "b", "c"]) as [TestPeer, TestPeer, TestPeer];
    const [relay] = relays;
    keptAlive(node, relays, 90 * SECOND_MS);
    expect(liveOf(node, relay)?.exchange?.ours.tag).toBe("void");
    const late = bring(node, relay);
    expect(relayed(late.effects, relay)).toEqual([NONE]);
    expect(effectsOf(late.effects, "effect/openEnvelope")).toEqual([]);
    expect(endReason(late)).toBeUndefined();
    expect(endReason(bring(node, relay))).toBe("noPermit");
  });

  test("P36: of 40 relays that hold all their permits back, five may bring an Offer as late as that", () => {
    const node = relayNode();
    const relays = peersNamed(node, namesOf("relay", 40));
    keptAlive(node, relays, 12 * 90 * SECOND_MS);
    const late = relays.filter((relay) => !isPermitted(node, relay));
    const answered = late.filter((relay) => endReason(bring(node, relay)) === undefined);
    expect(answered.length).toBe(5);
  });

  test("a late Offer does not delay the next permit", () => {
    const node = relayNode({ peersMax: 4 });
    const relays = peersNamed(node, ["relay", "b", "c"]) as [TestPeer, TestPeer, TestPeer];
    const [relay, other] = relays;
    keptAlive(node, relays, 90 * SECOND_MS);
    bring(node, relay);
    expect(node.state.offersMs).toEqual([]);
    expect(tagsTo(closeTransport(node, other.attemptId).effects, relay)).toEqual(["getNext"]);
  });

  test("90 s after it was given it is given again", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    expect(tagsTo(keptAlive(node, [relay], 90 * SECOND_MS - 1), relay)).toEqual([]);
    expect(tagsTo(keptAlive(node, [relay], 1), relay)).toContain("getNext");
  });

  test("one that stops gives none", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    node.feed({ type: "command/stop" });
    expect(liveOf(node, relay)).toBeUndefined();
    expect(node.state.deadlines.byName.has("exchange")).toBe(false);
  });
});

describe("P36: what a listener sees", () => {
  test.each([
    ["use every permit at once", 0],
    ["keep every permit for 59 s", 59 * SECOND_MS],
    ["keep every permit for 89 s", 89 * SECOND_MS],
    ["keep every permit for 91 s", 91 * SECOND_MS],
  ])("P36: 50 hostile relays that %s bring at most 5 offers in any minute", (_name, keptMs) => {
    const node = relayNode();
    const relays = peersNamed(node, namesOf("relay", 50));
    const sinceMs = new Map<string, number>();
    let brought = 0;
    const offersMs: number[] = [];
    const endMs = node.nowMs + 5 * MINUTE_MS;
    while (node.nowMs < endMs) {
      for (const relay of relays) {
        const tag = liveOf(node, relay)?.exchange?.ours.tag;
        if (tag !== "permitGiven" && tag !== "lapsed" && tag !== "void") continue;
        const fromMs = sinceMs.get(relay.peerId) ?? node.nowMs;
        sinceMs.set(relay.peerId, fromMs);
        if (node.nowMs < fromMs + keptMs) continue;
        sinceMs.delete(relay.peerId);
        brought += 1;
        const isOpened = effectsOf(bringNothing(node, relay), "effect/openEnvelope").length > 0;
        // What comes when the permit counts no more costs one None.
        if (tag === "void") expect(isOpened).toBe(false);
        else offersMs.push(node.nowMs);
      }
      keptAlive(node, relays, SECOND_MS);
    }
    expect(brought).toBeGreaterThanOrEqual(10);
    for (const atMs of offersMs)
      expect(
        offersMs.filter((other) => other >= atMs && other < atMs + MINUTE_MS).length,
      ).toBeLessThanOrEqual(5);
  });

  test("P36: nor do relays bring more that leave after each offer and come back", () => {
    const node = relayNode();
    const offersMs: number[] = [];
    const endMs = node.nowMs + 3 * MINUTE_MS;
    while (node.nowMs < endMs) {
      const relay = readyPeer(node, "relay", { remoteAddress: "30.0.0.1" });
      if (isGiven(node, relay)) {
        offersMs.push(node.nowMs);
        bringNothing(node, relay);
      }
      closeTransport(node, relay.attemptId);
      node.pass(SECOND_MS);
    }
    for (const atMs of offersMs)
      expect(
        offersMs.filter((other) => other >= atMs && other < atMs + MINUTE_MS).length,
      ).toBeLessThanOrEqual(5);
  });
});

describe("listener: every offer is answered in time", () => {
  test("a sound one by our reply; candidates are applied a second later", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    const { attemptId } = effectOf(bring(node, relay).effects, "effect/openEnvelope");
    const plaintext = encode(offerSchema, offerOf(node, DIALER));
    node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
    node.feed({ type: "event/signatureChecked", attemptId, valid: true });
    const described = node.feed({
      type: "event/localDescription",
      attemptId,
      sdp: sdpText({ setup: "active" }),
    });
    const { effects } = node.feed(sealed(effectOf(described.effects, "effect/sealSignal")));
    const [said] = relayed(effects, relay);
    expect(said?.tag === "answer" && said.reply !== null).toBe(true);
    expect(effectsOf(keptAlive(node, [relay], SECOND_MS - 1), "effect/addCandidates")).toEqual([]);
    expect(effectsOf(keptAlive(node, [relay], 1), "effect/addCandidates").length).toBe(1);
  });

  test("one of another chain by a Rejected: the relay cannot tell it from an answer", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    const { attemptId } = effectOf(bring(node, relay).effects, "effect/openEnvelope");
    const plaintext = encode(offerSchema, offerOf(node, DIALER, { chainId: "00".repeat(32) }));
    const { effects } = node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
    const replied = node.feed(sealed(effectOf(effects, "effect/sealSignal")));
    const [said] = relayed(replied.effects, relay);
    expect(said?.tag === "answer" && said.reply !== null).toBe(true);
    expect(node.state.attempts.has(attemptId)).toBe(false);
  });

  test("one that cannot be opened, or is of another than the relay says, by None; the relay is not accused", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    expect(relayed(bringNothing(node, relay), relay)[0]).toEqual(NONE);
    const { attemptId } = effectOf(bring(node, relay).effects, "effect/openEnvelope");
    const plaintext = encode(offerSchema, offerOf(node, party("somebody else")));
    const { effects } = node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
    expect(relayed(effects, relay)[0]).toEqual(NONE);
    expect(liveOf(node, relay)).toBeDefined();
  });

  test("one that takes longer than 10 s by None, and its attempt ends", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    const { attemptId } = effectOf(bring(node, relay).effects, "effect/openEnvelope");
    expect(tagsTo(keptAlive(node, [relay], 10 * SECOND_MS - 1), relay)).toEqual([]);
    expect(relayed(keptAlive(node, [relay], 1), relay)).toEqual([NONE, { tag: "getNext" }]);
    expect(node.state.attempts.has(attemptId)).toBe(false);
  });

  test("one more than half-open connections may be by None, at once", () => {
    const limits = relayNode().state.config.admission;
    const node = relayNode({ admission: { ...limits, halfOpenMax: 1 } });
    const [a, b] = peersNamed(node, ["a", "b"]) as [TestPeer, TestPeer];
    bring(node, a);
    expect(relayed(bring(node, b).effects, b)[0]).toEqual(NONE);
  });

  test("a relay that leaves meanwhile takes the offer with it", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    bring(node, relay);
    closeTransport(node, relay.attemptId);
    expect(node.state.attempts.size).toBe(0);
    expect(node.state.peers.size).toBe(0);
  });
});

describe("listener: violations", () => {
  test("an Offer without a permit is noPermit: a second one while the first is answered, one that nobody allowed", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    bring(node, relay);
    expect(endReason(bring(node, relay))).toBe("noPermit");
    const full = relayNode({ peersMax: 1 });
    const only = readyPeer(full, "only");
    expect(endReason(bring(full, only))).toBe("noPermit");
  });
});
