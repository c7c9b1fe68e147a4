import type { SignalAction } from "../core/actions.ts";
import { addressGroup, placeAt } from "../core/address.ts";
import { remainingMs } from "../core/bans.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { encodeUtf8 } from "../core/codec/utf8.ts";
import { peerPublicKey } from "../core/identity.ts";
import type { AttemptId } from "../core/ids.ts";
import {
  DIAL_BACKOFF_MIN_MS,
  ENVELOPE_BYTES_MAX,
  RETRY_AFTER_MAX_S,
  SDP_BYTES_MAX,
  SIGNAL_AGE_MAX_MS,
} from "../core/limits.ts";
import type { DialAddress } from "../core/multiaddr.ts";
import { REJECTIONS } from "../core/reasons.ts";
import { drawHex } from "../core/rng.ts";
import { checkSdp, sdpWithCandidates } from "../core/sdp.ts";
import type { SignalOutcome } from "../core/services.ts";
import {
  type Reply,
  replySchema,
  SIGNAL_VERSION,
  sessionOf,
  signalDigest,
  unsignedOfferSchema,
} from "../core/signals.ts";
import type { Attempt, LivePeer, State, VerifyingReply } from "../core/state.ts";
import { holdSlot, mayBeLocal, startAttempt } from "./attempts.ts";
import { proveTarget } from "./book/proof.ts";
import { bannedUntil, closedUntil, restsUntil } from "./penalties.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { acceptDiscovered } from "./signaling/dialer.ts";
import { attemptOf, livePeer, updateAttempt } from "./state.ts";
import { redialAfter } from "./targets.ts";

/** The dialer's side of section 3: from an address to an applied answer. Each function is one step of it. */

/** How long a dial waits that found every slot taken. */
const FULL_WAIT_MS = 10_000;

export const dialing: Rules<Extract<SignalAction, { type: `dial/${string}` }>> = {
  "dial/start": {
    enabled: (state, { address }) => {
      const peerId = state.targets.get(address)?.address.peerId;
      // A target whose peer is live is dialed again when that connection ends.
      return peerId !== undefined && !state.stopping && livePeer(state, peerId) === undefined;
    },
    reduce: (draft, { address }, context) => {
      const target = draft.targets.get(address);
      if (target === undefined) return;
      const { peerId } = target.address;
      if (draft.peers.get(peerId)?.dialing) {
        redialAfter(draft, address, target, DIAL_BACKOFF_MIN_MS);
        return;
      }
      const shutOutUntilMs = Math.max(
        bannedUntil(draft, peerId),
        restsUntil(draft, peerId),
        closedUntil(draft, addressGroup(target.address.host)),
      );
      if (shutOutUntilMs > 0) {
        redialAfter(draft, address, target, shutOutUntilMs - draft.timeMs);
      } else if (!draft.peers.has(peerId) && draft.peers.size >= draft.config.peersMax) {
        redialAfter(draft, address, target, FULL_WAIT_MS);
      } else {
        startDial(draft, target.address, context);
      }
    },
  },

  "dial/relayed": {
    enabled: (state, { attemptId, envelope }) => {
      const attempt = state.attempts.get(attemptId);
      if (attempt?.direction !== "outgoing" || attempt.via === null) return false;
      return envelope === null ? isSignaling(attempt) : attempt.phase.tag === "awaitingReply";
    },
    reduce: (draft, { attemptId, envelope }, context) => {
      const attempt = attemptOf(draft, attemptId);
      if (envelope === null) fail(attemptId, "the relay brought no answer", context);
      else
        openReply(
          draft,
          attempt,
          { tag: "envelope", envelope, remoteAddress: attempt.remote?.address ?? "" },
          context,
        );
    },
  },
};

/** Only where there is a slot for it, and its key is not being dialed. */
export function startDial(
  draft: StateDraft,
  target: DialAddress,
  { effect }: Context,
  isVerification = false,
): void {
  const { peerId } = target;
  const attemptId = startAttempt(draft, {
    direction: "outgoing",
    phase: { tag: "offering" },
    peerId,
    target,
    remote: null,
    requestId: null,
    via: null,
    nonce: drawHex(draft, 16),
  });
  holdSlot(draft, peerId, "dialing", attemptId);
  updateAttempt(draft, attemptId, (attempt) => {
    attempt.hasTransport = true;
    attempt.isVerification = isVerification;
  });
  effect({ type: "effect/createOffer", attemptId });
}

export function sealOffer(draft: StateDraft, attempt: Attempt, sdp: string, context: Context): void {
  if (attempt.peerId === null) return;
  const sdpBytes = encodeUtf8(sdp).length;
  if (sdpBytes > SDP_BYTES_MAX) {
    fail(attempt.id, `our own SDP has ${sdpBytes} bytes, more than ${SDP_BYTES_MAX}`, context);
    return;
  }
  const { chainId, publicKey, listen } = draft.config;
  const recipient = peerPublicKey(attempt.peerId);
  const unsigned = encode(unsignedOfferSchema, {
    version: SIGNAL_VERSION,
    chainId,
    from: publicKey,
    to: recipient,
    nonce: attempt.nonce,
    issuedAt: BigInt(draft.timeMs),
    sdp,
    listen,
  });
  updateAttempt(draft, attempt.id, (changed) => {
    changed.phase = { tag: "sealingOffer" };
    changed.issuedAtMs = draft.timeMs;
  });
  const prefix = new Uint8Array();
  context.effect({
    type: "effect/sealSignal",
    attemptId: attempt.id,
    label: "pollen/offer/1",
    unsigned,
    prefix,
    recipient,
  });
}

export function postOffer(
  draft: StateDraft,
  attempt: Attempt,
  offerHash: string,
  envelope: Uint8Array,
  context: Context,
): void {
  const { target, via } = attempt;
  if (via !== null && !acceptDiscovered(draft, attempt, envelope, context)) {
    fail(attempt.id, "the relay is no longer waiting for the offer", context);
    return;
  }
  updateAttempt(draft, attempt.id, (changed) => {
    changed.phase = { tag: "awaitingReply" };
    changed.offerHash = offerHash;
  });
  if (target !== null)
    context.effect({ type: "effect/postSignal", attemptId: attempt.id, address: target, envelope });
}

export function openReply(
  draft: StateDraft,
  attempt: Attempt,
  outcome: SignalOutcome,
  context: Context,
): void {
  switch (outcome.tag) {
    case "failed":
      fail(attempt.id, outcome.error, context);
      return;
    case "refused": {
      // Unsigned: a middlebox must not be able to stop the dialing for good.
      const retryAfterS = Math.min(RETRY_AFTER_MAX_S, outcome.retryAfterS ?? 0);
      fail(attempt.id, `HTTP status ${outcome.status}`, context, null, 1_000 * retryAfterS);
      return;
    }
    case "envelope": {
      // The host may have been a name.
      const remote = placeAt(outcome.remoteAddress);
      const closedMs = remainingMs(closedUntil(draft, remote.group), draft.timeMs);
      if (closedMs > 0) {
        fail(attempt.id, `the operator has banned ${remote.group}`, context, null, closedMs);
        return;
      }
      updateAttempt(draft, attempt.id, (changed) => {
        changed.phase = { tag: "openingReply" };
        changed.remote = remote;
      });
      const { envelope } = outcome;
      context.effect({ type: "effect/openEnvelope", attemptId: attempt.id, kind: "answer", envelope });
    }
  }
}

export function verifyReply(
  draft: StateDraft,
  attempt: Attempt,
  plaintext: Uint8Array | null,
  context: Context,
): void {
  const checked = checkReply(draft, attempt, plaintext);
  if (checked.tag === "wrong") {
    fail(attempt.id, checked.detail, context);
    return;
  }
  const { reply, signed } = checked;
  const verifying: VerifyingReply =
    reply.tag === "answer"
      ? { tag: "answer", sdp: reply.sdp, session: sessionOf(attempt.offerHash, signed) }
      : { tag: "rejected", reason: reply.reason, retryAfterMs: reply.retryAfterMs };
  updateAttempt(draft, attempt.id, (changed) => {
    changed.phase = { tag: "verifyingReply", reply: verifying };
  });
  context.effect({
    type: "effect/verifySignature",
    attemptId: attempt.id,
    publicKey: reply.from,
    digest: signalDigest(reply.tag === "answer" ? "pollen/answer/1" : "pollen/reject/1", signed),
    signature: reply.signature,
  });
}

export function applyReply(
  draft: StateDraft,
  attempt: Attempt,
  reply: VerifyingReply,
  isSigned: boolean,
  context: Context,
): void {
  if (!isSigned) {
    fail(attempt.id, "the reply has a bad signature", context);
  } else if (reply.tag === "rejected") {
    const rejection = REJECTIONS[reply.reason] ?? "internal";
    const { target } = attempt;
    // Its key has signed at this address, and we have a connection with it: what was to be proven.
    if (rejection === "alreadyConnected" && target !== null && liveOf(draft, attempt) !== undefined)
      proveTarget(draft, target, !attempt.isVerification);
    fail(attempt.id, `refused: ${rejection}`, context, rejection, reply.retryAfterMs);
  } else if (attempt.target !== null && attempt.isVerification) {
    // The verification changes nothing else: who came by itself must not become a peer of our choice by this.
    proveTarget(draft, attempt.target, false);
    fail(attempt.id, "dialed only to verify its address, which is right", context, "alreadyConnected");
  } else {
    const checked = checkSdp(reply.sdp, "answer", mayBeLocal(draft, attempt));
    if (checked.tag === "bad") {
      fail(attempt.id, checked.detail, context);
      return;
    }
    updateAttempt(draft, attempt.id, (changed) => {
      changed.phase = { tag: "connecting", candidates: [] };
      changed.session = reply.session;
      changed.fingerprint = checked.fingerprint;
    });
    const sdp = sdpWithCandidates(checked.bare, checked.candidates);
    context.effect({ type: "effect/applyAnswer", attemptId: attempt.id, sdp });
  }
}

const liveOf = (state: State, { peerId }: Attempt): LivePeer | undefined =>
  peerId === null ? undefined : livePeer(state, peerId);

const isSignaling = ({ phase: { tag } }: Attempt): boolean =>
  tag === "offering" || tag === "sealingOffer" || tag === "awaitingReply";

/** |now - issuedAt| <= 60 s; u64 times beyond 2^53 are never fresh, so nothing is lost by comparing as bigint. */
export function isFresh(timeMs: number, issuedAt: bigint): boolean {
  const age = BigInt(timeMs) - issuedAt;
  return age <= BigInt(SIGNAL_AGE_MAX_MS) && -age <= BigInt(SIGNAL_AGE_MAX_MS);
}

function fail(
  attemptId: AttemptId,
  detail: string,
  { propose }: Context,
  rejection: (typeof REJECTIONS)[number] | null = null,
  retryAfterMs = 0,
): void {
  // What ended it in the same step may be ahead: then it has failed already.
  propose({ type: "attempt/fail", attemptId, detail, rejection, retryAfterMs });
}

type CheckedReply =
  | { readonly tag: "reply"; readonly reply: Reply; readonly signed: Uint8Array }
  | { readonly tag: "wrong"; readonly detail: string };

/** Everything the dialer checks of a Reply but its signature: that it is the one to this very offer (P02). */
function checkReply(state: State, attempt: Attempt, plaintext: Uint8Array | null): CheckedReply {
  if (plaintext === null) return { tag: "wrong", detail: "the reply cannot be opened" };
  const decoded = decode(replySchema, plaintext, ENVELOPE_BYTES_MAX);
  if (decoded.tag === "failed")
    return { tag: "wrong", detail: `the reply is ${decoded.reason}: ${decoded.detail}` };
  const reply = decoded.value;
  const checks = {
    version: reply.version === SIGNAL_VERSION,
    from: attempt.peerId !== null && reply.from === peerPublicKey(attempt.peerId),
    to: reply.to === state.config.publicKey,
    attempt: reply.nonce === attempt.nonce,
    offerHash: reply.offerHash === attempt.offerHash,
    issuedAt: isFresh(state.timeMs, reply.issuedAt),
  };
  const wrong = Object.entries(checks).filter(([, holds]) => !holds);
  if (wrong.length > 0) {
    return { tag: "wrong", detail: `the reply has a wrong ${wrong.map(([field]) => field).join(", ")}` };
  }
  return { tag: "reply", reply, signed: plaintext.subarray(REPLY_TAG_BYTES) };
}

/** The tag of a Reply precedes the signed struct. */
const REPLY_TAG_BYTES = 1;
