import { describe, expect, test } from "vitest";
import type { Input } from "../core/actions.ts";
import {
  CHANNEL_NAMES,
  type ChannelMessage,
  type ChannelName,
  encodeMessage,
} from "../core/channels/table.ts";
import type { Effect } from "../core/effects.ts";
import type { AttemptId, RequestId } from "../core/ids.ts";
import { DUPLICATE_PROBE_MS } from "../core/limits.ts";
import type { SignalOutcome } from "../core/services.ts";
import { brokenInvariants } from "./invariants.ts";
import { control, say } from "./testing/messages.ts";
import { freshRequestId, type Party, party, type TestNode, testNode } from "./testing/node.ts";
import { closeTransport, liveOf, openTransport, readyPeer, sayHello } from "./testing/peers.ts";
import { randomOf } from "./testing/random.ts";
import { effectsOf, endings, goodbyes, type Result } from "./testing/results.ts";
import { addressOf, dialTo, FINGERPRINT, offerFrom, PUBLIC_IP, sdpText, sealed } from "./testing/signals.ts";

/** Two parties whose ids compare as said, with `us` being the greater or the smaller one. */
function other(isGreater: boolean): Party {
  const us = party("us").peerId;
  const name = ["p", "q", "r", "s", "t", "u", "v", "w"].find((one) => party(one).peerId > us === isGreater);
  if (name === undefined) throw new Error("there is such a party");
  return party(name);
}

const openAll = (node: TestNode, attemptId: AttemptId): Result => {
  openTransport(node, attemptId);
  return sayHello(node, attemptId);
};

describe("duplicates (3.3), seen from one end", () => {
  test.each([true, false])(
    "of opposite dials within 30 s the one dialed by the greater id stays (ours: %s)",
    (isOurs) => {
      for (const isOursFirst of [true, false]) {
        const node = testNode();
        const peer = other(!isOurs);
        const outgoing = dialTo(node, peer).attemptId;
        const incoming = offerFrom(node, peer).attemptId;
        const [first, second] = isOursFirst ? [outgoing, incoming] : [incoming, outgoing];
        openAll(node, first);
        expect(liveOf(node, peer)?.attemptId).toBe(first);
        const result = openAll(node, second);
        const [winner, loser] = isOurs ? [outgoing, incoming] : [incoming, outgoing];
        expect(goodbyes(result.effects)).toEqual(["duplicate 0"]);
        expect(liveOf(node, peer)?.attemptId).toBe(winner);
        expect(node.state.attempts.get(loser)?.phase.tag).toBe("closing");
        expect(node.state.offenders.size).toBe(0);
        expect(brokenInvariants(node.state)).toEqual([]);
      }
    },
  );

  test("of opposite dials more than 30 s apart the later stays, whoever dialed it", () => {
    for (const isGreater of [true, false]) {
      for (const [offsetMs, staysNew] of [
        [-30_000, undefined],
        [-30_001, false],
        [30_001, true],
      ] as const) {
        const node = testNode();
        const peer = other(isGreater);
        const outgoing = dialTo(node, peer).attemptId;
        const incoming = offerFrom(node, peer, {
          changes: { issuedAt: BigInt(node.nowMs + offsetMs) },
        }).attemptId;
        openAll(node, outgoing);
        openAll(node, incoming);
        const stays = staysNew ?? isGreater;
        expect(liveOf(node, peer)?.attemptId).toBe(stays ? incoming : outgoing);
      }
    }
  });

  test("of two dials of one side the later one stays, by its signed time, then by its nonce", () => {
    const cases = [
      [1, "00".repeat(16), true],
      [-1, "ff".repeat(16), false],
      [0, "ff".repeat(16), true],
      [0, "00".repeat(16), false],
    ] as const;
    for (const [offsetMs, nonce, isNewer] of cases) {
      const node = testNode();
      const peer = party("peer");
      const issuedAt = BigInt(node.nowMs);
      const live = readyPeer(node, "peer", { changes: { issuedAt, nonce: "77".repeat(16) } });
      const newcomer = offerFrom(node, peer, { changes: { issuedAt: issuedAt + BigInt(offsetMs), nonce } });
      const { attemptId } = newcomer;
      node.pass(DUPLICATE_PROBE_MS);
      // It answers, if too late for the newcomer: it is there.
      say(
        node,
        live.attemptId,
        control({ tag: "pong", n: liveOf(node, peer)?.control.awaitingPong?.n ?? 0 }),
      );
      node.feed({ type: "event/localDescription", attemptId, sdp: sdpText({ setup: "active" }) });
      const unsigned = new Uint8Array(40);
      node.feed({ type: "event/signalSealed", attemptId, signed: unsigned, envelope: unsigned });
      expect(liveOf(node, peer)?.attemptId).toBe(live.attemptId);
      openAll(node, attemptId);
      expect(liveOf(node, peer)?.attemptId).toBe(isNewer ? attemptId : live.attemptId);
      expect(node.state.peers.size).toBe(1);
      expect(brokenInvariants(node.state)).toEqual([]);
    }
  });

  test("one that leaves the ping of the probe unanswered gives way, whatever the signed values say", () => {
    const node = testNode();
    const peer = party("peer");
    const issuedAt = BigInt(node.nowMs);
    readyPeer(node, "peer", { changes: { issuedAt, nonce: "77".repeat(16) } });
    const { attemptId } = offerFrom(node, peer, { changes: { issuedAt: issuedAt - 1n } });
    node.pass(DUPLICATE_PROBE_MS);
    node.feed({ type: "event/localDescription", attemptId, sdp: sdpText({ setup: "active" }) });
    const unsigned = new Uint8Array(40);
    node.feed({ type: "event/signalSealed", attemptId, signed: unsigned, envelope: unsigned });
    openAll(node, attemptId);
    expect(liveOf(node, peer)?.attemptId).toBe(attemptId);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("a newer offer of a key replaces its older one that is not ready", () => {
    const node = testNode();
    const peer = party("peer");
    const older = offerFrom(node, peer);
    openTransport(node, older.attemptId, ["control"]);
    const newer = offerFrom(node, peer);
    expect(node.state.attempts.get(older.attemptId)?.phase.tag).toBe("closing");
    openAll(node, newer.attemptId);
    closeTransport(node, older.attemptId);
    expect(liveOf(node, peer)?.attemptId).toBe(newer.attemptId);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});

type End = 0 | 1;

/** A connection between two nodes: its attempt at both ends, what each end has open, what is on its way. */
interface Wire {
  readonly ends: readonly [AttemptId, AttemptId];
  readonly open: readonly [Set<ChannelName>, Set<ChannelName>];
  readonly flying: { readonly to: End; readonly channel: ChannelName; readonly bytes: Uint8Array }[];
  isClosing: boolean;
}

const otherEnd = (end: End): End => (end === 0 ? 1 : 0);

/** Two nodes dial each other; everything that follows happens in random order, as far as one transport allows. */
function mutualDial(seed: number): void {
  const random = randomOf(seed);
  const names = [`left ${seed % 5}`, `right ${seed % 3}`] as const;
  const nodes = [testNode({}, names[0]), testNode({}, names[1])] as const;
  const keys = [party(names[0]), party(names[1])] as const;
  const wires: Wire[] = [];
  const todo: (() => void)[] = [];
  /** Who waits for the reply to a request, with which attempt. */
  const dialers = new Map<RequestId, { readonly from: End; readonly dialing: AttemptId }>();
  const answers = new Map<RequestId, AttemptId>();

  function feed(end: End, input: Input): readonly Effect[] {
    const { effects } = nodes[end].feed(input);
    for (const effect of effects) look(end, effect);
    return effects;
  }
  const wireOf = (end: End, attemptId: AttemptId) => wires.find(({ ends }) => ends[end] === attemptId);

  function look(end: End, effect: Effect): void {
    switch (effect.type) {
      case "effect/send": {
        const bytes = encodeMessage(effect as ChannelMessage);
        wireOf(end, effect.attemptId)?.flying.push({ to: otherEnd(end), channel: effect.channel, bytes });
        todo.push(() => deliver(wireOf(end, effect.attemptId)));
        return;
      }
      case "effect/close":
        todo.push(() => close(end, effect.attemptId));
        return;
      case "effect/createOffer":
      case "effect/createAnswer": {
        const setup = effect.type === "effect/createOffer" ? "actpass" : "active";
        const { attemptId } = effect;
        todo.push(() => feed(end, { type: "event/localDescription", attemptId, sdp: sdpText({ setup }) }));
        return;
      }
      case "effect/sealSignal": {
        const [signal, event] = [signed(effect.unsigned), sealed(effect)];
        todo.push(() =>
          feed(end, { ...event, envelope: Uint8Array.from([...effect.prefix, ...signal]) } as Input),
        );
        return;
      }
      case "effect/postSignal": {
        const requestId = freshRequestId();
        dialers.set(requestId, { from: end, dialing: effect.attemptId });
        const { envelope } = effect;
        const input = {
          type: "event/signalReceived",
          requestId,
          remoteAddress: PUBLIC_IP,
          envelope,
        } as const;
        todo.push(() => {
          for (const asked of effectsOf(feed(otherEnd(end), input), "effect/openEnvelope")) {
            answers.set(requestId, asked.attemptId);
          }
        });
        return;
      }
      case "effect/openEnvelope": {
        const { attemptId, envelope: plaintext } = effect;
        todo.push(() => feed(end, { type: "event/envelopeOpened", attemptId, plaintext }));
        return;
      }
      case "effect/verifySignature":
        todo.push(() =>
          feed(end, { type: "event/signatureChecked", attemptId: effect.attemptId, valid: true }),
        );
        return;
      case "effect/replySignal": {
        const dialer = dialers.get(effect.requestId);
        if (dialer === undefined) return;
        const { from, dialing: attemptId } = dialer;
        const outcome: SignalOutcome =
          effect.reply.tag === "envelope"
            ? { tag: "envelope", envelope: effect.reply.envelope, remoteAddress: PUBLIC_IP }
            : { tag: "refused", status: 503, retryAfterS: 1 };
        const answering = answers.get(effect.requestId);
        if (outcome.tag === "envelope" && outcome.envelope[0] === 0 && answering !== undefined) {
          const ends = from === 0 ? ([attemptId, answering] as const) : ([answering, attemptId] as const);
          wires.push({ ends, open: [new Set(), new Set()], flying: [], isClosing: false });
        }
        todo.push(() => feed(from, { type: "event/signalAnswered", attemptId, outcome }));
        return;
      }
      case "effect/applyAnswer": {
        const wire = wireOf(end, effect.attemptId);
        for (const one of [0, 1] as const) if (wire !== undefined) todo.push(() => connect(wire, one));
      }
    }
  }
  function connect(wire: Wire, end: End): void {
    const attemptId = wire.ends[end];
    feed(end, { type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress: PUBLIC_IP });
    for (const channel of CHANNEL_NAMES) {
      todo.push(() => {
        wire.open[end].add(channel);
        feed(end, { type: "event/channelOpened", attemptId, channel });
      });
    }
  }
  /** Ordered per channel, and only to an end whose channel is open. */
  function deliver(wire: Wire | undefined): void {
    if (wire === undefined || wire.flying.length === 0) return;
    const channel = wire.flying[random(wire.flying.length)]?.channel;
    const at = wire.flying.findIndex((one) => one.channel === channel);
    const next = wire.flying[at];
    if (next === undefined) return;
    const first = wire.flying.findIndex((one) => one.channel === channel && one.to === next.to);
    const { to, bytes } = wire.flying[first] ?? next;
    if (wire.open[to].has(next.channel)) {
      wire.flying.splice(first, 1);
      feed(to, { type: "event/message", attemptId: wire.ends[to], channel: next.channel, bytes });
    } else todo.push(() => deliver(wire));
  }
  /** What was sent before a close still arrives; then both ends learn of it. */
  function close(end: End, attemptId: AttemptId): void {
    const wire = wireOf(end, attemptId);
    const isBusy = wire?.flying.some(({ to, channel }) => wire.open[to].has(channel)) ?? false;
    if (wire !== undefined && isBusy && !wire.isClosing) {
      todo.push(() => close(end, attemptId));
      return;
    }
    if (wire === undefined) feed(end, { type: "event/connectionClosed", attemptId, error: null });
    else if (!wire.isClosing) {
      wire.isClosing = true;
      for (const one of [0, 1] as const) {
        todo.push(() =>
          feed(one, { type: "event/connectionClosed", attemptId: wire.ends[one], error: null }),
        );
      }
    }
  }
  for (const from of [0, 1] as const) {
    const address = addressOf(keys[otherEnd(from)]);
    todo.push(() => feed(from, { type: "command/dial", requestId: freshRequestId(), address }));
  }
  for (let turns = 0; todo.length > 0 && turns < 3_000; turns++) {
    const [next] = todo.splice(random(todo.length), 1);
    const ms = random(30);
    for (const [end, node] of nodes.entries())
      for (const effect of node.pass(ms)) look(end === 0 ? 0 : 1, effect);
    next?.();
    for (const node of nodes) expect(brokenInvariants(node.state)).toEqual([]);
  }
  const live = nodes.map((node, end) => liveOf(node, keys[end === 0 ? 1 : 0])?.attemptId);
  const stays = wires.find(({ ends }) => ends[0] === live[0]);
  expect([seed, stays !== undefined, live[1]]).toEqual([seed, true, stays?.ends[1]]);
  for (const node of nodes) {
    expect(node.state.offenders.size).toBe(0);
    expect([...node.state.attempts.values()].filter(({ phase }) => phase.tag !== "ready")).toEqual([]);
  }
}

const signed = (unsigned: Uint8Array): Uint8Array => Uint8Array.from([...unsigned, ...new Uint8Array(64)]);

test("P05: two nodes that dial each other keep exactly one connection, the same one, whatever the order of events", () => {
  for (let seed = 1; seed <= 80; seed++) mutualDial(seed);
});

describe("connection: the end of a transport", () => {
  test("is counted once, by who ended it and why, and nobody is punished for it", () => {
    const node = testNode();
    const { attemptId } = readyPeer(node, "peer");
    expect(endings(closeTransport(node, attemptId).actions)).toEqual(["world connectionLost"]);
    expect(closeTransport(node, attemptId).actions).toEqual([]);
    expect(node.state.endings).toEqual({ "world connectionLost": 1 });
    expect(node.state.offenders.size).toBe(0);
  });

  test("before ready it fails the attempt in every phase", () => {
    const node = testNode();
    const { attemptId } = offerFrom(node, party("peer"));
    openTransport(node, attemptId, ["control"]);
    sayHello(node, attemptId);
    closeTransport(node, attemptId);
    expect(node.state.attempts.size + node.state.peers.size).toBe(0);
  });
});
