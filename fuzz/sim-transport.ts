import { assert } from "../core/assert.ts";
import { type Hex, toHex, uintBytes } from "../core/bytes.ts";
import { CHANNEL_NAMES, type ChannelName } from "../core/channels/table.ts";
import type { AttemptId } from "../core/ids.ts";
import { BUFFERED_BYTES_MAX } from "../core/limits.ts";
import type { Transport } from "../core/services.ts";
import type { Host, World } from "./sim-host.ts";
import { describe, hasCandidates, readDescription } from "./sim-sdp.ts";

/**
 * WebRTC as the core knows it (core/services.ts): connection objects that find each other by their SDPs, channels
 * that are ordered in themselves and not against each other, and four ways to end.
 */
export interface SimNetwork {
  readonly transportOf: (host: Host) => Transport;
  /** For so long nothing that one node sends to the other arrives; it comes afterwards. */
  readonly stall: (from: number, to: number, ms: number) => void;
  /** Connections between two nodes break at once; both sides are told after `noticeMs` (0: with the next packet). */
  readonly cut: (a: number, b: number, noticeMs: number) => void;
  /** The process is gone: nobody is told, transports notice in their own time. */
  readonly vanish: (host: Host) => void;
  /** Connection objects that have not ended. */
  readonly open: () => number;
}

export interface NetworkObserver {
  readonly sent: (
    from: Host,
    attemptId: AttemptId,
    to: Host,
    channel: ChannelName,
    bytes: Uint8Array,
  ) => void;
}

/**
 * What a link makes of a message: the bytes that travel, or null if it is swallowed. Other than a lost link the sender
 * never hears of it: this is how nodes are made that lie or that lack a rule.
 */
export type Tamper = (from: Host, to: Host, channel: ChannelName, bytes: Uint8Array) => Uint8Array | null;

/** One side of a connection. */
interface Endpoint {
  readonly host: Host;
  readonly attemptId: AttemptId;
  readonly ufrag: string;
  readonly fingerprint: Hex;
  answers: string | null;
  peer: Endpoint | null;
  /** It has the other side's description, so that it takes part in checks. */
  ready: boolean;
  hasRemoteCandidates: boolean;
  connectedMs: number | null;
  readonly openMs: Map<ChannelName, number>;
  /** When the last message sent on a channel arrives at the other side: the next cannot arrive before. */
  readonly arrivesMs: Map<ChannelName, number>;
  /** By then the line has taken everything that was sent. */
  lineFreeMs: number;
  /** Bytes of each channel that the line has not taken. */
  readonly buffered: Map<ChannelName, number>;
  readonly blocked: Set<ChannelName>;
  /** Nothing is accepted for sending any more. */
  closing: boolean;
  /** What this side sent and has not arrived by then is lost. */
  lostFromMs: number;
  /** `event/connectionClosed` was given. */
  ended: boolean;
}

const CHECK_ROUND_TRIPS = 3;
const PORT_FIRST = 40_000;

export function createNetwork(
  world: World,
  observer: NetworkObserver,
  tamper: Tamper = (_from, _to, _channel, bytes) => bytes,
): SimNetwork {
  const endpoints = new Map<string, Endpoint>();
  const latencies = new Map<string, number>();
  const stalledUntilMs = new Map<string, number>();
  let created = 0;
  const { clock, random, link } = world;

  function latency(a: Host, b: Host): number {
    const key = a.index < b.index ? `${a.index} ${b.index}` : `${b.index} ${a.index}`;
    const known = latencies.get(key) ?? random.between(...link.latencyMs);
    latencies.set(key, known);
    return known;
  }

  const flightMs = (a: Host, b: Host): number => latency(a, b) + random.between(0, link.jitterMs);

  const reachesDirectly = (): boolean => !random.chance(link.closedChance);

  function create(host: Host, attemptId: AttemptId, answers: string | null): Endpoint {
    const number = created++;
    const ufrag = `u${number}`;
    const endpoint: Endpoint = {
      host,
      attemptId,
      ufrag,
      fingerprint: toHex(uintBytes(number + 1, 32)),
      answers,
      peer: null,
      ready: false,
      hasRemoteCandidates: false,
      connectedMs: null,
      openMs: new Map(),
      arrivesMs: new Map(),
      lineFreeMs: 0,
      buffered: new Map(),
      blocked: new Set(),
      closing: false,
      lostFromMs: Number.POSITIVE_INFINITY,
      ended: false,
    };
    endpoints.set(ufrag, endpoint);
    clock.after(random.between(...link.serviceMs), () => {
      if (endpoint.ended || !host.isAlive()) return;
      const sdp = describe(endpoint, host.address, PORT_FIRST + (number % 20_000));
      host.give({ type: "event/localDescription", attemptId, sdp });
    });
    return endpoint;
  }

  /** Checks succeed once both agents have the other's description and one of them knows where the other is. */
  function tryConnect(endpoint: Endpoint): void {
    const { peer } = endpoint;
    if (peer === null || endpoint.connectedMs !== null || peer.connectedMs !== null) return;
    if (!endpoint.ready || !peer.ready || endpoint.closing || peer.closing) return;
    if (!endpoint.hasRemoteCandidates && !peer.hasRemoteCandidates) return;
    if (link.unreachableChance > 0 && random.chance(link.unreachableChance)) return;
    const startMs = CHECK_ROUND_TRIPS * 2 * latency(endpoint.host, peer.host);
    for (const side of [endpoint, peer]) {
      const connectedMs = clock.nowMs + startMs + flightMs(endpoint.host, peer.host);
      side.connectedMs = connectedMs;
      clock.after(connectedMs - clock.nowMs, () => giveConnected(side));
      for (const channel of CHANNEL_NAMES) {
        const openMs = connectedMs + 1 + random.between(0, link.jitterMs);
        side.openMs.set(channel, openMs);
        clock.after(openMs - clock.nowMs, () => {
          if (isListening(side)) {
            side.host.give({ type: "event/channelOpened", attemptId: side.attemptId, channel });
          }
        });
      }
    }
  }

  function giveConnected(side: Endpoint): void {
    if (!isListening(side) || side.peer === null) return;
    const { fingerprint, host } = side.peer;
    const { attemptId } = side;
    side.host.give({ type: "event/connected", attemptId, fingerprint, remoteAddress: host.address });
  }

  const isListening = (side: Endpoint): boolean => !side.ended && side.host.isAlive();

  /** The last event of a side, whoever ended it. The first notice wins. */
  function end(side: Endpoint, delayMs: number, error: string | null, kind?: "background"): void {
    clock.after(
      delayMs,
      () => {
        if (side.ended) return;
        side.ended = true;
        side.closing = true;
        endpoints.delete(side.ufrag);
        if (side.host.isAlive()) {
          side.host.give({ type: "event/connectionClosed", attemptId: side.attemptId, error });
        }
      },
      kind,
    );
  }

  function send(side: Endpoint, channel: ChannelName, given: Uint8Array): void {
    const { peer } = side;
    const openMs = side.openMs.get(channel) ?? Number.POSITIVE_INFINITY;
    if (side.closing) return;
    assert(peer !== null && openMs <= clock.nowMs, `${channel} is open when the core sends on it`);
    const bytes = tamper(side.host, peer.host, channel, given);
    if (bytes === null) return;
    observer.sent(side.host, side.attemptId, peer.host, channel, bytes);
    const sentMs = transmit(side, channel, bytes.length);
    const stalledMs = stalledUntilMs.get(wayOf(side.host.index, peer.host.index)) ?? 0;
    const earliestMs = Math.max(side.arrivesMs.get(channel) ?? 0, peer.openMs.get(channel) ?? 0, stalledMs);
    const atMs = Math.max(earliestMs, sentMs + flightMs(side.host, peer.host));
    side.arrivesMs.set(channel, atMs);
    clock.after(atMs - clock.nowMs, () => {
      if (!isListening(peer) || atMs >= side.lostFromMs) return;
      peer.host.give({ type: "event/message", attemptId: peer.attemptId, channel, bytes });
    });
  }

  /**
   * The one line of a connection takes messages one after the other. Whoever has more than BUFFERED_BYTES_MAX waiting on
   * a channel is told that it is blocked, and when it has drained.
   *
   * @returns when the line has taken this one
   */
  function transmit(side: Endpoint, channel: ChannelName, bytes: number): number {
    if (link.bytesPerMs === Number.POSITIVE_INFINITY && side.lineFreeMs <= clock.nowMs) return clock.nowMs;
    const { attemptId, host, buffered, blocked } = side;
    side.lineFreeMs = Math.ceil(Math.max(side.lineFreeMs, clock.nowMs) + bytes / link.bytesPerMs);
    const waiting = (buffered.get(channel) ?? 0) + bytes;
    buffered.set(channel, waiting);
    const tell = (type: "event/channelBlocked" | "event/channelDrained"): void => {
      if (isListening(side) && !side.closing) host.give({ type, attemptId, channel });
    };
    if (waiting > BUFFERED_BYTES_MAX && !blocked.has(channel)) {
      blocked.add(channel);
      clock.after(0, () => tell("event/channelBlocked"));
    }
    clock.after(side.lineFreeMs - clock.nowMs, () => {
      const left = (buffered.get(channel) ?? 0) - bytes;
      buffered.set(channel, left);
      if (left > BUFFERED_BYTES_MAX || !blocked.delete(channel)) return;
      tell("event/channelDrained");
    });
    return side.lineFreeMs;
  }

  function close(side: Endpoint, graceful: boolean): void {
    const { peer } = side;
    const wasClosing = side.closing;
    side.closing = true;
    if (side.connectedMs === null || peer === null) {
      end(side, 1, null);
      return;
    }
    const flight = flightMs(side.host, peer.host);
    if (!graceful) side.lostFromMs = Math.min(side.lostFromMs, clock.nowMs + random.between(0, flight));
    if (wasClosing && graceful) return;
    const lastMs = graceful ? Math.max(clock.nowMs, ...side.arrivesMs.values()) : clock.nowMs;
    end(side, graceful ? lastMs - clock.nowMs : 0, null);
    end(peer, lastMs - clock.nowMs + flight, null);
  }

  return {
    transportOf: (host) => transportOf(host, { create, tryConnect, send, close, endpoints, reachesDirectly }),
    stall: (from, to, ms) => {
      stalledUntilMs.set(wayOf(from, to), clock.nowMs + ms);
    },
    cut: (a, b, noticeMs) => {
      for (const side of endpoints.values()) {
        const { peer } = side;
        if (peer === null || side.connectedMs === null) continue;
        // Each connection is met twice, once from either side.
        if (side.host.index !== a || peer.host.index !== b) continue;
        for (const half of [side, peer]) {
          half.lostFromMs = Math.min(half.lostFromMs, clock.nowMs);
          end(half, noticeMs + random.between(0, link.jitterMs), "the link broke");
        }
      }
    },
    vanish: (host) => {
      for (const side of endpoints.values()) {
        if (side.host !== host) continue;
        side.lostFromMs = Math.min(side.lostFromMs, clock.nowMs);
        if (side.peer !== null) {
          end(side.peer, random.between(...link.noticeMs), "no answer to consent checks", "background");
        }
        endpoints.delete(side.ufrag);
      }
    },
    open: () => endpoints.size,
  };
}

const wayOf = (from: number, to: number): string => `${from} ${to}`;

interface Machine {
  readonly create: (host: Host, attemptId: AttemptId, answers: string | null) => Endpoint;
  readonly tryConnect: (endpoint: Endpoint) => void;
  readonly send: (side: Endpoint, channel: ChannelName, bytes: Uint8Array) => void;
  readonly close: (side: Endpoint, graceful: boolean) => void;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** Whether the dialer's own checks get through to the answerer. */
  readonly reachesDirectly: () => boolean;
}

/** The Transport of one process: its own table of attempts over the shared network. */
function transportOf(
  host: Host,
  { create, tryConnect, send, close, endpoints, reachesDirectly }: Machine,
): Transport {
  const sides = new Map<AttemptId, Endpoint>();
  return {
    createOffer: (attemptId) => {
      sides.set(attemptId, create(host, attemptId, null));
    },
    createAnswer: (attemptId, sdp) => {
      const offer = readDescription(sdp);
      const side = create(host, attemptId, offer?.ufrag ?? "unknown");
      side.ready = true;
      side.hasRemoteCandidates = hasCandidates(sdp);
      sides.set(attemptId, side);
    },
    applyAnswer: (attemptId, sdp) => {
      const side = sides.get(attemptId);
      const answer = readDescription(sdp);
      const peer = answer === undefined ? undefined : endpoints.get(answer.ufrag);
      // An answer to another offer, or of a party that is gone: the checks stay unanswered.
      if (side === undefined || peer?.answers !== side.ufrag) return;
      side.peer = peer;
      peer.peer = side;
      side.ready = true;
      side.hasRemoteCandidates = hasCandidates(sdp) && reachesDirectly();
      tryConnect(side);
    },
    addCandidates: (attemptId, candidates) => {
      const side = sides.get(attemptId);
      if (side === undefined || candidates.length === 0) return;
      side.hasRemoteCandidates = true;
      tryConnect(side);
    },
    send: (attemptId, channel, bytes) => {
      const side = sides.get(attemptId);
      if (side !== undefined) send(side, channel, bytes);
    },
    close: (attemptId, graceful) => {
      const side = sides.get(attemptId);
      if (side !== undefined && !side.ended) close(side, graceful);
    },
  };
}
