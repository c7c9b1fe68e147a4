import type { TransportEvent } from "../../core/actions.ts";
import { CHANNEL_NAMES } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import { createWebrtcTransport, type WebrtcOptions, type WebrtcTransport } from "../webrtc.ts";

/** A transport on the loopback interface with everything it has emitted. For tests and benchmarks. */
export interface Endpoint {
  readonly transport: WebrtcTransport;
  events(attemptId: AttemptId): readonly TransportEvent[];
  /** The first event of the type, as soon as there is one. */
  first<Type extends TransportEvent["type"]>(
    attemptId: AttemptId,
    type: Type,
  ): Promise<Extract<TransportEvent, { type: Type }>>;
  /** Resolves when the events of the attempt fulfil the condition, which is asked after each of them. */
  until(attemptId: AttemptId, condition: (events: readonly TransportEvent[]) => boolean): Promise<void>;
}

/** @param onEvent called for each event before whoever waits for it */
export function createEndpoint(
  options: Omit<WebrtcOptions, "emit"> = {},
  onEvent: (event: TransportEvent, transport: WebrtcTransport) => void = () => {},
): Endpoint {
  const log = new Map<AttemptId, TransportEvent[]>();
  const waiting = new Map<AttemptId, Set<() => void>>();
  const events = (attemptId: AttemptId): TransportEvent[] => {
    const known = log.get(attemptId) ?? [];
    log.set(attemptId, known);
    return known;
  };
  const emit = (event: TransportEvent): void => {
    events(event.attemptId).push(event);
    onEvent(event, transport);
    for (const check of waiting.get(event.attemptId) ?? []) check();
  };
  const transport = createWebrtcTransport({ bindAddress: "127.0.0.1", ...options, emit });

  const until: Endpoint["until"] = (attemptId, condition) => {
    if (condition(events(attemptId))) return Promise.resolve();
    return new Promise((resolve) => {
      const checks = waiting.get(attemptId) ?? new Set();
      waiting.set(attemptId, checks);
      const check = (): void => {
        if (!condition(events(attemptId))) return;
        checks.delete(check);
        resolve();
      };
      checks.add(check);
    });
  };

  const first: Endpoint["first"] = async (attemptId, type) => {
    let found: TransportEvent | undefined;
    await until(attemptId, (all) => {
      found = all.find((event) => event.type === type);
      return found !== undefined;
    });
    return found as Extract<TransportEvent, { type: typeof type }>;
  };
  return { transport, events, first, until };
}

/** Both sides exchange their descriptions, as the signaling would; the offer's candidates are withheld. */
export async function signal(dialer: Endpoint, listener: Endpoint, attemptId: AttemptId): Promise<Signals> {
  dialer.transport.createOffer(attemptId);
  const { sdp: offer } = await dialer.first(attemptId, "event/localDescription");
  listener.transport.createAnswer(attemptId, withoutCandidates(offer));
  const { sdp: answer } = await listener.first(attemptId, "event/localDescription");
  dialer.transport.applyAnswer(attemptId, answer);
  return { offer, answer };
}

export interface Signals {
  readonly offer: string;
  readonly answer: string;
}

/** Resolves when all channels are open on both sides. */
export async function connect(dialer: Endpoint, listener: Endpoint, attemptId: AttemptId): Promise<Signals> {
  const signals = await signal(dialer, listener, attemptId);
  await Promise.all([dialer, listener].map(({ until }) => until(attemptId, allChannelsOpen)));
  return signals;
}

export function allChannelsOpen(events: readonly TransportEvent[]): boolean {
  const opened = events.filter(({ type }) => type === "event/channelOpened");
  return opened.length === CHANNEL_NAMES.length;
}

export function withoutCandidates(sdp: string): string {
  return sdp.replaceAll(/a=(candidate:|end-of-candidates).*\r\n/g, "");
}

export function candidatesOf(sdp: string): string[] {
  return [...sdp.matchAll(/^a=(candidate:.*)\r$/gm)].map(([, candidate = ""]) => candidate);
}
