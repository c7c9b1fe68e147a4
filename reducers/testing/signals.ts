import type { Event } from "../../core/actions.ts";
import { assert } from "../../core/assert.ts";
import { concatBytes, type Hex, toHex, uintBytes } from "../../core/bytes.ts";
import { encode } from "../../core/codec/codec.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, RequestId } from "../../core/ids.ts";
import { type DialAddress, formatMultiaddr } from "../../core/multiaddr.ts";
import {
  type Envelope,
  envelopeBytes,
  type Offer,
  offerSchema,
  type Reply,
  replySchema,
  SIGNATURE_BYTES,
} from "../../core/signals.ts";
import type { Phase } from "../../core/state.ts";
import { CHAIN_ID } from "./chain.ts";
import { freshRequestId, type Party, partyOf, type TestNode } from "./node.ts";
import { effectOf, effectsOf } from "./results.ts";

// From the first byte of a signal to an attempt that connects (section 3).

export const SIGNATURE = new Uint8Array(SIGNATURE_BYTES);
const ENVELOPE = Uint8Array.of(1);

export const FINGERPRINT: Hex = "ab".repeat(32);
export const PUBLIC_IP = "20.30.40.50";

export interface SdpParts {
  readonly setup: string;
  readonly fingerprint: Hex;
  readonly candidates: readonly string[];
}

export function sdpText(parts: Partial<SdpParts> = {}): string {
  const { setup = "actpass", fingerprint = FINGERPRINT, candidates = [candidate(PUBLIC_IP)] } = parts;
  const lines = [
    "v=0",
    "o=rtc 1 0 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "a=sctp-port:5000",
    "a=max-message-size:262144",
    `a=setup:${setup}`,
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901",
    `a=fingerprint:sha-256 ${(fingerprint.toUpperCase().match(/../g) ?? []).join(":")}`,
    ...candidates.map((value) => `a=${value}`),
    "a=end-of-candidates",
  ];
  return lines.map((line) => `${line}\r\n`).join("");
}

export const candidate = (address: string, port = 7000, transport = "UDP"): string =>
  `candidate:1 1 ${transport} 2122317823 ${address} ${port} typ host`;

let nonces = 0;
/** Never the same twice in a process. */
const freshNonce = (): Hex => toHex(uintBytes(++nonces, 16));

export const offerOf = (node: TestNode, from: Party, changes: Partial<Offer> = {}): Offer => ({
  version: 1,
  chainId: CHAIN_ID,
  from: from.publicKey,
  to: node.state.config.publicKey,
  nonce: freshNonce(),
  issuedAt: BigInt(node.nowMs),
  sdp: sdpText(),
  listen: null,
  signature: SIGNATURE,
  ...changes,
});

export interface Arrival {
  readonly requestId: RequestId;
  /** Undefined if the request was refused before an attempt began. */
  readonly attemptId: AttemptId | undefined;
  readonly effects: readonly Effect[];
}

/** An HTTP request with an envelope. */
export function knock(node: TestNode, remoteAddress = PUBLIC_IP): Arrival {
  const requestId = freshRequestId();
  const { effects } = node.feed({
    type: "event/signalReceived",
    requestId,
    remoteAddress,
    envelope: ENVELOPE,
  });
  return { requestId, attemptId: effectsOf(effects, "effect/openEnvelope")[0]?.attemptId, effects };
}

export interface Dialed extends Party {
  readonly attemptId: AttemptId;
  readonly requestId: RequestId;
  readonly offer: Offer;
  /** Of the last input it took. */
  readonly effects: readonly Effect[];
}

export interface OfferOptions {
  readonly until?: Phase["tag"];
  readonly changes?: Partial<Offer>;
  readonly remoteAddress?: string;
  readonly isSigned?: boolean;
}

/** An offer of somebody, answered as far as it gets or until its attempt is in phase `until`. */
export function offerFrom(node: TestNode, from: Party, options: OfferOptions = {}): Dialed {
  const { until, changes, remoteAddress, isSigned = true } = options;
  const offer = offerOf(node, from, changes);
  const arrival = knock(node, remoteAddress);
  const { attemptId, requestId } = arrival;
  assert(attemptId !== undefined, "the request is taken");
  let { effects } = arrival;
  const events: readonly Event[] = [
    { type: "event/envelopeOpened", attemptId, plaintext: encode(offerSchema, offer) },
    { type: "event/signatureChecked", attemptId, valid: isSigned },
    { type: "event/localDescription", attemptId, sdp: sdpText({ setup: "active" }) },
  ];
  for (const event of events) {
    const tag = node.state.attempts.get(attemptId)?.phase.tag;
    if (tag === until || tag === undefined || tag === "sealingRejection" || tag === "probing") break;
    effects = node.feed(event).effects;
  }
  if (node.state.attempts.get(attemptId)?.phase.tag !== until) {
    const [seal] = effectsOf(effects, "effect/sealSignal");
    if (seal !== undefined) effects = node.feed(sealed(seal)).effects;
  }
  return { ...from, attemptId, requestId, offer, effects };
}

/** What the crypto service makes of a request to seal; here everybody can read it. */
export const sealed = (seal: Extract<Effect, { type: "effect/sealSignal" }>): Event => ({
  type: "event/signalSealed",
  attemptId: seal.attemptId,
  signed: concatBytes(seal.unsigned, SIGNATURE),
  envelope: envelopeBytes(envelopeAround(concatBytes(seal.prefix, seal.unsigned, SIGNATURE))),
});

export const envelopeAround = (ciphertext: Uint8Array): Envelope => ({
  ephemeral: new Uint8Array(32),
  nonce: new Uint8Array(12),
  ciphertext,
});

export const addressOf = ({ peerId }: Party, port = 7300): DialAddress => ({
  scheme: "http",
  hostKind: "ip4",
  host: PUBLIC_IP,
  port,
  peerId,
});

export const multiaddrOf = (who: Party, port?: number): string => formatMultiaddr(addressOf(who, port));

export const targetOf = (node: TestNode, to: Party, port?: number) =>
  node.state.targets.get(formatMultiaddr(addressOf(to, port)));

export interface OurDial extends Party {
  readonly attemptId: AttemptId;
  readonly effects: readonly Effect[];
}

/** A dial of ours, as far as phase `until` or to `connecting`. */
export function dialTo(node: TestNode, to: Party, until: Phase["tag"] = "connecting"): OurDial {
  const dialed = node.feed({ type: "command/dial", requestId: freshRequestId(), address: addressOf(to) });
  const { attemptId } = effectOf(dialed.effects, "effect/createOffer");
  return { ...to, attemptId, effects: continueDial(node, attemptId, dialed.effects, until) };
}

/** Takes a dial that has begun on to phase `until`. @returns the effects of the last input */
export function continueDial(
  node: TestNode,
  attemptId: AttemptId,
  begun: readonly Effect[],
  until: Phase["tag"] = "connecting",
): readonly Effect[] {
  let effects = begun;
  for (let inputs = 0; inputs < 6; inputs++) {
    const attempt = node.state.attempts.get(attemptId);
    assert(attempt !== undefined, "a dial goes on");
    if (attempt.phase.tag === until) return effects;
    const event = nextOfDial(node, attemptId, effects);
    if (event === undefined) return effects;
    effects = node.feed(event).effects;
  }
  return effects;
}

function nextOfDial(node: TestNode, attemptId: AttemptId, effects: readonly Effect[]): Event | undefined {
  switch (node.state.attempts.get(attemptId)?.phase.tag) {
    case "offering":
      return { type: "event/localDescription", attemptId, sdp: sdpText() };
    case "sealingOffer":
      return sealed(effectOf(effects, "effect/sealSignal"));
    case "awaitingReply": {
      const outcome = { tag: "envelope", envelope: ENVELOPE, remoteAddress: PUBLIC_IP } as const;
      return { type: "event/signalAnswered", attemptId, outcome };
    }
    case "openingReply":
      return { type: "event/envelopeOpened", attemptId, plaintext: answerTo(node, attemptId) };
    case "verifyingReply":
      return { type: "event/signatureChecked", attemptId, valid: true };
    default:
      return undefined;
  }
}

/** The right answer to an open dial of ours, or one with some fields changed. */
export function answerTo(
  node: TestNode,
  attemptId: AttemptId,
  changes: Partial<Extract<Reply, { tag: "answer" }>> = {},
): Uint8Array {
  return encode(replySchema, {
    tag: "answer",
    ...replyHead(node, attemptId),
    sdp: sdpText({ setup: "active" }),
    ...changes,
  });
}

export function rejectionOf(
  node: TestNode,
  attemptId: AttemptId,
  reason: number,
  retryAfterMs: number,
): Uint8Array {
  return encode(replySchema, { tag: "rejected", ...replyHead(node, attemptId), reason, retryAfterMs });
}

function replyHead(node: TestNode, attemptId: AttemptId) {
  const attempt = node.state.attempts.get(attemptId);
  assert(attempt?.peerId != null, "only a dial is replied to");
  return {
    version: 1,
    from: partyOf(attempt.peerId)?.publicKey ?? "",
    to: node.state.config.publicKey,
    nonce: attempt.nonce,
    offerHash: attempt.offerHash,
    issuedAt: BigInt(node.nowMs),
    signature: SIGNATURE,
  };
}
