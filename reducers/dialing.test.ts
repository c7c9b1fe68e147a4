import { describe, expect, test } from "vitest";
import { decode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import type { AttemptId } from "../core/ids.ts";
import {
  ATTEMPT_TIMEOUT_MS,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_MIN_MS,
  DIAL_BACKOFF_RESET_MS,
  DIAL_REFUSED_MS,
  DIAL_RETRIES_AT_ONCE,
  ENVELOPE_BYTES_MAX,
  STRIKES_REST_MS,
} from "../core/limits.ts";
import { REASONS, REJECTIONS } from "../core/reasons.ts";
import type { SignalOutcome } from "../core/services.ts";
import { offerHash, unsignedOfferSchema } from "../core/signals.ts";
import type { Phase } from "../core/state.ts";
import { brokenInvariants } from "./invariants.ts";
import { control, say } from "./testing/messages.ts";
import { freshRequestId, party, type TestNode, testNode } from "./testing/node.ts";
import { closeTransport, dialedPeer, liveOf, openTransport, readyPeer, sayHello } from "./testing/peers.ts";
import { effectOf, effectsOf, goodbyes } from "./testing/results.ts";
import {
  addressOf,
  answerTo,
  candidate,
  continueDial,
  dialTo,
  FINGERPRINT,
  offerFrom,
  PUBLIC_IP,
  rejectionOf,
  sdpText,
  sealed,
  targetOf,
} from "./testing/signals.ts";

const peer = party("peer");
const WAITING: readonly Phase["tag"][] = [
  "offering",
  "sealingOffer",
  "awaitingReply",
  "openingReply",
  "verifyingReply",
  "connecting",
];

const dialCommand = (node: TestNode, port?: number) =>
  node.feed({ type: "command/dial", requestId: freshRequestId(), address: addressOf(peer, port) });

/** How long until the address is dialed again. */
const waitOf = (node: TestNode): number => (targetOf(node, peer)?.nextMs ?? Number.NaN) - node.nowMs;

/** One dial that fails at HTTP. @returns how long the node waits then */
function failOnce(node: TestNode, begun: readonly Effect[]): number {
  const { attemptId } = effectOf(begun, "effect/createOffer");
  continueDial(node, attemptId, begun, "awaitingReply");
  node.feed({ type: "event/signalAnswered", attemptId, outcome: { tag: "failed", error: "refused" } });
  closeTransport(node, attemptId);
  return waitOf(node);
}

describe("dialing: the way to an answer", () => {
  test("an offer is created, signed, sealed for the listener and posted to its address", () => {
    const node = testNode({ listen: "/ip4/1.2.3.4/tcp/7300/http/p2p/x" });
    const begun = dialCommand(node).effects;
    const { attemptId } = effectOf(begun, "effect/createOffer");
    const sealing = node.feed({ type: "event/localDescription", attemptId, sdp: sdpText() });
    const seal = effectOf(sealing.effects, "effect/sealSignal");
    expect([seal.label, seal.recipient, seal.prefix.length]).toEqual(["pollen/offer/1", peer.publicKey, 0]);
    const decoded = decode(unsignedOfferSchema, seal.unsigned, ENVELOPE_BYTES_MAX);
    expect(decoded.tag === "decoded" && decoded.value).toEqual({
      version: 1,
      chainId: node.state.config.chainId,
      from: node.state.config.publicKey,
      to: peer.publicKey,
      nonce: node.state.attempts.get(attemptId)?.nonce,
      issuedAt: BigInt(node.nowMs),
      sdp: sdpText(),
      listen: "/ip4/1.2.3.4/tcp/7300/http/p2p/x",
    });
    const event = sealed(seal);
    const { effects } = node.feed(event);
    if (event.type !== "event/signalSealed") throw new Error("a seal is sealed");
    expect(effects).toEqual([
      { type: "effect/postSignal", attemptId, address: addressOf(peer), envelope: event.envelope },
    ]);
    expect(node.state.attempts.get(attemptId)?.offerHash).toBe(offerHash(event.signed));
  });

  test("the nonces of dials are never the same", () => {
    const node = testNode();
    const nonces = Array.from({ length: 20 }, (_, index) => {
      const { attemptId } = dialTo(node, party(`to ${index}`), "offering");
      return node.state.attempts.get(attemptId)?.nonce;
    });
    expect(new Set(nonces).size).toBe(20);
  });

  test("a right answer is applied with its usable candidates", () => {
    const node = testNode();
    const { effects, attemptId } = dialTo(node, peer);
    expect(effects).toEqual([
      {
        type: "effect/applyAnswer",
        attemptId,
        sdp: sdpText({ setup: "active", candidates: [candidate(PUBLIC_IP)] }),
      },
    ]);
  });

  test("local candidates of an answer count only if the listener's own address is local", () => {
    const sdp = sdpText({ setup: "active", candidates: [candidate("10.0.0.7"), candidate(PUBLIC_IP)] });
    for (const [remoteAddress, isUsed] of [
      [PUBLIC_IP, false],
      ["10.0.0.1", true],
    ] as const) {
      const node = testNode();
      const { attemptId } = dialTo(node, peer, "awaitingReply");
      const outcome = { tag: "envelope", envelope: new Uint8Array(), remoteAddress } as const;
      node.feed({ type: "event/signalAnswered", attemptId, outcome });
      node.feed({ type: "event/envelopeOpened", attemptId, plaintext: answerTo(node, attemptId, { sdp }) });
      const { effects } = node.feed({ type: "event/signatureChecked", attemptId, valid: true });
      expect(effectOf(effects, "effect/applyAnswer").sdp.includes("10.0.0.7")).toBe(isUsed);
    }
  });
});

describe("P02: the dialer checks of every reply", () => {
  const other = party("other").publicKey;
  test.each([
    ["version", { version: 2 }],
    ["from", { from: other }],
    ["to", { to: other }],
    ["attempt", { nonce: "00".repeat(16) }],
    ["offerHash", { offerHash: "00".repeat(32) }],
    ["issuedAt", { issuedAt: 0n }],
    ["issuedAt", { issuedAt: 2n ** 64n - 1n }],
  ])("its %s, before its signature and its SDP", (_, changes) => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "openingReply");
    const plaintext = answerTo(node, attemptId, changes);
    const { effects } = node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
    expect(effects.map(({ type }) => type)).toEqual(["effect/close"]);
    expect(waitOf(node)).toBeGreaterThan(0);
  });

  test("its signature", () => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "verifyingReply");
    const { effects } = node.feed({ type: "event/signatureChecked", attemptId, valid: false });
    expect(effects.map(({ type }) => type)).toEqual(["effect/close"]);
  });

  test("its SDP", () => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "openingReply");
    const plaintext = answerTo(node, attemptId, { sdp: sdpText({ setup: "actpass" }) });
    node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
    const { effects } = node.feed({ type: "event/signatureChecked", attemptId, valid: true });
    expect(effects.map(({ type }) => type)).toEqual(["effect/close"]);
  });

  test("the certificate: another fingerprint than the signed one is never ready", () => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer);
    const fingerprint = "00".repeat(32);
    const connected = { type: "event/connected", attemptId, fingerprint, remoteAddress: PUBLIC_IP } as const;
    expect(node.feed(connected).effects).toEqual([{ type: "effect/close", attemptId, graceful: false }]);
    expect(sayHello(node, attemptId).actions).toEqual([]);
    expect(waitOf(node)).toBeGreaterThanOrEqual(DIAL_BACKOFF_MIN_MS / 2);
  });
});

describe("P28: one deadline per attempt", () => {
  test.each(WAITING)("a dial that hangs in %s ends 15 s after its start", (until) => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, until);
    expect(effectsOf(node.pass(ATTEMPT_TIMEOUT_MS - 1), "effect/close")).toEqual([]);
    expect(effectsOf(node.pass(1), "effect/close")).toEqual([
      { type: "effect/close", attemptId, graceful: false },
    ]);
    expect(node.state.peers.size).toBe(0);
    expect(waitOf(node)).toBeGreaterThan(0);
    closeTransport(node, attemptId);
    expect(node.state.attempts.size).toBe(0);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("progress does not move it", () => {
    const node = testNode();
    const begun = dialCommand(node).effects;
    const { attemptId } = effectOf(begun, "effect/createOffer");
    let effects: readonly Effect[] = begun;
    for (const until of WAITING.slice(1)) {
      node.pass(2_800);
      effects = continueDial(node, attemptId, effects, until);
    }
    expect(effectsOf(node.pass(ATTEMPT_TIMEOUT_MS - 5 * 2_800), "effect/close")).toHaveLength(1);
  });

  test.each(WAITING)("P14: a transport that fails in %s ends the dial at once", (until) => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, until);
    closeTransport(node, attemptId);
    expect(node.state.attempts.has(attemptId)).toBe(false);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});

describe("P28: when a failed address is dialed again", () => {
  test("after 1 s doubling to 10 min, the second half of each step being random", () => {
    const node = testNode();
    let begun: readonly Effect[] = dialCommand(node).effects;
    const waits: number[] = [];
    for (let failures = 1; failures <= 14; failures++) {
      const waitMs = failOnce(node, begun);
      const fullMs = Math.min(DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS * 2 ** (failures - 1));
      expect(waitMs).toBeGreaterThanOrEqual(fullMs / 2);
      expect(waitMs).toBeLessThanOrEqual(fullMs);
      waits.push(waitMs / fullMs);
      expect(effectsOf(node.pass(waitMs - 1), "effect/createOffer")).toEqual([]);
      begun = node.pass(1);
    }
    expect(new Set(waits).size).toBeGreaterThan(10);
  });

  test.each(REJECTIONS.map((name, reason) => [name, reason] as const))("Rejected(%s)", (name, reason) => {
    const isLasting = ["chainMismatch", "selfDial", "badSignature", "badSdp"].includes(name);
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "openingReply");
    node.feed({
      type: "event/envelopeOpened",
      attemptId,
      plaintext: rejectionOf(node, attemptId, reason, 90_000),
    });
    node.feed({ type: "event/signatureChecked", attemptId, valid: true });
    expect(waitOf(node)).toBe(isLasting ? DIAL_REFUSED_MS : 90_000);
    expect(node.state.attempts.get(attemptId)?.phase.tag).toBe("closing");
  });

  test("a Rejected that nobody signed counts as any other failure", () => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "openingReply");
    node.feed({
      type: "event/envelopeOpened",
      attemptId,
      plaintext: rejectionOf(node, attemptId, 9, 4_000_000_000),
    });
    node.feed({ type: "event/signatureChecked", attemptId, valid: false });
    expect(waitOf(node)).toBeLessThanOrEqual(DIAL_BACKOFF_MIN_MS);
  });

  test.each<readonly [SignalOutcome, number]>([
    [{ tag: "refused", status: 429, retryAfterS: 30 }, 30_000],
    [{ tag: "refused", status: 503, retryAfterS: 60 }, 60_000],
    [{ tag: "refused", status: 503, retryAfterS: 1e9 }, 60_000],
  ])("%j is honoured, within the bounds of 3.1", (outcome, waitMs) => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "awaitingReply");
    node.feed({ type: "event/signalAnswered", attemptId, outcome });
    expect(waitOf(node)).toBe(waitMs);
  });

  test("a connection that lasted 60 s starts the back-off anew, a shorter one does not", () => {
    const lasting = (ms: number): number => {
      const node = testNode();
      let begun: readonly Effect[] = dialCommand(node).effects;
      for (let failures = 0; failures < 6; failures++) begun = node.pass(failOnce(node, begun));
      const { attemptId } = effectOf(begun, "effect/createOffer");
      continueDial(node, attemptId, begun);
      openTransport(node, attemptId);
      sayHello(node, attemptId);
      for (let passed = 0; passed < ms; passed += 1_000) {
        node.pass(1_000);
        say(node, attemptId, control({ tag: "pong", n: liveOf(node, peer)?.control.awaitingPong?.n ?? 0 }));
      }
      closeTransport(node, attemptId);
      return waitOf(node);
    };
    expect(lasting(DIAL_BACKOFF_RESET_MS)).toBeLessThanOrEqual(DIAL_BACKOFF_MIN_MS);
    expect(lasting(DIAL_BACKOFF_RESET_MS - 1_000)).toBeGreaterThan(10 * DIAL_BACKOFF_MIN_MS);
  });

  test("a transport that fails right after the answer is dialed again at once, twice at most", () => {
    const node = testNode();
    let begun: readonly Effect[] = dialCommand(node).effects;
    for (let retry = 0; retry <= DIAL_RETRIES_AT_ONCE; retry++) {
      const { attemptId } = effectOf(begun, "effect/createOffer");
      continueDial(node, attemptId, begun);
      begun = closeTransport(node, attemptId).effects;
      expect(effectsOf(begun, "effect/createOffer")).toHaveLength(retry < DIAL_RETRIES_AT_ONCE ? 1 : 0);
    }
    expect(waitOf(node)).toBeGreaterThanOrEqual(DIAL_BACKOFF_MIN_MS / 2);
  });

  test("a Goodbye before ready is no such race: what it asks for is honoured", () => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer);
    openTransport(node, attemptId, ["control"]);
    sayHello(node, attemptId);
    const { effects } = say(node, attemptId, control({ tag: "goodbye", reason: 0, banMs: 86_400_000 }));
    expect(effectsOf(effects, "effect/createOffer")).toEqual([]);
    expect(waitOf(node)).toBe(86_400_000);
  });

  test("a Goodbye(duplicate) from a peer that is not live here does not end the dialing for good", () => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer);
    openTransport(node, attemptId);
    const duplicate = REASONS.indexOf("duplicate");
    const session = node.state.attempts.get(attemptId)?.session ?? "";
    say(node, attemptId, control({ tag: "hello", version: 1, session, userAgent: "", channels: 1 }));
    say(node, attemptId, control({ tag: "goodbye", reason: duplicate, banMs: 0 }));
    closeTransport(node, attemptId);
    expect(effectsOf(node.pass(10_000), "effect/createOffer")).toHaveLength(1);
  });

  test("two addresses of one peer take turns: a dead one does not keep the other from being dialed", () => {
    const node = testNode();
    dialCommand(node, 1);
    const first = [...node.state.attempts.values()][0];
    dialCommand(node, 2);
    expect(node.state.attempts.size).toBe(1);
    const ports = new Set<number>();
    for (let round = 0; round < 12; round++) {
      for (const { id, target } of [...node.state.attempts.values()]) {
        if (target !== null) ports.add(target.port);
        closeTransport(node, id);
      }
      node.pass(1_500);
    }
    expect(first?.target?.port).toBe(1);
    expect([...ports].sort()).toEqual([1, 2]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("what is live is not dialed; when it ends the address is dialed again", () => {
    const node = testNode();
    const live = readyPeer(node, "peer");
    expect(effectsOf(dialCommand(node).effects, "effect/createOffer")).toEqual([]);
    closeTransport(node, live.attemptId);
    expect(effectsOf(node.pass(2_000), "effect/createOffer")).toHaveLength(1);
  });

  test("a banned key and one that rests are not dialed until that is over", () => {
    const node = testNode();
    const live = dialedPeer(node, "peer");
    expect(
      goodbyes(
        say(
          node,
          live.attemptId,
          control({ tag: "hello", version: 1, session: "00".repeat(32), userAgent: "", channels: 1 }),
        ).effects,
      ),
    ).toHaveLength(1);
    closeTransport(node, live.attemptId);
    dialCommand(node);
    expect(node.state.attempts.size).toBe(0);
    expect(waitOf(node)).toBe(86_400_000);
    expect(effectsOf(node.pass(86_400_000), "effect/createOffer")).toHaveLength(1);

    const tired = testNode();
    for (let strike = 0; strike < 3; strike++) {
      const { attemptId } = readyPeer(tired, "peer");
      tired.pass(20_000);
      closeTransport(tired, attemptId);
    }
    dialCommand(tired);
    expect(waitOf(tired)).toBe(STRIKES_REST_MS);
  });

  test("a full node dials later", () => {
    const node = testNode({ peersMax: 1 });
    dialTo(node, party("first"), "offering");
    expect(effectsOf(dialCommand(node).effects, "effect/createOffer")).toEqual([]);
    expect(waitOf(node)).toBeGreaterThan(0);
  });
});

describe("P05: events of dead attempts", () => {
  const lateEvents = (attemptId: AttemptId) =>
    [
      { type: "event/localDescription", attemptId, sdp: sdpText() },
      { type: "event/signalSealed", attemptId, signed: new Uint8Array(80), envelope: new Uint8Array() },
      {
        type: "event/signalAnswered",
        attemptId,
        outcome: { tag: "envelope", envelope: new Uint8Array(), remoteAddress: PUBLIC_IP },
      },
      { type: "event/envelopeOpened", attemptId, plaintext: null },
      { type: "event/signatureChecked", attemptId, valid: true },
      { type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress: PUBLIC_IP },
      { type: "event/channelOpened", attemptId, channel: "control" },
      { type: "event/message", attemptId, channel: "control", bytes: new Uint8Array() },
      { type: "event/textReceived", attemptId, channel: "control" },
      { type: "event/inboxFull", attemptId },
      { type: "event/channelBlocked", attemptId, channel: "rpc" },
      { type: "event/channelDrained", attemptId, channel: "rpc" },
      { type: "event/itemsLoaded", attemptId, rpcId: 0, items: [null] },
    ] as const;

  test.each(WAITING)("a dial that ended in %s hears nothing, and its successor neither", (until) => {
    const node = testNode();
    const { attemptId } = dialTo(node, peer, until);
    node.pass(ATTEMPT_TIMEOUT_MS);
    const successor = effectOf(node.pass(2_000), "effect/createOffer").attemptId;
    expect(successor).not.toBe(attemptId);
    const { attempts, peers } = node.state;
    for (const event of lateEvents(attemptId))
      expect([event.type, node.feed(event).actions]).toEqual([event.type, []]);
    expect([node.state.attempts, node.state.peers]).toEqual([attempts, peers]);
    expect(closeTransport(node, attemptId).actions).toHaveLength(1);
    for (const event of lateEvents(attemptId)) expect(node.feed(event).actions).toEqual([]);
    expect(node.state.attempts.get(successor)?.phase.tag).toBe("offering");
    expect(node.state.peers).toEqual(peers);
  });

  test("the late end of a loser does not touch the winner", () => {
    const node = testNode();
    const loser = dialTo(node, peer);
    const winner = offerFrom(node, peer);
    openTransport(node, winner.attemptId);
    sayHello(node, winner.attemptId);
    closeTransport(node, loser.attemptId);
    for (const event of lateEvents(loser.attemptId)) expect(node.feed(event).actions).toEqual([]);
    expect(liveOf(node, peer)?.attemptId).toBe(winner.attemptId);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});
