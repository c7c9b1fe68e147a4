import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Action, Event, Input } from "../core/actions.ts";
import { assert } from "../core/assert.ts";
import { ascii, concatBytes, type Hex, toHex, uintBytes } from "../core/bytes.ts";
import type { TransactionInfo, TransactionVerdict } from "../core/chain.ts";
import { type ControlMessage, controlSchema } from "../core/channels/control.ts";
import { type RpcMessage, rpcSchema } from "../core/channels/rpc.ts";
import { CHANNEL_BITS, CHANNEL_NAMES, type ChannelName } from "../core/channels/table.ts";
import { type TransactionMessage, transactionSchema } from "../core/channels/transaction.ts";
import { encode } from "../core/codec/codec.ts";
import type { Effect, Outgoing } from "../core/effects.ts";
import { itemHash } from "../core/hash.ts";
import { toPeerId } from "../core/identity.ts";
import type { AttemptId, Hash, PeerId, RequestId } from "../core/ids.ts";
import type { StepResult } from "../core/kernel.ts";
import { HALF_OPEN_MAX, PEERS_MAX_DEFAULT } from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { REASONS, type Reason } from "../core/reasons.ts";
import { type Offer, offerSchema, type Reply, replySchema, SIGNATURE_BYTES } from "../core/signals.ts";
import { type AdmissionLimits, type Config, initialState, type Phase, type State } from "../core/state.ts";
import { nextDeadline, step } from "./step.ts";

// What the tests of the core share: nodes and peers in any state, brought there by inputs alone. Results of crypto
// are events like others, so no secret key is needed; public keys are real ones, since nodes check that.

export const START_MS = 1_800_000_000_000;
export const CHAIN_ID: Hex = "c4".repeat(32);
export const SIGNATURE = new Uint8Array(SIGNATURE_BYTES);
const ENVELOPE = Uint8Array.of(1);

export interface Party {
  readonly publicKey: Hex;
  readonly peerId: PeerId;
}

const parties = new Map<string, Party>();

/** The same name is always the same key; `us` is the node under test. */
export function party(name: string): Party {
  const known = parties.get(name);
  if (known !== undefined) return known;
  const key = ed25519.getPublicKey(sha256(ascii(`party ${name}`)));
  const made = { publicKey: toHex(key), peerId: toPeerId(key) };
  parties.set(name, made);
  return made;
}

/** Buckets that never run dry, for tests of what comes after them. */
export const UNLIMITED: AdmissionLimits = {
  ip: { burst: 1e9, perSecond: 1e9 },
  group: { burst: 1e9, perSecond: 1e9 },
  global: { burst: 1e9, perSecond: 1e9 },
  halfOpenMax: HALF_OPEN_MAX,
  halfOpenPerGroupMax: HALF_OPEN_MAX,
};

export function configOf(name: string, changes: Partial<Config> = {}): Config {
  return {
    ...party(name),
    chainId: CHAIN_ID,
    userAgent: "pollen/test",
    listen: null,
    peersMax: PEERS_MAX_DEFAULT,
    allowPrivateCandidates: false,
    admission: UNLIMITED,
    ...changes,
  };
}

export type Result = StepResult<State, Action, Effect>;

/** A node and its clock. Everything it is told goes through `step`. */
export interface TestNode {
  readonly state: State;
  readonly nowMs: number;
  readonly feed: (input: Input) => Result;
  /** Time passes; what is due happens when it is due. @returns all effects of it */
  readonly pass: (ms: number) => readonly Effect[];
  /** The clock moves and the node sleeps through it: the next input finds everything overdue. */
  readonly freeze: (ms: number) => void;
  /** Another node with the same clock, at this state. */
  readonly at: (state: State) => TestNode;
}

/** @param look is shown every input with what came of it */
export const testNode = (
  changes: Partial<Config> = {},
  name = "us",
  look: (input: Input, result: Result) => void = () => {},
): TestNode => nodeAt(initialState(configOf(name, changes), "5e".repeat(32), START_MS), START_MS, look);

function nodeAt(start: State, startMs: number, look: (input: Input, result: Result) => void): TestNode {
  let [state, nowMs] = [start, startMs];
  const feed = (input: Input): Result => {
    const result = step(state, input, nowMs);
    state = result.state;
    look(input, result);
    return result;
  };
  return {
    get state() {
      return state;
    },
    get nowMs() {
      return nowMs;
    },
    feed,
    pass: (ms) => {
      const [endMs, effects] = [nowMs + ms, [] as Effect[]];
      for (
        let dueMs = nextDeadline(state);
        dueMs !== undefined && dueMs <= endMs;
        dueMs = nextDeadline(state)
      ) {
        nowMs = Math.max(nowMs, dueMs);
        effects.push(...feed({ type: "tick" }).effects);
      }
      nowMs = endMs;
      return effects;
    },
    freeze: (ms) => {
      nowMs += ms;
    },
    at: (other) => nodeAt(other, nowMs, look),
  };
}

export function effectsOf<Type extends Effect["type"]>(
  effects: readonly Effect[],
  type: Type,
): readonly Extract<Effect, { type: Type }>[] {
  return effects.filter((effect): effect is Extract<Effect, { type: Type }> => effect.type === type);
}

/** The one effect of its type. */
export function effectOf<Type extends Effect["type"]>(
  effects: readonly Effect[],
  type: Type,
): Extract<Effect, { type: Type }> {
  const [only, ...others] = effectsOf(effects, type);
  assert(only !== undefined && others.length === 0, `there is one ${type} among ${typesOf(effects)}`);
  return only;
}

const typesOf = (effects: readonly Effect[]): string => effects.map(({ type }) => type).join(", ");

/** What was sent on a connection. */
export const sentOn = (effects: readonly Effect[], attemptId: AttemptId): readonly Outgoing[] =>
  effectsOf(effects, "effect/send")
    .filter((effect) => effect.attemptId === attemptId)
    .map(({ channel, message }) => ({ channel, message }) as Outgoing);

/** `reason banMs` of each Goodbye that was sent. */
export const goodbyes = (effects: readonly Effect[]): readonly string[] =>
  effectsOf(effects, "effect/send").flatMap(({ message }) =>
    message.tag === "goodbye" ? [`${REASONS[message.reason]} ${message.banMs}`] : [],
  );

/** `by reason` of each live peer that ended. */
export const endings = (actions: readonly Action[]): readonly string[] =>
  actions.flatMap((action) => (action.type === "connection/ended" ? [`${action.by} ${action.reason}`] : []));

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

let requests = 0;
export const freshRequestId = (): RequestId => ++requests as RequestId;

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

/** What the crypto service makes of a request to seal. */
export const sealed = (seal: Extract<Effect, { type: "effect/sealSignal" }>): Event => ({
  type: "event/signalSealed",
  attemptId: seal.attemptId,
  signed: concatBytes(seal.unsigned, SIGNATURE),
  envelope: concatBytes(seal.prefix, seal.unsigned, SIGNATURE),
});

export const addressOf = ({ peerId }: Party, port = 7300): DialAddress => ({
  scheme: "http",
  hostKind: "ip4",
  host: PUBLIC_IP,
  port,
  peerId,
});

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
  const target = attempt?.target;
  assert(attempt !== undefined && target != null, "only a dial is replied to");
  return {
    version: 1,
    from: [...parties.values()].find(({ peerId }) => peerId === target.peerId)?.publicKey ?? "",
    to: node.state.config.publicKey,
    nonce: attempt.nonce,
    offerHash: attempt.offerHash,
    issuedAt: BigInt(node.nowMs),
    signature: SIGNATURE,
  };
}

export interface TestPeer extends Party {
  readonly attemptId: AttemptId;
}

/** The transport of an attempt in `connecting` is up and these channels are open. */
export function openTransport(
  node: TestNode,
  attemptId: AttemptId,
  channels: readonly ChannelName[] = CHANNEL_NAMES,
): void {
  const remoteAddress = PUBLIC_IP;
  node.feed({ type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress });
  for (const channel of channels) node.feed({ type: "event/channelOpened", attemptId, channel });
}

export function sayHello(node: TestNode, attemptId: AttemptId, channels: number = CHANNEL_BITS): Result {
  const session = node.state.attempts.get(attemptId)?.session ?? "";
  return say(node, attemptId, {
    channel: "control",
    message: { tag: "hello", version: 1, session, userAgent: "peer", channels },
  });
}

/** A live peer that dialed us. */
export function readyPeer(node: TestNode, name: string, options: OfferOptions = {}): TestPeer {
  const { attemptId, publicKey, peerId } = offerFrom(node, party(name), options);
  openTransport(node, attemptId);
  sayHello(node, attemptId);
  assert(node.state.peers.get(peerId)?.live?.attemptId === attemptId, "the peer is ready");
  return { attemptId, publicKey, peerId };
}

/** A live peer that we dialed. */
export function dialedPeer(node: TestNode, name: string): TestPeer {
  const { attemptId, publicKey, peerId } = dialTo(node, party(name));
  openTransport(node, attemptId);
  sayHello(node, attemptId);
  assert(node.state.peers.get(peerId)?.live?.attemptId === attemptId, "the peer is ready");
  return { attemptId, publicKey, peerId };
}

export const liveOf = (node: TestNode, { peerId }: Party) => node.state.peers.get(peerId)?.live ?? undefined;

export type Said =
  | { readonly channel: "control"; readonly message: ControlMessage }
  | { readonly channel: "transaction"; readonly message: TransactionMessage }
  | { readonly channel: "rpc"; readonly message: RpcMessage };

export function encodeSaid(said: Said): Uint8Array {
  switch (said.channel) {
    case "control":
      return encode(controlSchema, said.message);
    case "transaction":
      return encode(transactionSchema, said.message);
    case "rpc":
      return encode(rpcSchema, said.message);
  }
}

export const say = (node: TestNode, attemptId: AttemptId, said: Said): Result =>
  sayBytes(node, attemptId, said.channel, encodeSaid(said));

export const sayBytes = (
  node: TestNode,
  attemptId: AttemptId,
  channel: ChannelName,
  bytes: Uint8Array,
): Result => node.feed({ type: "event/message", attemptId, channel, bytes });

export const control = (message: ControlMessage): Said => ({ channel: "control", message });

export const getNext = (
  seq: number,
  changes: Partial<Extract<TransactionMessage, { tag: "getNext" }>> = {},
): Said => ({
  channel: "transaction",
  message: { tag: "getNext", limit: 32, window: { seq, floor: null, band: null }, resume: null, ...changes },
});

export const refloor = (seq: number): Said => ({
  channel: "transaction",
  message: { tag: "refloor", window: { seq, floor: null, band: null } },
});

export const infos = (seq: number, items: readonly TransactionInfo[]): Said => ({
  channel: "transaction",
  message: { tag: "infos", cursor: { epoch: 1n, next: 1n }, seq, rest: null, items },
});

export const request = (id: number, body: Extract<RpcMessage, { tag: "request" }>["body"]): Said => ({
  channel: "rpc",
  message: { tag: "request", id, body },
});

export const response = (id: number, body: Extract<RpcMessage, { tag: "response" }>["body"]): Said => ({
  channel: "rpc",
  message: { tag: "response", id, body },
});

export interface Item {
  readonly bytes: Uint8Array;
  readonly info: TransactionInfo;
}

/** A transaction as far as peers care: bytes with a hash, and what is said of them. */
export function itemOf(name: string, fee = 100n, nonce = 0, sender = name): Item {
  const bytes = ascii(`item ${name}`);
  return {
    bytes,
    info: { hash: itemHash(bytes) as Hash, fee, sender: toHex(sha256(ascii(sender))), nonce },
  };
}

export const valid = ({ info }: Item): TransactionVerdict => ({ tag: "valid", info });
export const INVALID: TransactionVerdict = { tag: "invalid", detail: "bad" };
export const NOT_NOW: TransactionVerdict = { tag: "notNow", detail: "later" };

/** `seq` of the permit that the peer holds. */
export function permitOf(node: TestNode, peer: Party): number {
  const ours = liveOf(node, peer)?.transaction?.ours;
  assert(ours?.tag === "permitGiven", "the peer holds a permit");
  return ours.windows.at(-1)?.seq ?? -1;
}

/** The peer announces these with the permit it holds. */
export const announce = (node: TestNode, peer: TestPeer, items: readonly Item[]): Result =>
  say(
    node,
    peer.attemptId,
    infos(
      permitOf(node, peer),
      items.map(({ info }) => info),
    ),
  );

/** Puts items into the pool as the operator would. */
export function submit(node: TestNode, items: readonly Item[]): readonly Effect[] {
  return items.flatMap((item) => {
    const { effects } = node.feed({
      type: "command/submitTransaction",
      requestId: freshRequestId(),
      bytes: item.bytes,
    });
    const { batchId } = effectOf(effects, "effect/verifyTransactions");
    return node.feed({ type: "event/transactionsVerified", batchId, verdicts: [valid(item)] }).effects;
  });
}

/** The rpc requests among the effects, of one connection. */
export const requestsTo = (effects: readonly Effect[], attemptId: AttemptId) =>
  sentOn(effects, attemptId).flatMap(({ channel, message }) =>
    channel === "rpc" && message.tag === "request" ? [message] : [],
  );

export const closeTransport = (node: TestNode, attemptId: AttemptId): Result =>
  node.feed({ type: "event/connectionClosed", attemptId, error: null });

/** How a peer ended by the last result: `reason`, or undefined. */
export const endReason = (result: Result): Reason | undefined =>
  result.actions.find((action) => action.type === "connection/ended")?.reason;
