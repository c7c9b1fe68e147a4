import type { AttemptId, RequestId } from "../core/ids.ts";
import { SIGNAL_REPLY_TIMEOUT_MS } from "../core/limits.ts";
import type { Signaling, SignalOutcome, SignalReply } from "../core/services.ts";
import type { Host, World } from "./sim-host.ts";

/** HTTP between nodes, and from strangers who run no node (3.1). */
export interface SimWeb {
  readonly signalingOf: (host: Host) => Signaling;
  /** Binds `address` and `port` to a process: its last one listens. */
  readonly listen: (host: Host, port: number) => void;
  /** A request of anybody; the outcome is for the test. */
  readonly post: (
    remoteAddress: string,
    to: { readonly host: string; readonly port: number },
    envelope: Uint8Array,
    done: (outcome: SignalOutcome) => void,
  ) => void;
  /** Requests that their listener left without an answer until the server cut them: there must be none (P06). */
  readonly unanswered: () => number;
}

const STATUS = { undecodable: 400, rateLimited: 429, unavailable: 503 } as const;

export function createWeb({ clock, random, link }: World): SimWeb {
  const listeners = new Map<string, Host>();
  const waiting = new Map<RequestId, (reply: SignalReply) => void>();
  let requests = 0;
  let unanswered = 0;
  const delayMs = (): number => (link.signalDelayMs[1] === 0 ? 0 : random.between(...link.signalDelayMs));
  const flightMs = (): number =>
    random.between(...link.latencyMs) + random.between(0, link.jitterMs) + delayMs();
  const isLost = (): boolean => link.signalLossChance > 0 && random.chance(link.signalLossChance);

  const post: SimWeb["post"] = (remoteAddress, { host, port }, envelope, done) => {
    let isDone = false;
    const answer = (outcome: SignalOutcome): void => {
      if (isDone) return;
      isDone = true;
      done(outcome);
    };
    clock.after(
      SIGNAL_REPLY_TIMEOUT_MS,
      () => answer({ tag: "failed", error: "no response in time" }),
      "background",
    );
    if (isLost()) return;
    clock.after(flightMs(), () => {
      const listener = listeners.get(`${host}:${port}`);
      if (listener === undefined || !listener.isAlive()) {
        clock.after(flightMs(), () => answer({ tag: "failed", error: "connection refused" }));
        return;
      }
      const requestId = ++requests as RequestId;
      waiting.set(requestId, (reply) => {
        if (!isLost()) clock.after(flightMs(), () => answer(outcomeOf(reply, listener.address)));
      });
      clock.after(
        SIGNAL_REPLY_TIMEOUT_MS,
        () => {
          if (waiting.delete(requestId) && listener.isAlive() && !listener.isFrozen()) unanswered += 1;
        },
        "background",
      );
      listener.give({ type: "event/signalReceived", requestId, remoteAddress, envelope });
    });
  };

  return {
    post,
    listen: (host, port) => {
      listeners.set(`${host.address}:${port}`, host);
    },
    unanswered: () => unanswered,
    signalingOf: (host) => ({
      post: (attemptId: AttemptId, address, envelope) => {
        post(host.address, address, envelope, (outcome) => {
          if (host.isAlive()) host.give({ type: "event/signalAnswered", attemptId, outcome });
        });
      },
      reply: (requestId, reply) => {
        const send = waiting.get(requestId);
        waiting.delete(requestId);
        send?.(reply);
      },
    }),
  };
}

function outcomeOf(reply: SignalReply, remoteAddress: string): SignalOutcome {
  if (reply.tag === "envelope") return { tag: "envelope", envelope: reply.envelope, remoteAddress };
  const retryAfterS = reply.tag === "undecodable" ? null : reply.retryAfterS;
  return { tag: "refused", status: STATUS[reply.tag], retryAfterS };
}
