import { afterEach } from "vitest";
import type { SignalingEvent } from "../core/actions.ts";
import type { AttemptId, PeerId } from "../core/ids.ts";
import type { DialAddress, HostKind } from "../core/multiaddr.ts";
import type { SignalReply } from "../core/services.ts";
import { createSignaling, type NodeSignaling, type SignalingOptions } from "./signaling.ts";

// What the tests of both ends of signaling share.
export const PATH = "/pollen/1/signal";
export const OCTETS = "application/octet-stream";
export const attempt = (id: number): AttemptId => id as AttemptId;
type Received = Extract<SignalingEvent, { type: "event/signalReceived" }>;

/** What a test leaves to be closed, last first. */
export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export interface SignalingNode {
  readonly signaling: NodeSignaling;
  readonly port: number;
  readonly events: readonly SignalingEvent[];
  /** Resolves once that many events have been emitted. */
  readonly until: (count: number) => Promise<readonly SignalingEvent[]>;
}

/** A node's signaling on a free port, whose core answers each request by `core`, or not at all. */
export async function start(
  core: (received: Received) => SignalReply | null = () => null,
  options: Partial<SignalingOptions> = {},
): Promise<SignalingNode> {
  const events: SignalingEvent[] = [];
  const wakes = new Set<() => void>();
  const signaling = await createSignaling({
    listen: { host: "127.0.0.1", port: 0 },
    ...options,
    emit: (event) => {
      events.push(event);
      for (const wake of wakes) wake();
      if (event.type !== "event/signalReceived") return;
      const reply = core(event);
      if (reply !== null) signaling.reply(event.requestId, reply);
    },
  });
  cleanups.push(() => signaling.close());
  const until = async (count: number): Promise<readonly SignalingEvent[]> => {
    while (events.length < count) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          wakes.delete(wake);
          resolve();
        };
        wakes.add(wake);
      });
    }
    return events;
  };
  return { signaling, port: signaling.port ?? 0, events, until };
}

export const echo = ({ envelope }: Received): SignalReply => ({ tag: "envelope", envelope });

export const at = (port: number, hostKind: HostKind = "ip4", host = "127.0.0.1"): DialAddress => ({
  scheme: "http",
  hostKind,
  host,
  port,
  peerId: "12D3KooW" as PeerId,
});
