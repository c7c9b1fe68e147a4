import type { SignalAction, SignalingEvent } from "../core/actions.ts";
import { placeAt } from "../core/address.ts";
import { remainingMs } from "../core/bans.ts";
import type { Hex } from "../core/bytes.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { encodeUtf8 } from "../core/codec/utf8.ts";
import { hexToPeerId, isPublicKey, peerPublicKey } from "../core/identity.ts";
import type { PeerId } from "../core/ids.ts";
import {
  CANDIDATES_HOLD_MS,
  DUPLICATE_PROBE_MS,
  ENVELOPE_BYTES_MAX,
  RELAYED_CANDIDATES_HOLD_MS,
  REPLAY_MEMORY_MS,
  RETRY_AFTER_MIN_S,
  SDP_BYTES_MAX,
} from "../core/limits.ts";
import { type DialAddress, parseMultiaddr } from "../core/multiaddr.ts";
import { REJECTIONS, type Rejection } from "../core/reasons.ts";
import { checkSdp, type SoundSdp } from "../core/sdp.ts";
import {
  type Offer,
  offerHash,
  offerSchema,
  REPLY_TAGS,
  SIGNAL_VERSION,
  sessionOf,
  signalDigest,
  unsignedAnswerSchema,
  unsignedRejectedSchema,
} from "../core/signals.ts";
import type { Attempt, CheckedOffer, State } from "../core/state.ts";
import { hasRoom, isHalfOpenFull, retryAfter, takeTokens } from "./admission-budgets.ts";
import { abandon, endAttempt, holdSlot, mayBeLocal, reply, startAttempt } from "./attempts.ts";
import { startPing } from "./channels/control.ts";
import { isFresh } from "./dialing.ts";
import { displace, isCrowdedOut } from "./displacement.ts";
import { bannedUntil, closedUntil, restsUntil, shutOutUntil } from "./penalties.ts";
import type { Context, Rules, StateDraft } from "./rules.ts";
import { attemptOf, forgetWake, livePeer, updateAttempt, updateLive, wakeAt } from "./state.ts";

/** The listener's side of section 3, cheapest check first (3.2). No connection object before all of them passed. */

type Received = Extract<SignalingEvent, { type: "event/signalReceived" }>;

export const admission: Rules<Extract<SignalAction, { type: `admission/${string}` }> | Received> = {
  "event/signalReceived": {
    enabled: () => true,
    reduce: (draft, { requestId, remoteAddress, envelope }, context) => {
      const { effect } = context;
      const remote = placeAt(remoteAddress);
      const closedMs = remainingMs(closedUntil(draft, remote.group), draft.timeMs);
      const waitS = closedMs > 0 ? closedMs / 1_000 : takeTokens(draft, remote);
      if (waitS > 0) {
        const reply = { tag: "rateLimited", retryAfterS: retryAfter(waitS) } as const;
        effect({ type: "effect/replySignal", requestId, reply });
        return;
      }
      const isRefused = draft.stopping || isCrowdedOut(draft, remote, context);
      if (isRefused || isHalfOpenFull(draft, remote)) {
        effect({
          type: "effect/replySignal",
          requestId,
          reply: { tag: "unavailable", retryAfterS: RETRY_AFTER_MIN_S },
        });
      } else {
        const attemptId = startAttempt(draft, {
          direction: "incoming",
          phase: { tag: "openingOffer" },
          peerId: null,
          target: null,
          remote,
          requestId,
          via: null,
          nonce: "",
        });
        effect({ type: "effect/openEnvelope", attemptId, kind: "offer", envelope });
      }
    },
  },

  "admission/accept": {
    enabled: (state, { attemptId }) => state.attempts.get(attemptId)?.phase.tag === "probing",
    reduce: (draft, { attemptId }, context) => {
      const attempt = attemptOf(draft, attemptId);
      if (attempt.phase.tag !== "probing" || attempt.peerId === null) return;
      const { fingerprint, bare, candidates } = attempt.phase.offer;
      updateAttempt(draft, attemptId, (changed) => {
        changed.phase = { tag: "answering", candidates };
        changed.fingerprint = fingerprint;
        changed.hasTransport = true;
      });
      context.effect({ type: "effect/createAnswer", attemptId, sdp: bare });
    },
  },

  "admission/reject": {
    enabled: (state, { attemptId }) => isUnanswered(state.attempts.get(attemptId)),
    reduce: (draft, { attemptId, to, rejection, retryAfterMs }, { effect }) => {
      const attempt = attemptOf(draft, attemptId);
      updateAttempt(draft, attemptId, (changed) => {
        changed.phase = { tag: "sealingRejection" };
      });
      const unsigned = encode(unsignedRejectedSchema, {
        version: SIGNAL_VERSION,
        from: draft.config.publicKey,
        to,
        nonce: attempt.nonce,
        offerHash: attempt.offerHash,
        issuedAt: BigInt(draft.timeMs),
        reason: REJECTIONS.indexOf(rejection),
        retryAfterMs,
      });
      const prefix = REPLY_TAGS.rejected;
      effect({
        type: "effect/sealSignal",
        attemptId,
        label: "pollen/reject/1",
        unsigned,
        prefix,
        recipient: to,
      });
    },
  },

  "admission/endProbe": {
    enabled: (state, { attemptId }) => state.attempts.get(attemptId)?.phase.tag === "probing",
    reduce: (draft, { attemptId, answered }, { propose }) => {
      const attempt = attemptOf(draft, attemptId);
      if (attempt.phase.tag !== "probing" || attempt.peerId === null) return;
      updateLive(draft, attempt.peerId, (live) => {
        live.probe = null;
      });
      forgetWake(draft, `probe ${attemptId}`);
      const { from } = attempt.phase.offer;
      if (!answered) propose({ type: "admission/accept", attemptId });
      else
        propose({
          type: "admission/reject",
          attemptId,
          to: from,
          rejection: "alreadyConnected",
          retryAfterMs: 0,
        });
    },
  },

  "admission/forgetReplay": {
    enabled: (state, { key }) => state.admission.replays.has(key),
    reduce: (draft, { key }) => {
      draft.admission = { ...draft.admission, replays: draft.admission.replays.delete(key) };
    },
  },

  "admission/addCandidates": {
    enabled: (state, { attemptId }) => {
      const attempt = state.attempts.get(attemptId);
      return attempt?.phase.tag === "connecting" && !attempt.connected;
    },
    reduce: (draft, { attemptId }, { effect }) => {
      const { phase } = attemptOf(draft, attemptId);
      if (phase.tag !== "connecting") return;
      effect({ type: "effect/addCandidates", attemptId, candidates: phase.candidates });
    },
  },
};

/** Everything of an offer that needs no signature check, in the order of 3.2. */
export function checkOffer(
  draft: StateDraft,
  attempt: Attempt,
  plaintext: Uint8Array | null,
  context: Context,
): void {
  const decoded = plaintext === null ? undefined : decode(offerSchema, plaintext, ENVELOPE_BYTES_MAX);
  const isReadable = decoded?.tag === "decoded" && isAnswerable(decoded.value, attempt);
  if (plaintext === null || !isReadable) {
    reply(draft, attempt, { tag: "undecodable" }, context);
    endAttempt(draft, attempt, context);
    return;
  }
  const offer = decoded.value;
  updateAttempt(draft, attempt.id, (changed) => {
    changed.nonce = offer.nonce;
    changed.offerHash = offerHash(plaintext);
  });
  // A relayed offer says nothing of where it comes from: its sender's group is looked at once it is found out.
  const group = attempt.via === null ? (attempt.remote?.group ?? "") : "";
  const waitMs = remainingMs(shutOutUntil(draft, group, hexToPeerId(offer.from)), draft.timeMs);
  const rejection = cheapRejection(draft, offer) ?? (waitMs > 0 ? "banned" : null);
  if (rejection !== null) {
    context.dispatch({
      type: "admission/reject",
      attemptId: attempt.id,
      to: offer.from,
      rejection,
      retryAfterMs: rejection === "banned" ? waitMs : 0,
    });
    return;
  }
  updateAttempt(draft, attempt.id, (changed) => {
    changed.phase = { tag: "verifyingOffer", offer: { from: offer.from, sdp: offer.sdp } };
    changed.issuedAtMs = Number(offer.issuedAt);
    changed.listen = listenOf(offer);
  });
  const digest = signalDigest("pollen/offer/1", plaintext);
  const { from: publicKey, signature } = offer;
  context.effect({ type: "effect/verifySignature", attemptId: attempt.id, publicKey, digest, signature });
}

/** The rest of 3.2, with the sender known: the replay cache, bans, the SDP, capacity and duplicates. */
export function admitOffer(
  draft: StateDraft,
  attempt: Attempt,
  offer: CheckedOffer,
  isSigned: boolean,
  context: Context,
): void {
  const peerId = hexToPeerId(offer.from);
  let judged: Judged = isSigned ? judge(draft, attempt, offer, peerId) : refused("badSignature");
  const newcomer = { group: attempt.remote?.group ?? "", id: attempt.id, among: "all" } as const;
  if (judged.tag === "refused" && judged.rejection === "capacity" && displace(draft, newcomer, context))
    judged = judge(draft, attempt, offer, peerId);
  if (isSigned) rememberOffer(draft, offer.from, attempt.nonce);
  if (judged.tag === "refused") {
    const { rejection, untilMs = draft.timeMs } = judged;
    const retryAfterMs = remainingMs(untilMs, draft.timeMs);
    context.dispatch({
      type: "admission/reject",
      attemptId: attempt.id,
      to: offer.from,
      rejection,
      retryAfterMs,
    });
    return;
  }
  updateAttempt(draft, attempt.id, (changed) => {
    const { fingerprint, bare, candidates } = judged.sdp;
    changed.phase = { tag: "probing", offer: { from: offer.from, fingerprint, bare, candidates } };
    changed.peerId = peerId;
  });
  const older = draft.peers.get(peerId)?.answering ?? null;
  holdSlot(draft, peerId, "answering", attempt.id);
  if (older !== null) {
    abandon(older, "duplicate", "replaced by a newer offer of the same key", context);
  }
  const live = livePeer(draft, peerId);
  if (live === undefined) {
    context.dispatch({ type: "admission/accept", attemptId: attempt.id });
    return;
  }
  // Nothing about the live peer changes: it is only asked whether it is still there (3.3, P04).
  const n = startPing(peerId, live, context);
  updateLive(draft, peerId, (changed) => {
    changed.probe = { attemptId: attempt.id, n };
  });
  const endProbe = { type: "admission/endProbe", attemptId: attempt.id, answered: false } as const;
  wakeAt(draft, `probe ${attempt.id}`, draft.timeMs + DUPLICATE_PROBE_MS, endProbe);
}

export function sealAnswer(draft: StateDraft, attempt: Attempt, sdp: string, context: Context): void {
  if (attempt.peerId === null || attempt.phase.tag !== "answering") return;
  const sdpBytes = encodeUtf8(sdp).length;
  if (sdpBytes > SDP_BYTES_MAX) {
    const detail = `our own SDP has ${sdpBytes} bytes, more than ${SDP_BYTES_MAX}`;
    context.dispatch({
      type: "attempt/fail",
      attemptId: attempt.id,
      detail,
      rejection: null,
      retryAfterMs: 0,
    });
    return;
  }
  const { candidates } = attempt.phase;
  updateAttempt(draft, attempt.id, (changed) => {
    changed.phase = { tag: "sealingAnswer", candidates };
  });
  const recipient = peerPublicKey(attempt.peerId);
  const unsigned = encode(unsignedAnswerSchema, {
    version: SIGNAL_VERSION,
    from: draft.config.publicKey,
    to: recipient,
    nonce: attempt.nonce,
    offerHash: attempt.offerHash,
    issuedAt: BigInt(draft.timeMs),
    sdp,
  });
  const prefix = REPLY_TAGS.answer;
  context.effect({
    type: "effect/sealSignal",
    attemptId: attempt.id,
    label: "pollen/answer/1",
    unsigned,
    prefix,
    recipient,
  });
}

/** Hands the reply over. An answer starts the connection; candidates follow when the dialer is sure to have it. */
export function replySealed(
  draft: StateDraft,
  attempt: Attempt,
  signed: Uint8Array,
  envelope: Uint8Array,
  context: Context,
): void {
  const { phase, via } = attempt;
  reply(draft, attempt, { tag: "envelope", envelope }, context);
  updateAttempt(draft, attempt.id, (changed) => {
    changed.requestId = null;
  });
  if (phase.tag !== "sealingAnswer") {
    endAttempt(draft, attempt, context);
    return;
  }
  updateAttempt(draft, attempt.id, (changed) => {
    changed.phase = { tag: "connecting", candidates: phase.candidates };
    changed.session = sessionOf(attempt.offerHash, signed);
  });
  const action = { type: "admission/addCandidates", attemptId: attempt.id } as const;
  const holdMs = via === null ? CANDIDATES_HOLD_MS : RELAYED_CANDIDATES_HOLD_MS;
  wakeAt(draft, `candidates ${attempt.id}`, draft.timeMs + holdMs, action);
}

const isUnanswered = (attempt: Attempt | undefined): boolean =>
  attempt?.direction === "incoming" &&
  (attempt.requestId !== null || attempt.via !== null) &&
  attempt.phase.tag !== "sealingRejection";

/**
 * Whether a Rejected can be sealed for the sender. Offers of another version, of an invalid key, or of another key than
 * the relay said get HTTP 400, or no reply by the relay.
 */
const isAnswerable = ({ version, from }: Offer, { via }: Attempt): boolean =>
  version === SIGNAL_VERSION && isPublicKey(from) && (via === null || via.from === from);

function cheapRejection(state: State, offer: Offer): Rejection | null {
  const { chainId, publicKey } = state.config;
  if (offer.chainId !== chainId) return "chainMismatch";
  if (offer.to !== publicKey) return "notForMe";
  if (offer.from === publicKey) return "selfDial";
  if (!isFresh(state.timeMs, offer.issuedAt)) return "stale";
  if (state.admission.replays.has(replayKey(offer.from, offer.nonce))) return "replayed";
  return null;
}

/** It counts only if it names its sender (3.2). */
function listenOf({ listen, from }: Offer): DialAddress | null {
  const parsed = listen === null ? null : parseMultiaddr(listen);
  return parsed?.tag === "address" && peerPublicKey(parsed.address.peerId) === from ? parsed.address : null;
}

type Judged =
  | { readonly tag: "admitted"; readonly sdp: SoundSdp }
  | { readonly tag: "refused"; readonly rejection: Rejection; readonly untilMs?: number };

const refused = (rejection: Rejection): Judged => ({ tag: "refused", rejection });

function judge(state: State, attempt: Attempt, offer: CheckedOffer, peerId: PeerId): Judged {
  // Two copies of one offer may have been verified at the same time.
  if (state.admission.replays.has(replayKey(offer.from, attempt.nonce))) return refused("replayed");
  const bannedMs = bannedUntil(state, peerId);
  if (bannedMs > 0) return { tag: "refused", rejection: "banned", untilMs: bannedMs };
  const restsMs = restsUntil(state, peerId);
  if (restsMs > 0) return { tag: "refused", rejection: "rateLimited", untilMs: restsMs };
  const sdp = checkSdp(offer.sdp, "offer", mayBeLocal(state, attempt));
  if (sdp.tag === "bad") return refused("badSdp");
  if (livePeer(state, peerId)?.probe) {
    return { tag: "refused", rejection: "rateLimited", untilMs: state.timeMs + DUPLICATE_PROBE_MS };
  }
  return hasRoom(state, peerId) ? { tag: "admitted", sdp } : refused("capacity");
}

const replayKey = (from: Hex, nonce: Hex): string => `${from} ${nonce}`;

function rememberOffer(draft: StateDraft, from: Hex, nonce: Hex): void {
  const key = replayKey(from, nonce);
  const forgetMs = draft.timeMs + REPLAY_MEMORY_MS;
  draft.admission = { ...draft.admission, replays: draft.admission.replays.set(key, forgetMs) };
  wakeAt(draft, `replay ${key}`, forgetMs, { type: "admission/forgetReplay", key });
}
