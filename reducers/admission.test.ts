import { describe, expect, test } from "vitest";
import { equalBytes } from "../core/bytes.ts";
import { decode, encode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import { hexToPeerId } from "../core/identity.ts";
import type { RequestId } from "../core/ids.ts";
import {
  ADMISSION_BUCKETS_MAX,
  ADMISSION_GLOBAL_BURST,
  ADMISSION_GLOBAL_PER_SECOND,
  ADMISSION_GROUP_BURST,
  ADMISSION_GROUP_PER_SECOND,
  ADMISSION_IP_BURST,
  ATTEMPT_TIMEOUT_MS,
  CANDIDATES_HOLD_MS,
  DUPLICATE_PROBE_MS,
  ENVELOPE_BYTES_MAX,
  HALF_OPEN_MAX,
  HALF_OPEN_PER_GROUP_MAX,
  OUTGOING_RESERVE,
  REPLAY_MEMORY_MS,
} from "../core/limits.ts";
import { REJECTIONS, type Rejection } from "../core/reasons.ts";
import {
  type Offer,
  offerHash,
  offerSchema,
  replySchema,
  sessionOf,
  signalDigest,
  unsignedAnswerSchema,
  unsignedRejectedSchema,
} from "../core/signals.ts";
import { DEFAULT_ADMISSION, type Phase } from "../core/state.ts";
import { brokenInvariants } from "./invariants.ts";
import { control, getNext, say } from "./testing/messages.ts";
import { type Party, party, type TestNode, testNode, UNLIMITED } from "./testing/node.ts";
import { closeTransport, dialedPeer, liveOf, openTransport, readyPeer, sayHello } from "./testing/peers.ts";
import { randomOf } from "./testing/random.ts";
import { effectOf, effectsOf, endReason, goodbyes } from "./testing/results.ts";
import {
  candidate,
  dialTo,
  knock,
  type OfferOptions,
  offerFrom,
  offerOf,
  PUBLIC_IP,
  SIGNATURE,
  sdpText,
  sealed,
} from "./testing/signals.ts";

const peer = party("peer");

/** What an offer is refused with, undefined if it is answered or probed. */
function refusalOf(node: TestNode, from: Party, options: OfferOptions = {}): Rejection | undefined {
  const { effects } = offerFrom(node, from, { ...options, until: "sealingRejection" });
  const [seal] = effectsOf(effects, "effect/sealSignal").filter(({ label }) => label === "pollen/reject/1");
  if (seal === undefined) return undefined;
  const decoded = decode(unsignedRejectedSchema, seal.unsigned, ENVELOPE_BYTES_MAX);
  return decoded.tag === "decoded" ? REJECTIONS[decoded.value.reason] : undefined;
}

const repliesIn = (effects: readonly Effect[], requestId: RequestId): readonly string[] =>
  effectsOf(effects, "effect/replySignal")
    .filter((effect) => effect.requestId === requestId)
    .map(({ reply }) => reply.tag);

describe("admission: an offer that passes", () => {
  test("is answered with a signed answer to exactly this offer, and the session covers both", () => {
    const node = testNode();
    const sealing = offerFrom(node, peer, { until: "sealingAnswer" });
    const seal = effectOf(sealing.effects, "effect/sealSignal");
    expect([seal.label, seal.recipient, [...seal.prefix]]).toEqual(["pollen/answer/1", peer.publicKey, [0]]);
    const hash = offerHash(encode(offerSchema, sealing.offer));
    expect(decode(unsignedAnswerSchema, seal.unsigned, ENVELOPE_BYTES_MAX)).toEqual({
      tag: "decoded",
      value: {
        version: 1,
        from: node.state.config.publicKey,
        to: peer.publicKey,
        nonce: sealing.offer.nonce,
        offerHash: hash,
        issuedAt: BigInt(node.nowMs),
        sdp: sdpText({ setup: "active" }),
      },
    });
    const event = sealed(seal);
    const { effects } = node.feed(event);
    expect(repliesIn(effects, sealing.requestId)).toEqual(["envelope"]);
    const signed = event.type === "event/signalSealed" ? event.signed : new Uint8Array();
    expect(node.state.attempts.get(sealing.attemptId)).toMatchObject({
      phase: { tag: "connecting" },
      session: sessionOf(hash, signed),
      requestId: null,
    });
  });

  test("gives no candidate to the agent until 500 ms after the reply, and none once connected", () => {
    const node = testNode();
    const { attemptId } = offerFrom(node, peer);
    const created = offerFrom(testNode(), peer, { until: "answering" }).effects;
    expect(effectOf(created, "effect/createAnswer").sdp).not.toContain("candidate");
    expect(effectsOf(node.pass(CANDIDATES_HOLD_MS - 1), "effect/addCandidates")).toEqual([]);
    expect(node.pass(1)).toEqual([
      { type: "effect/addCandidates", attemptId, candidates: [candidate(PUBLIC_IP)] },
    ]);
    const early = testNode();
    const other = offerFrom(early, peer);
    openTransport(early, other.attemptId);
    expect(effectsOf(early.pass(2_000), "effect/addCandidates")).toEqual([]);
  });

  test("local candidates count only for a client whose own address is local, or if the operator allows", () => {
    const [far, near] = [candidate(PUBLIC_IP), candidate("192.168.1.2")];
    const changes = { sdp: sdpText({ candidates: [near, far] }) };
    const given = (remoteAddress: string, allowPrivateCandidates: boolean) => {
      const node = testNode({ allowPrivateCandidates });
      offerFrom(node, peer, { changes, remoteAddress });
      return effectOf(node.pass(CANDIDATES_HOLD_MS), "effect/addCandidates").candidates;
    };
    expect(given(PUBLIC_IP, false)).toEqual([far]);
    expect(given(PUBLIC_IP, true)).toEqual([near, far]);
    expect(given("127.0.0.1", false)).toEqual([near, far]);
    expect(given("10.0.0.9", false)).toEqual([near, far]);
    expect(given("not an address", false)).toEqual([far]);
  });
});

describe("admission: refusals (3.2)", () => {
  const CASES: readonly (readonly [Rejection, Partial<Offer>])[] = [
    ["chainMismatch", { chainId: "00".repeat(32) }],
    ["notForMe", { to: party("other").publicKey }],
    ["selfDial", { from: party("us").publicKey }],
    ["stale", { issuedAt: 0n }],
    ["stale", { issuedAt: 2n ** 64n - 1n }],
    ["badSdp", { sdp: "v=0" }],
    ["badSdp", { sdp: sdpText({ setup: "active" }) }],
  ];
  test.each(CASES)("%s", (rejection, changes) => {
    expect(refusalOf(testNode(), peer, { changes })).toBe(rejection);
  });

  test("badSignature, and the replay cache does not remember such an offer", () => {
    const node = testNode();
    const offer = offerOf(node, peer);
    expect(refusalOf(node, peer, { changes: offer, isSigned: false })).toBe("badSignature");
    expect(node.state.admission.replays.size).toBe(0);
    expect(refusalOf(node, peer, { changes: offer })).toBeUndefined();
  });

  test("stale means more than 60 s off, in both directions", () => {
    const node = testNode();
    const at = (offsetMs: number) =>
      refusalOf(node, peer, { changes: { issuedAt: BigInt(node.nowMs + offsetMs) } });
    expect([at(-60_000), at(60_000)]).toEqual([undefined, undefined]);
    expect([at(-60_001), at(60_001)]).toEqual(["stale", "stale"]);
  });

  test("what is wrong in several ways gets the first reason of the list", () => {
    const node = testNode();
    const wrong: Partial<Offer>[] = [{ chainId: "00".repeat(32) }, { to: "11".repeat(32) }, { issuedAt: 0n }];
    const expected: Rejection[] = ["chainMismatch", "notForMe", "stale"];
    for (let first = 0; first < wrong.length; first++) {
      const changes = Object.assign({ sdp: "" }, ...wrong.slice(first));
      expect(refusalOf(node, peer, { changes, isSigned: false })).toBe(expected[first]);
    }
    expect(refusalOf(node, peer, { changes: { sdp: "" }, isSigned: false })).toBe("badSignature");
    const full = testNode({ peersMax: 0 });
    expect(refusalOf(full, peer, { changes: { sdp: "" } })).toBe("badSdp");
    expect(refusalOf(full, peer)).toBe("capacity");
  });

  test("a banned key learns for how long; the ban comes before the SDP and the capacity", () => {
    const node = testNode({ peersMax: 4 });
    const live = readyPeer(node, "peer");
    expect(endReason(say(node, live.attemptId, getNext(0)))).toBeUndefined();
    say(node, live.attemptId, getNext(0));
    node.pass(1_000);
    const { effects } = offerFrom(node, peer, { changes: { sdp: "" }, until: "sealingRejection" });
    const { unsigned } = effectOf(effects, "effect/sealSignal");
    const decoded = decode(unsignedRejectedSchema, unsigned, ENVELOPE_BYTES_MAX);
    expect(decoded.tag === "decoded" && decoded.value).toMatchObject({
      reason: REJECTIONS.indexOf("banned"),
      retryAfterMs: 86_400_000 - 1_000,
    });
  });

  test.each<readonly [string, Partial<Offer>]>([
    ["version 0", { version: 0 }],
    ["version 2", { version: 2 }],
    ["a key that is no point", { from: "ff".repeat(32) }],
    ["the neutral point", { from: `01${"00".repeat(31)}` }],
    ["a point of order 2", { from: `ec${"ff".repeat(30)}7f` }],
    ["a point that is not canonical", { from: `ee${"ff".repeat(30)}7f` }],
  ])("%s is HTTP 400: nobody is there to seal a reply for", (_, changes) => {
    const node = testNode();
    const { effects, requestId } = offerFrom(node, peer, { changes });
    expect(repliesIn(effects, requestId)).toEqual(["undecodable"]);
    expect(node.state.attempts.size).toBe(0);
  });

  test("what cannot be opened or decoded is HTTP 400", () => {
    const offer = encode(offerSchema, offerOf(testNode(), peer));
    for (const plaintext of [
      null,
      new Uint8Array(),
      offer.slice(1),
      offer.slice(0, -1),
      new Uint8Array(16_385),
    ]) {
      const node = testNode();
      const { attemptId, requestId } = knock(node);
      if (attemptId === undefined) throw new Error("the request is taken");
      const { effects } = node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
      expect(repliesIn(effects, requestId)).toEqual(["undecodable"]);
      expect(brokenInvariants(node.state)).toEqual([]);
    }
  });

  test("P01: a replayed offer is refused for 3 min, longer than it is fresh", () => {
    const node = testNode();
    const changes = { ...offerOf(node, peer), issuedAt: BigInt(node.nowMs + 60_000) };
    expect(refusalOf(node, peer, { changes })).toBeUndefined();
    expect(refusalOf(node, peer, { changes })).toBe("replayed");
    node.pass(119_999);
    expect(refusalOf(node, peer, { changes })).toBe("replayed");
    node.pass(REPLAY_MEMORY_MS);
    expect(refusalOf(node, peer, { changes })).toBe("stale");
    expect(node.state.admission.replays.size).toBe(0);
  });

  test("P01: of two copies that are verified at the same time one is refused", () => {
    const node = testNode();
    const changes = offerOf(node, peer);
    const first = offerFrom(node, peer, { changes, until: "verifyingOffer" });
    const second = offerFrom(node, peer, { changes, until: "verifyingOffer" });
    node.feed({ type: "event/signatureChecked", attemptId: second.attemptId, valid: true });
    const { effects } = node.feed({
      type: "event/signatureChecked",
      attemptId: first.attemptId,
      valid: true,
    });
    expect(effectsOf(effects, "effect/sealSignal")[0]?.label).toBe("pollen/reject/1");
    expect(node.state.attempts.get(second.attemptId)?.phase.tag).toBe("answering");
  });
});

describe("P01: tampered signals", () => {
  /** The crypto service's verdict: valid for exactly the bytes that were signed. */
  const verdict = (signed: Uint8Array) => {
    const decoded = decode(offerSchema, signed, ENVELOPE_BYTES_MAX);
    if (decoded.tag !== "decoded") throw new Error("the original is an offer");
    const digest = signalDigest("pollen/offer/1", signed);
    const { from, signature } = decoded.value;
    return (publicKey: string, otherDigest: Uint8Array, otherSignature: Uint8Array): boolean =>
      publicKey === from && equalBytes(digest, otherDigest) && equalBytes(signature, otherSignature);
  };

  function tampered(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
    const changed = bytes.slice();
    for (let flips = 1 + random(2); flips > 0; flips--) changed[random(changed.length)] = random(256);
    return equalBytes(changed, bytes) ? bytes.slice(1) : changed;
  }

  test("of 100,000 tampered offers none that is readable has a valid signature", () => {
    const random = randomOf(1);
    const signed = encode(
      offerSchema,
      offerOf(testNode(), peer, { sdp: "v=0", signature: SIGNATURE.map(() => 7) }),
    );
    const isValid = verdict(signed);
    let readable = 0;
    for (let run = 0; run < 100_000; run++) {
      const bytes = tampered(signed, random);
      const decoded = decode(offerSchema, bytes, ENVELOPE_BYTES_MAX);
      if (decoded.tag === "failed") continue;
      readable += 1;
      const { from, signature } = decoded.value;
      if (isValid(from, signalDigest("pollen/offer/1", bytes), signature))
        throw new Error(`run ${run} passes`);
    }
    expect(readable).toBeGreaterThan(50_000);
  });

  test("of 1,500 tampered offers a node takes none", () => {
    const random = randomOf(2);
    const node = testNode();
    const signed = encode(offerSchema, offerOf(node, peer));
    const isValid = verdict(signed);
    const { attemptId } = knock(node);
    if (attemptId === undefined) throw new Error("the request is taken");
    const waiting = node.state;
    const take = (bytes: Uint8Array): Phase["tag"] | undefined => {
      const copy = node.at(waiting);
      const { effects } = copy.feed({ type: "event/envelopeOpened", attemptId, plaintext: bytes });
      for (const { publicKey, digest, signature } of effectsOf(effects, "effect/verifySignature")) {
        const valid = isValid(publicKey, digest, signature);
        copy.feed({ type: "event/signatureChecked", attemptId, valid });
      }
      return copy.state.attempts.get(attemptId)?.phase.tag;
    };
    expect(take(signed)).toBe("answering");
    for (let run = 0; run < 1_500; run++) {
      expect([undefined, "sealingRejection"]).toContain(take(tampered(signed, random)));
    }
  });

  test("of 8,000 tampered, reflected and re-targeted replies a dialer takes none", () => {
    const random = randomOf(3);
    const node = testNode();
    const { attemptId } = dialTo(node, peer, "openingReply");
    const waiting = node.state;
    const attempt = waiting.attempts.get(attemptId);
    const right = {
      tag: "answer",
      version: 1,
      from: peer.publicKey,
      to: party("us").publicKey,
      nonce: attempt?.nonce ?? "",
      offerHash: attempt?.offerHash ?? "",
      issuedAt: BigInt(node.nowMs),
      sdp: sdpText({ setup: "active" }),
      signature: SIGNATURE,
    } as const;
    const signed = encode(replySchema, right);
    const digest = signalDigest("pollen/answer/1", signed.subarray(1));
    const take = (plaintext: Uint8Array): Phase["tag"] | undefined => {
      const copy = node.at(waiting);
      const { effects } = copy.feed({ type: "event/envelopeOpened", attemptId, plaintext });
      for (const asked of effectsOf(effects, "effect/verifySignature")) {
        const valid =
          asked.publicKey === peer.publicKey &&
          equalBytes(asked.digest, digest) &&
          equalBytes(asked.signature, SIGNATURE);
        copy.feed({ type: "event/signatureChecked", attemptId, valid });
      }
      return copy.state.attempts.get(attemptId)?.phase.tag;
    };
    expect(take(signed)).toBe("connecting");
    for (let run = 0; run < 8_000; run++) {
      if (take(tampered(signed, random)) !== "closing") throw new Error(`run ${run} is not refused`);
    }
    const [us, other] = [party("us").publicKey, party("other").publicKey];
    const swaps = [{ from: us, to: peer.publicKey }, { from: us }, { from: other }, { to: other }];
    for (const swap of swaps) expect(take(encode(replySchema, { ...right, ...swap }))).toBe("closing");
    const offer = encode(offerSchema, offerOf(node, peer));
    expect(take(offer)).toBe("closing");
    expect(take(Uint8Array.from([0, ...offer]))).toBe("closing");
  });
});

describe("admission: token buckets", () => {
  const limited = (): TestNode =>
    testNode({ admission: { ...DEFAULT_ADMISSION, halfOpenMax: 1e9, halfOpenPerGroupMax: 1e9 } });
  const tags = (node: TestNode, address: string): string =>
    effectsOf(knock(node, address).effects, "effect/replySignal")[0]?.reply.tag ?? "taken";
  const taken = (node: TestNode, addresses: readonly string[]): number =>
    addresses.filter((address) => tags(node, address) === "taken").length;
  const times = (count: number, make: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => make(i));

  test("per IP: a burst of 8, then one per 2 s", () => {
    const node = limited();
    expect(
      taken(
        node,
        times(20, () => PUBLIC_IP),
      ),
    ).toBe(ADMISSION_IP_BURST);
    node.pass(60_000);
    expect(
      taken(
        node,
        times(20, () => PUBLIC_IP),
      ),
    ).toBe(ADMISSION_IP_BURST);
    const slow = limited();
    taken(
      slow,
      times(ADMISSION_IP_BURST, () => PUBLIC_IP),
    );
    for (let round = 0; round < 5; round++) {
      slow.pass(2_000);
      expect(taken(slow, [PUBLIC_IP])).toBe(1);
    }
  });

  test("a refused request costs its token, and Retry-After says when one will be there", () => {
    const node = limited();
    taken(
      node,
      times(ADMISSION_IP_BURST, () => PUBLIC_IP),
    );
    const { effects } = knock(node);
    const { reply } = effectOf(effects, "effect/replySignal");
    expect(reply).toEqual({ tag: "rateLimited", retryAfterS: 2 });
    node.pass(2_000);
    expect(tags(node, PUBLIC_IP)).toBe("rateLimited");
    const again = effectOf(knock(node).effects, "effect/replySignal").reply;
    node.pass(again.tag === "rateLimited" ? 1_000 * again.retryAfterS : 0);
    expect(tags(node, PUBLIC_IP)).toBe("taken");
  });

  test("per group: 32 from one /24 and one /56, whatever the addresses in it", () => {
    expect(
      taken(
        limited(),
        times(200, (index) => `20.30.40.${index}`),
      ),
    ).toBe(ADMISSION_GROUP_BURST);
    const v6 = times(200, (index) => `2a01:4f8:0:1:${index.toString(16)}:${(index * 300).toString(16)}::1`);
    expect(taken(limited(), v6)).toBe(ADMISSION_GROUP_BURST);
  });

  test("globally: 64 at once", () => {
    expect(
      taken(
        limited(),
        times(200, (index) => `${20 + index}.1.1.1`),
      ),
    ).toBe(ADMISSION_GLOBAL_BURST);
  });

  test("a flood of 1,000/s from 256 groups leaves room for who comes for the first time", () => {
    const node = testNode({ admission: DEFAULT_ADMISSION });
    const [flood, honest] = [
      { asked: 0, taken: 0 },
      { asked: 0, taken: 0 },
    ];
    const ask = (address: string, counts: typeof flood): void => {
      counts.asked += 1;
      const { attemptId } = knock(node, address);
      if (attemptId === undefined) return;
      counts.taken += 1;
      node.feed({ type: "event/envelopeOpened", attemptId, plaintext: null });
    };
    for (let tenMs = 0; tenMs < 6_000; tenMs++) {
      for (let each = 0; each < 10; each++) ask(`99.${flood.asked % 256}.1.${flood.asked % 250}`, flood);
      if (tenMs % 100 === 50) ask(`20.${honest.asked}.7.7`, honest);
      node.pass(10);
    }
    expect(honest).toEqual({ asked: 60, taken: 60 });
    // No more than the global rate, and the half of the burst that is not kept for others.
    expect(flood.taken).toBeLessThanOrEqual(60 * ADMISSION_GLOBAL_PER_SECOND + ADMISSION_GLOBAL_BURST);
    expect(node.state.attempts.size).toBe(0);
  });

  test.each([
    ["one /56", 0],
    ["the 256 /56 of one /48", 255],
  ])("a flood from ever new addresses of %s brings no group more than its bucket gives", (_name, groups) => {
    const node = testNode({ admission: DEFAULT_ADMISSION });
    const ask = (address: string): boolean => {
      const { attemptId } = knock(node, address);
      if (attemptId !== undefined) node.feed({ type: "event/envelopeOpened", attemptId, plaintext: null });
      return attemptId !== undefined;
    };
    const crowd = times(ADMISSION_GROUP_BURST, (index) => `99.1.1.${index}`);
    expect(crowd.filter(ask)).toHaveLength(ADMISSION_GROUP_BURST);
    const startMs = node.nowMs;
    for (let count = 0; count < 3 * ADMISSION_BUCKETS_MAX; count++) {
      ask(`2a01:4f8:0:${((count & groups) << 8).toString(16)}:${count.toString(16)}::1`);
      if (count % 4 === 0) node.pass(1);
    }
    // There are tokens for all again.
    node.pass(1_000);
    const gainedS = (node.nowMs - startMs) / 1_000;
    expect(crowd.filter(ask).length).toBeLessThanOrEqual(gainedS * ADMISSION_GROUP_PER_SECOND);
  });

  test("loopback has no group limit, but one per IP", () => {
    expect(
      taken(
        limited(),
        times(60, (index) => `127.0.0.${index}`),
      ),
    ).toBe(60);
    expect(
      taken(
        limited(),
        times(60, () => "127.0.0.1"),
      ),
    ).toBe(ADMISSION_IP_BURST);
  });

  test("P16: the table of buckets is bounded whatever comes, and a busy address is not forgotten first", () => {
    const node = testNode({ admission: { ...UNLIMITED, ip: DEFAULT_ADMISSION.ip } });
    for (let index = 0; index < ADMISSION_BUCKETS_MAX / 2 + 200; index++) {
      const { effects } = knock(node, `${20 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}.1`);
      const { requestId } = effects[0]?.type === "effect/replySignal" ? effects[0] : { requestId: null };
      expect(requestId === null || index > 60).toBe(true);
      if (index % 100 === 0) node.freeze(10);
    }
    expect(node.state.admission.buckets.size).toBeLessThanOrEqual(ADMISSION_BUCKETS_MAX);
    expect(node.state.admission.buckets.has("20.0.0.1")).toBe(false);
  });
});

describe("admission: half-open connections (P06)", () => {
  const only = (changes: Partial<typeof UNLIMITED>) => testNode({ admission: { ...UNLIMITED, ...changes } });

  test("64 in all, 4 per group, as many as one likes from loopback; the next gets 503", () => {
    const node = only({ halfOpenPerGroupMax: HALF_OPEN_PER_GROUP_MAX });
    for (let index = 0; index < HALF_OPEN_PER_GROUP_MAX; index++) {
      expect(knock(node).attemptId).toBeDefined();
    }
    const { effects } = knock(node);
    expect(effectOf(effects, "effect/replySignal").reply).toMatchObject({ tag: "unavailable" });
    for (let index = 0; index < 40; index++) expect(knock(node, "127.0.0.1").attemptId).toBeDefined();
    let total = node.state.attempts.size;
    for (let index = 0; index < 100; index++) if (knock(node, `${30 + index}.1.1.1`).attemptId) total += 1;
    expect(total).toBe(HALF_OPEN_MAX);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("in every phase the request is answered exactly once, at the latest after 15 s", () => {
    const phases: readonly Phase["tag"][] = [
      "openingOffer",
      "verifyingOffer",
      "probing",
      "answering",
      "sealingAnswer",
      "sealingRejection",
      "connecting",
    ];
    for (const until of phases) {
      const replies: string[] = [];
      let asked: RequestId | null = null;
      const node = testNode({}, "us", (input, { effects }) => {
        if (input.type === "event/signalReceived") asked = input.requestId;
        for (const effect of effectsOf(effects, "effect/replySignal")) {
          if (effect.requestId === asked) replies.push(effect.reply.tag);
        }
      });
      if (until === "probing") readyPeer(node, "peer");
      replies.length = 0;
      const changes = until === "sealingRejection" ? { issuedAt: 0n } : {};
      const { attemptId } = offerFrom(node, peer, { until, changes });
      expect(node.state.attempts.get(attemptId)?.phase.tag).toBe(until);
      node.pass(ATTEMPT_TIMEOUT_MS);
      expect([until, replies.length]).toEqual([until, 1]);
      closeTransport(node, attemptId);
      expect(node.state.attempts.has(attemptId)).toBe(false);
      expect(node.state.peers.get(peer.peerId)?.answering ?? null).toBeNull();
      expect(brokenInvariants(node.state)).toEqual([]);
    }
  });

  test("P14: a connection that cannot be created is answered, and gives its slot back", () => {
    for (const until of ["answering", "sealingAnswer"] as const) {
      const node = testNode();
      const { attemptId, requestId } = offerFrom(node, peer, { until });
      const failed = { type: "event/connectionClosed", attemptId, error: "no SDP" } as const;
      expect(repliesIn(node.feed(failed).effects, requestId)).toEqual(["unavailable"]);
      expect(node.state.attempts.size + node.state.peers.size).toBe(0);
    }
  });

  test("P14: an SDP of our own that is too long is answered", () => {
    for (const sdp of ["x".repeat(8_193), "ü".repeat(4_097)]) {
      const node = testNode();
      const { attemptId, requestId } = offerFrom(node, peer, { until: "answering" });
      const { effects } = node.feed({ type: "event/localDescription", attemptId, sdp });
      expect(repliesIn(effects, requestId)).toEqual(["unavailable"]);
      expect(effectsOf(effects, "effect/close")).toHaveLength(1);
    }
  });

  test("a node that stops answers what is open and takes nothing new", () => {
    const node = testNode();
    const { requestId } = offerFrom(node, peer, { until: "answering" });
    expect(repliesIn(node.feed({ type: "command/stop" }).effects, requestId)).toEqual(["unavailable"]);
    const late = knock(node);
    expect(repliesIn(late.effects, late.requestId)).toEqual(["unavailable"]);
  });
});

describe("admission: capacity (P34)", () => {
  test("incoming connections never use the outgoing slots, and peers never exceed the maximum", () => {
    const node = testNode({ peersMax: 48 });
    let admitted = 0;
    for (let index = 0; index < 50; index++) {
      if (refusalOf(node, party(`in ${index}`)) === undefined) admitted += 1;
      expect(node.state.peers.size).toBeLessThanOrEqual(48);
    }
    expect(admitted).toBe(48 - OUTGOING_RESERVE);
    for (let index = 0; index < OUTGOING_RESERVE; index++) dialTo(node, party(`out ${index}`), "offering");
    expect(node.state.peers.size).toBe(48);
    node.feed({
      type: "command/dial",
      requestId: 1 as RequestId,
      address: {
        scheme: "http",
        hostKind: "ip4",
        host: PUBLIC_IP,
        port: 1,
        peerId: party("one too many").peerId,
      },
    });
    expect(node.state.peers.size).toBe(48);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("half-open ones count; a slot is free again when its attempt ends", () => {
    const node = testNode({ peersMax: 4 });
    const held = ["a", "b", "c"].map((name) => offerFrom(node, party(name)));
    expect(refusalOf(node, party("d"))).toBe("capacity");
    closeTransport(node, held[0]?.attemptId ?? (0 as never));
    expect(refusalOf(node, party("d"))).toBeUndefined();
  });

  test("a newcomer with the key of a live peer, or of one being dialed, uses that one's slot", () => {
    const node = testNode({ peersMax: 4 });
    const dialed = dialTo(node, party("dialed"), "offering");
    for (const name of ["a", "b", "c"]) readyPeer(node, name);
    expect(node.state.peers.size).toBe(4);
    expect(refusalOf(node, party("stranger"))).toBe("capacity");
    expect(refusalOf(node, dialed)).toBeUndefined();
    expect(refusalOf(node, party("a"))).toBeUndefined();
    expect(node.state.peers.size).toBe(4);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});

describe("admission: offers with the key of a live peer", () => {
  const probed = (): {
    readonly node: TestNode;
    readonly live: ReturnType<typeof readyPeer>;
    readonly newcomer: ReturnType<typeof offerFrom>;
  } => {
    const node = testNode();
    const live = readyPeer(node, "peer");
    return { node, live, newcomer: offerFrom(node, peer) };
  };

  test("alreadyConnected is answered only after a Pong that came after the offer", () => {
    const { node, live, newcomer } = probed();
    expect(node.state.attempts.get(newcomer.attemptId)?.phase.tag).toBe("probing");
    const { effects } = say(node, live.attemptId, control({ tag: "pong", n: 0 }));
    const { unsigned } = effectOf(effects, "effect/sealSignal");
    const decoded = decode(unsignedRejectedSchema, unsigned, ENVELOPE_BYTES_MAX);
    expect(decoded.tag === "decoded" && REJECTIONS[decoded.value.reason]).toBe("alreadyConnected");
    expect(liveOf(node, live)?.attemptId).toBe(live.attemptId);
    expect(liveOf(node, live)?.probe).toBeNull();
  });

  test("without a Pong in 2 s the newcomer is let in, and the live one stays until the newcomer is ready", () => {
    const { node, live, newcomer } = probed();
    expect(effectsOf(node.pass(DUPLICATE_PROBE_MS - 1), "effect/createAnswer")).toEqual([]);
    const effects = node.pass(1);
    expect(effectOf(effects, "effect/createAnswer").attemptId).toBe(newcomer.attemptId);
    expect(goodbyes(effects)).toEqual([]);
    expect(liveOf(node, live)?.attemptId).toBe(live.attemptId);
  });

  test("when the live one ends during the probe the newcomer is let in at once", () => {
    const { node, live, newcomer } = probed();
    const { effects } = closeTransport(node, live.attemptId);
    expect(effectOf(effects, "effect/createAnswer").attemptId).toBe(newcomer.attemptId);
  });

  test("a second offer during the probe is told to come again", () => {
    const { node } = probed();
    expect(refusalOf(node, peer)).toBe("rateLimited");
  });

  test("a probe that outlives its attempt is forgotten: the next offer is probed again", () => {
    const node = testNode();
    const live = readyPeer(node, "peer");
    const slow = offerFrom(node, peer, { until: "verifyingOffer" });
    for (let second = 0; second < 14; second++) {
      node.pass(1_000);
      say(node, live.attemptId, control({ tag: "ping", n: second }));
    }
    node.feed({ type: "event/signatureChecked", attemptId: slow.attemptId, valid: true });
    expect(liveOf(node, live)?.probe).not.toBeNull();
    node.pass(1_500);
    expect(node.state.attempts.has(slow.attemptId)).toBe(false);
    expect(liveOf(node, live)?.probe).toBeNull();
    expect(refusalOf(node, peer)).toBeUndefined();
  });

  test("a probe and its attempt that are overdue together end without a crash", () => {
    const node = testNode();
    readyPeer(node, "peer");
    const slow = offerFrom(node, peer, { until: "verifyingOffer" });
    node.freeze(14_500);
    node.feed({ type: "event/signatureChecked", attemptId: slow.attemptId, valid: true });
    node.freeze(60_000);
    node.feed({ type: "tick" });
    node.pass(60_000);
    expect(node.state.peers.size).toBe(0);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P04: offers that only claim the ids of live peers change nothing about these peers", () => {
    const names = Array.from({ length: 20 }, (_, index) => `live ${index}`);
    const node = testNode();
    for (const name of names) readyPeer(node, name);
    const [before, random] = [node.state.peers, randomOf(4)];
    for (let offers = 0; offers < 400; offers++) {
      const name = names[random(names.length)] ?? "";
      const arrival = offerFrom(node, party(name), { isSigned: false });
      expect(node.state.attempts.has(arrival.attemptId)).toBe(false);
      if (node.state.peers !== before) throw new Error(`offer ${offers} touched a live peer`);
    }
    expect(node.state.endings).toEqual({});
  });

  test("P04: offers by the right key from elsewhere cost the live connection at most a Ping each", () => {
    const node = testNode();
    const live = readyPeer(node, "peer");
    for (let round = 0; round < 50; round++) {
      const { attemptId } = offerFrom(node, peer);
      const open = liveOf(node, live)?.control.awaitingPong;
      const result = say(node, live.attemptId, control({ tag: "pong", n: open?.n ?? 0 }));
      node.feed(sealed(effectOf(result.effects, "effect/sealSignal")));
      expect(node.state.attempts.has(attemptId)).toBe(false);
      node.pass(5_000);
    }
    expect(liveOf(node, live)?.sinceMs).toBeLessThan(node.nowMs - 200_000);
  });
});

test("admission: the key of an attempt is the key that signed its offer", () => {
  const node = testNode();
  const { attemptId, publicKey } = offerFrom(node, peer, { until: "answering" });
  expect(node.state.attempts.get(attemptId)?.peerId).toBe(hexToPeerId(publicKey));
  const early = offerFrom(node, party("other"), { until: "verifyingOffer" });
  expect(node.state.attempts.get(early.attemptId)?.peerId).toBeNull();
  const dialed = dialedPeer(node, "third");
  sayHello(node, dialed.attemptId);
});
