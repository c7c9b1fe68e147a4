import { describe, expect, test } from "vitest";
import { addressGroup } from "../core/address.ts";
import { type BanSubject, FOREVER_MS, parseSubject } from "../core/bans.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { BAN_MS, ENVELOPE_BYTES_MAX, GROUP_BAN_MS, OPERATOR_BANS_MAX } from "../core/limits.ts";
import { REJECTIONS } from "../core/reasons.ts";
import type { CommandResult } from "../core/services.ts";
import { offerSchema, unsignedRejectedSchema } from "../core/signals.ts";
import { listBans, withBans } from "./bans.ts";
import { brokenInvariants } from "./invariants.ts";
import { getNext, say } from "./testing/messages.ts";
import { freshRequestId, type Party, party, type TestNode, testNode } from "./testing/node.ts";
import {
  closeTransport,
  dialedPeer,
  liveOf,
  openTransport,
  readyPeer,
  sayHello,
  type TestPeer,
} from "./testing/peers.ts";
import { effectOf, effectsOf, endings, goodbyes } from "./testing/results.ts";
import {
  addressOf,
  continueDial,
  dialTo,
  envelopeAround,
  knock,
  offerFrom,
  offerOf,
  PUBLIC_IP,
} from "./testing/signals.ts";

const HOUR_MS = 3_600_000;
const GROUP: BanSubject = { tag: "group", group: addressGroup(PUBLIC_IP) };
const keyOf = ({ peerId }: Party): BanSubject => ({ tag: "key", peerId });

const ban = (node: TestNode, subject: BanSubject, forMs: number | null = HOUR_MS) =>
  node.feed({ type: "command/ban", requestId: freshRequestId(), subject, forMs });

function unban(node: TestNode, subject: BanSubject): CommandResult {
  const { effects } = node.feed({ type: "command/unban", requestId: freshRequestId(), subject });
  return effectOf(effects, "effect/answerCommand").result;
}

describe("command/ban", () => {
  test("a live key is disconnected with reason operator, told for how long, and listed", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    const { effects, actions } = ban(node, keyOf(peer));
    expect(effectOf(effects, "effect/answerCommand").result.tag).toBe("banned");
    expect(endings(actions)).toEqual(["us operator"]);
    expect(goodbyes(effects)).toEqual([`operator ${HOUR_MS}`]);
    const listed = { subject: keyOf(peer), untilMs: node.nowMs + HOUR_MS, reason: "operator" };
    expect(listBans(node.state)).toEqual([listed]);
    closeTransport(node, peer.attemptId);
    offerFrom(node, peer);
    expect(node.state.peers.size).toBe(0);
    node.pass(HOUR_MS);
    readyPeer(node, "peer");
    expect(listBans(node.state)).toEqual([]);
  });

  test.each(["offering", "awaitingReply", "connecting"] as const)(
    "a dial in %s ends, and goes on when the ban ends",
    (until) => {
      const node = testNode();
      const dial = dialTo(node, party("peer"), until);
      ban(node, keyOf(dial));
      if (node.state.attempts.size > 0) closeTransport(node, dial.attemptId);
      expect(effectsOf(node.pass(HOUR_MS - 1), "effect/createOffer")).toEqual([]);
      expect(effectsOf(node.pass(1), "effect/createOffer")).toHaveLength(1);
      expect(brokenInvariants(node.state)).toEqual([]);
    },
  );

  test("an offer that is being answered is answered still, and does not come to be ready", () => {
    const node = testNode();
    const { attemptId } = offerFrom(node, party("peer"), { until: "answering" });
    const { effects } = ban(node, keyOf(party("peer")));
    expect(effectsOf(effects, "effect/replySignal")).toHaveLength(1);
    closeTransport(node, attemptId);
    expect(node.state.attempts.size).toBe(0);
  });

  test("a group: nobody of it is heard at all, live peers of it end, and loopback is no exception", () => {
    const node = testNode();
    const [inside, outside] = ["inside", "outside"].map((name, index) =>
      readyPeer(node, name, { selected: `127.0.${index}.1` }),
    );
    const group: BanSubject = { tag: "group", group: "127.0.0.0/24" };
    expect(endings(ban(node, group).actions)).toEqual(["us operator"]);
    expect([inside, outside].map((peer) => peer !== undefined && liveOf(node, peer) !== undefined)).toEqual([
      false,
      true,
    ]);
    const { effects, attemptId } = knock(node, "127.0.0.9");
    expect(attemptId).toBeUndefined();
    expect(effectOf(effects, "effect/replySignal").reply).toEqual({ tag: "rateLimited", retryAfterS: 60 });
    expect(knock(node, "127.0.1.9").attemptId).toBeDefined();
  });

  test("a group: who is found there by the transport only is told, whichever side has dialed", () => {
    const node = testNode();
    ban(node, { tag: "group", group: "60.1.1.0/24" });
    const incoming = offerFrom(node, party("incoming"));
    const outgoing = dialTo(node, party("outgoing"));
    for (const { attemptId } of [incoming, outgoing]) {
      openTransport(node, attemptId, undefined, "60.1.1.9");
      expect(goodbyes(sayHello(node, attemptId).effects)).toEqual(["operator 3600000"]);
    }
    expect(node.state.peers.size).toBe(0);
  });

  test("a group: its addresses are not dialed, nor asked through a name, until the ban is lifted", () => {
    const node = testNode();
    ban(node, GROUP, null);
    node.feed({ type: "command/dial", requestId: freshRequestId(), address: addressOf(party("peer")) });
    expect(node.state.attempts.size).toBe(0);
    expect(unban(node, GROUP)).toEqual({ tag: "unbanned" });
    expect(effectsOf(node.pass(0), "effect/createOffer")).toHaveLength(1);

    const named = testNode();
    const address = { ...addressOf(party("peer")), hostKind: "dns", host: "example.org" } as const;
    const begun = named.feed({ type: "command/dial", requestId: freshRequestId(), address });
    const { attemptId } = effectOf(begun.effects, "effect/createOffer");
    continueDial(named, attemptId, begun.effects, "awaitingReply");
    ban(named, { tag: "group", group: "60.1.1.0/24" });
    named.feed({
      type: "event/signalAnswered",
      attemptId,
      outcome: { tag: "envelope", envelope: new Uint8Array(1), remoteAddress: "60.1.1.9" },
    });
    expect(named.state.peers.size).toBe(0);
    expect(brokenInvariants(named.state)).toEqual([]);
  });

  test("an operator's ban for ever is not shortened by a violation, and replaces what was", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    say(node, peer.attemptId, getNext(0));
    say(node, peer.attemptId, getNext(0));
    expect(listBans(node.state)).toMatchObject([{ reason: "overLimit", untilMs: node.nowMs + BAN_MS }]);
    ban(node, keyOf(peer), null);
    expect(listBans(node.state)).toMatchObject([{ reason: "operator", untilMs: FOREVER_MS }]);
    ban(node, keyOf(peer), 1);
    expect(listBans(node.state)).toMatchObject([{ reason: "operator", untilMs: node.nowMs + 1 }]);
  });

  test("this node itself is refused, and more than the table of the operator has", () => {
    const node = testNode();
    const own = effectOf(ban(node, keyOf(party("us"))).effects, "effect/answerCommand").result;
    expect(own.tag).toBe("invalid");
    for (let index = 0; index < OPERATOR_BANS_MAX; index++)
      ban(node, { tag: "group", group: `60.${index >> 8}.${index & 255}.0/24` });
    const last = (subject: BanSubject): string =>
      effectOf(ban(node, subject).effects, "effect/answerCommand").result.tag;
    expect([last(GROUP), last({ tag: "group", group: "60.0.0.0/24" })]).toEqual(["unavailable", "banned"]);
  });
});

describe("bans: offers that a relay brings", () => {
  /** An offer of somebody over a relay, as far as the answer to it. @returns `rejection` or `answered` */
  function relayed(node: TestNode, relay: TestPeer, from: Party): string {
    const offer = offerOf(node, from);
    const message = { tag: "offer", from: from.publicKey, offer: envelopeAround(new Uint8Array(1)) } as const;
    const brought = say(node, relay.attemptId, { channel: "signaling/exchange", message });
    const { attemptId } = effectOf(brought.effects, "effect/openEnvelope");
    const plaintext = encode(offerSchema, offer);
    const effects = [
      ...node.feed({ type: "event/envelopeOpened", attemptId, plaintext }).effects,
      ...node.feed({ type: "event/signatureChecked", attemptId, valid: true }).effects,
    ];
    const [seal] = effectsOf(effects, "effect/sealSignal");
    if (seal === undefined) {
      expect(effectsOf(effects, "effect/createAnswer")).toHaveLength(1);
      return "answered";
    }
    const decoded = decode(unsignedRejectedSchema, seal.unsigned, ENVELOPE_BYTES_MAX);
    return decoded.tag === "decoded" ? `${REJECTIONS[decoded.value.reason]}` : "unreadable";
  }

  test("a banned key is refused like any other offer of it", () => {
    const node = testNode();
    const relay = readyPeer(node, "relay");
    ban(node, keyOf(party("peer")));
    expect(relayed(node, relay, party("peer"))).toBe("banned");
  });

  test("the relay's own group is not held against them", () => {
    const node = testNode();
    const relay = readyPeer(node, "relay", { selected: "60.1.1.1" });
    for (const name of ["a", "b", "c"]) {
      const { attemptId } = readyPeer(node, name, { selected: "60.1.1.2" });
      say(node, attemptId, getNext(0));
      say(node, attemptId, getNext(0));
    }
    expect(listBans(node.state).map(({ subject }) => subject)).toContainEqual({
      tag: "group",
      group: "60.1.1.0/24",
    });
    expect(relayed(node, relay, party("peer"))).toBe("answered");
  });
});

describe("command/unban", () => {
  test("lifts a ban for a violation too, dials what waited for it, and leaves strikes alone", () => {
    const node = testNode();
    const silent = readyPeer(node, "peer");
    node.pass(20_000);
    closeTransport(node, silent.attemptId);
    const peer = dialedPeer(node, "peer");
    say(node, peer.attemptId, getNext(0));
    say(node, peer.attemptId, getNext(0));
    closeTransport(node, peer.attemptId);
    expect(unban(node, keyOf(peer))).toEqual({ tag: "unbanned" });
    expect(effectsOf(node.pass(0), "effect/createOffer")).toHaveLength(1);
    expect(unban(node, keyOf(peer))).toEqual({ tag: "notFound", detail: `${peer.peerId} is not banned` });
    expect(node.state.offenders.get(peer.peerId)?.strikesMs).toHaveLength(1);
  });

  test("of an address group", () => {
    const node = testNode();
    ban(node, GROUP);
    expect(knock(node).attemptId).toBeUndefined();
    unban(node, GROUP);
    expect(knock(node).attemptId).toBeDefined();
    expect(unban(node, GROUP).tag).toBe("notFound");
  });
});

describe("bans: what a former process has left", () => {
  test("is in force again, but for what has ended meanwhile", () => {
    const node = testNode();
    const kept = [
      { subject: GROUP, untilMs: node.nowMs + GROUP_BAN_MS, reason: "badState" },
      { subject: keyOf(party("a")), untilMs: FOREVER_MS, reason: "operator" },
      { subject: keyOf(party("b")), untilMs: node.nowMs + 1, reason: "badChunk" },
    ] as const;
    const ended = { subject: keyOf(party("c")), untilMs: node.nowMs, reason: "badChunk" } as const;
    const restored = withBans(node.state, [...kept, ended]);
    expect(listBans(restored)).toHaveLength(3);
    expect(new Set(listBans(restored))).toEqual(new Set(kept));
    expect(brokenInvariants(restored)).toEqual([]);
    expect(node.state.groups.size).toBe(0);
  });
});

test.each([
  ["20.30.40.0/24", "20.30.40.0/24"],
  ["2A00:1450:4001:0800::/56", "2a00:1450:4001:800::/56"],
  ["::ffff:20.30.40.0/24", "20.30.40.0/24"],
  [party("peer").peerId, party("peer").peerId],
])("%s is %s", (text, meaning) => {
  const parsed = parseSubject(text);
  expect(parsed.tag === "key" ? parsed.peerId : parsed.tag === "group" ? parsed.group : null).toBe(meaning);
});

test.each([
  ["20.30.40.5/24", /that would be 20\.30\.40\.0\/24$/],
  ["20.30.40.0/16", /that would be 20\.30\.40\.0\/24$/],
  ["20.30.40.0", /that would be/],
  ["20.30.40.0/24/24", /that would be/],
  ["2a00::/24", /that would be 2a00::\/56$/],
  ["bob", /^expected a peer id/],
  ["", /^expected a peer id/],
  ["/24", /^expected a peer id/],
])("%j is neither a key nor a group", (text, detail) => {
  expect(parseSubject(text)).toEqual({ tag: "malformed", detail: expect.stringMatching(detail) });
});
