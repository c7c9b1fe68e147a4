import type { Input } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import { concatBytes, type Hex, toHex, uintBytes } from "../core/bytes.ts";
import { PROTOCOL_VERSION } from "../core/channels/control.ts";
import { CHANNELS, type ChannelMessage, type ChannelName, encodeMessage } from "../core/channels/table.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import type { AttemptId, PeerId, RequestId } from "../core/ids.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { REJECTIONS, type Rejection } from "../core/reasons.ts";
import { envelopeBytes, offerSchema, replySchema, SIGNAL_VERSION, SIGNATURE_BYTES } from "../core/signals.ts";
import type { Attempt, State } from "../core/state.ts";
import { nextDeadline, step } from "../reducers/step.ts";
import type { Clock } from "./sim-clock.ts";
import type { Identity } from "./sim-identity.ts";
import { describe } from "./sim-sdp.ts";

/**
 * One production core in a world that runs no other. Whoever it meets is a key, an address and a few lines that
 * answer; nobody signs, seals or connects: the core is told what came of it. So minutes of a node among hundreds of
 * others cost a fraction of a second.
 */
export interface LoneCore {
  readonly state: State;
  readonly give: (input: Input) => void;
  readonly runUntil: (timeMs: number) => void;
  /** Somebody dials the core. @param refused is called if it is not taken in */
  readonly knock: (who: Stranger, refused: () => void) => void;
  readonly say: (attemptId: AttemptId, said: ChannelMessage) => void;
  /** The other side is gone. */
  readonly hangUp: (attemptId: AttemptId) => void;
  /** The process ends, and its connections with it. */
  readonly kill: () => void;
}

/** Anybody but the core. */
export interface Stranger {
  readonly identity: Identity;
  readonly address: DialAddress;
}

export interface LoneWorld {
  readonly strangerOf: (peerId: PeerId) => Stranger;
  /** What becomes of a dial of the core: a connection, a signed refusal, or nothing. */
  readonly dialed: (who: Stranger) => "taken" | Rejection | "unreachable";
  readonly ready: (who: Stranger, attemptId: AttemptId) => void;
  /** Pings are answered already. */
  readonly heard: (who: Stranger, attemptId: AttemptId, said: ChannelMessage) => void;
  readonly ended: (who: Stranger, attemptId: AttemptId) => void;
}

/** To the rules of who is connected the other channels mean nothing. */
const CHANNELS_USED: readonly ChannelName[] = ["control", "signaling/discovery", "rpc"];
const CHANNEL_BITS_USED = CHANNELS_USED.reduce((bits, name) => bits | (1 << CHANNELS[name].id), 0);
const LATENCY_MS = 50;

const SIGNATURE = new Uint8Array(SIGNATURE_BYTES);
/** What everybody can open, with whatever is in it. */
export const SEALED = { ephemeral: new Uint8Array(32), nonce: new Uint8Array(12), ciphertext: SIGNATURE };
const ENVELOPE = envelopeBytes(SEALED);
const FINGERPRINT: Hex = "ab".repeat(32);
const OFFERED = describe({ ufrag: "ufrag", fingerprint: FINGERPRINT, answers: null }, "50.1.1.1", 7_000);
const ANSWERED = describe({ ufrag: "ufrag", fingerprint: FINGERPRINT, answers: "ufrag" }, "50.1.1.1", 7_000);

export function createLoneCore(start: State, clock: Clock, world: LoneWorld): LoneCore {
  let state = start;
  let numbers = 0;
  let isRunning = false;
  let isDead = false;
  const inputs: Input[] = [];
  const requests = new Map<RequestId, { who: Stranger; refused: () => void; attemptId: AttemptId | null }>();
  const replies = new Map<AttemptId, "taken" | Rejection>();
  const connected = new Map<AttemptId, Stranger>();

  /** What an input causes comes after all that was there before. */
  function give(input: Input): void {
    if (isDead) return;
    inputs.push(input);
    if (isRunning) return;
    isRunning = true;
    for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
      const { state: after, effects } = step(state, next, clock.nowMs);
      state = after;
      for (const effect of effects) run(effect);
    }
    isRunning = false;
  }

  const attemptOf = (attemptId: AttemptId): Attempt => {
    const attempt = state.attempts.get(attemptId);
    assert(attempt !== undefined, "effects are about attempts that exist");
    return attempt;
  };

  function run(effect: Effect): void {
    switch (effect.type) {
      case "effect/createOffer":
        give({ type: "event/localDescription", attemptId: effect.attemptId, sdp: OFFERED });
        return;
      case "effect/createAnswer":
        give({ type: "event/localDescription", attemptId: effect.attemptId, sdp: ANSWERED });
        return;
      case "effect/sealSignal": {
        const signed = concatBytes(effect.unsigned, SIGNATURE);
        give({ type: "event/signalSealed", attemptId: effect.attemptId, signed, envelope: ENVELOPE });
        return;
      }
      case "effect/verifySignature":
        give({ type: "event/signatureChecked", attemptId: effect.attemptId, valid: true });
        return;
      case "effect/openEnvelope": {
        const attempt = attemptOf(effect.attemptId);
        const plaintext = effect.kind === "offer" ? offerIn(attempt) : replyTo(attempt);
        give({ type: "event/envelopeOpened", attemptId: effect.attemptId, plaintext });
        return;
      }
      case "effect/postSignal":
        post(effect.attemptId, effect.address);
        return;
      case "effect/replySignal":
        takeReply(effect.requestId, effect.reply.tag === "envelope");
        return;
      case "effect/applyAnswer":
      case "effect/addCandidates":
        connect(effect.attemptId);
        return;
      case "effect/send":
        hear(effect.attemptId, effect);
        return;
      case "effect/close":
        hangUp(effect.attemptId);
        return;
      default:
    }
  }

  function offerIn({ id, requestId }: Attempt): Uint8Array {
    const request = requestId === null ? undefined : requests.get(requestId);
    assert(request !== undefined, "an offer is in a request");
    request.attemptId = id;
    const { identity, address } = request.who;
    return encode(offerSchema, {
      version: SIGNAL_VERSION,
      chainId: state.config.chainId,
      from: identity.publicKey,
      to: state.config.publicKey,
      nonce: toHex(uintBytes(numbers++, 16)),
      issuedAt: BigInt(clock.nowMs),
      sdp: OFFERED,
      listen: formatMultiaddr(address),
      signature: SIGNATURE,
    });
  }

  function replyTo({ id, peerId, nonce, offerHash }: Attempt): Uint8Array {
    assert(peerId !== null, "only dials are replied to");
    const reply = replies.get(id) ?? "taken";
    replies.delete(id);
    const head = {
      version: SIGNAL_VERSION,
      from: world.strangerOf(peerId).identity.publicKey,
      to: state.config.publicKey,
      nonce,
      offerHash,
      issuedAt: BigInt(clock.nowMs),
      signature: SIGNATURE,
    };
    if (reply === "taken") return encode(replySchema, { tag: "answer", ...head, sdp: ANSWERED });
    const reason = REJECTIONS.indexOf(reply);
    return encode(replySchema, { tag: "rejected", ...head, reason, retryAfterMs: 0 });
  }

  function post(attemptId: AttemptId, { peerId, host }: DialAddress): void {
    const reply = world.dialed(world.strangerOf(peerId));
    if (reply !== "unreachable") replies.set(attemptId, reply);
    const outcome =
      reply === "unreachable"
        ? ({ tag: "failed", error: "connection refused" } as const)
        : ({ tag: "envelope", envelope: ENVELOPE, remoteAddress: host } as const);
    clock.after(LATENCY_MS, () => give({ type: "event/signalAnswered", attemptId, outcome }));
  }

  function takeReply(requestId: RequestId, isSealed: boolean): void {
    const request = requests.get(requestId);
    requests.delete(requestId);
    if (request === undefined) return;
    const { who, refused, attemptId } = request;
    const isTaken =
      isSealed && attemptId !== null && state.attempts.get(attemptId)?.phase.tag === "connecting";
    if (isTaken) connected.set(attemptId, who);
    else refused();
  }

  function connect(attemptId: AttemptId): void {
    const { peerId, session } = attemptOf(attemptId);
    assert(peerId !== null, "both sides know each other by now");
    const who = world.strangerOf(peerId);
    connected.set(attemptId, who);
    const remoteAddress = who.address.host;
    give({ type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress });
    for (const channel of CHANNELS_USED) give({ type: "event/channelOpened", attemptId, channel });
    const hello = {
      tag: "hello",
      version: PROTOCOL_VERSION,
      session,
      userAgent: "stranger",
      channels: CHANNEL_BITS_USED,
    } as const;
    say(attemptId, { channel: "control", message: hello });
    world.ready(who, attemptId);
  }

  function say(attemptId: AttemptId, said: ChannelMessage): void {
    give({ type: "event/message", attemptId, channel: said.channel, bytes: encodeMessage(said) });
  }

  function hear(attemptId: AttemptId, said: ChannelMessage): void {
    const who = connected.get(attemptId);
    if (who === undefined) return;
    if (said.channel === "control" && said.message.tag === "ping")
      say(attemptId, { channel: "control", message: { tag: "pong", n: said.message.n } });
    else world.heard(who, attemptId, said);
  }

  function hangUp(attemptId: AttemptId): void {
    give({ type: "event/connectionClosed", attemptId, error: null });
    const who = connected.get(attemptId);
    if (connected.delete(attemptId) && who !== undefined) world.ended(who, attemptId);
  }

  return {
    get state() {
      return state;
    },
    give,
    say,
    hangUp: (attemptId) => {
      if (connected.has(attemptId)) hangUp(attemptId);
    },
    knock: (who, refused) => {
      const requestId = ++numbers as RequestId;
      requests.set(requestId, { who, refused, attemptId: null });
      const remoteAddress = who.address.host;
      give({ type: "event/signalReceived", requestId, remoteAddress, envelope: ENVELOPE });
    },
    kill: () => {
      isDead = true;
      for (const [attemptId, who] of [...connected]) {
        connected.delete(attemptId);
        world.ended(who, attemptId);
      }
    },
    runUntil: (timeMs) => {
      for (;;) {
        const dueMs = nextDeadline(state) ?? Number.POSITIVE_INFINITY;
        if (clock.runNext(Math.min(dueMs, timeMs))) continue;
        if (dueMs > timeMs) break;
        clock.advanceTo(dueMs);
        give({ type: "tick" });
      }
      clock.advanceTo(timeMs);
    },
  };
}
