import type { Action, Input } from "../core/actions.ts";
import { REASONS } from "../core/reasons.ts";
import type { ClusterObserver } from "./simulator.ts";
import { nameOf, readWire, type WireMessage } from "./wire.ts";

/**
 * What happened in a cluster, one line each, nodes counted from 1: `12ms 1->2 transaction getNext` for a message when
 * it is sent, `12ms 2 ready` for what changed at a node.
 */
export interface Transcript extends ClusterObserver {
  readonly lines: readonly string[];
}

/** @param startMs what `0ms` means */
export function createTranscript(startMs: number): Transcript {
  const lines: string[] = [];
  let nowMs = startMs;
  const write = (text: string): void => {
    lines.push(`${nowMs - startMs}ms ${text}`);
  };
  return {
    lines,
    after: ({ index }, input, { state, actions, effects }) => {
      nowMs = state.timeMs;
      const told = [
        received(input),
        ...actions.map(happened),
        ...effects.map(({ type }) => ASKED[type] ?? null),
      ];
      for (const text of told) if (text !== null) write(`${index + 1} ${text}`);
    },
    sent: (from, _attemptId, to, channel, bytes) => {
      const wire = readWire(channel, bytes);
      const text = typeof wire === "string" ? `${channel}: ${wire}` : nameOf(wire) + detailOf(wire);
      write(`${from.index + 1}->${to.index + 1} ${text}`);
    },
  };
}

const ASKED: Readonly<Record<string, string>> = {
  "effect/postSignal": "posts its offer",
  "effect/replySignal": "replies",
  "effect/addCandidates": "tries the candidates of the offer",
};

function received(input: Input): string | null {
  switch (input.type) {
    case "event/signalReceived":
      return `gets an offer from ${input.remoteAddress}`;
    case "event/signalAnswered":
      return `gets a reply: ${input.outcome.tag}`;
    case "event/connected":
      return `is connected with ${input.remoteAddress}`;
    case "event/connectionClosed":
      return `sees connection ${input.attemptId} closed${input.error === null ? "" : `: ${input.error}`}`;
    default:
      return null;
  }
}

function happened(action: Action): string | null {
  switch (action.type) {
    case "command/dial":
      return `is told to dial ${action.address.host}`;
    case "command/submitTransaction":
      return "is given a transaction";
    case "command/stop":
      return "is told to stop";
    case "connection/ready":
      return `is ready on connection ${action.attemptId}`;
    case "connection/ended":
      return `lost connection ${action.attemptId}: ${action.reason}, by ${action.by}`;
    case "fetch/conclude":
      return `knows transaction ${action.hash.slice(0, 8)}: ${action.verdict.tag}`;
    default:
      return null;
  }
}

function detailOf({ channel, message }: WireMessage): string {
  switch (channel) {
    case "control":
      return message.tag === "goodbye" ? ` ${REASONS[message.reason] ?? message.reason}` : "";
    case "transaction":
      if (message.tag === "infos") return ` ${message.items.map(({ hash }) => hash.slice(0, 8)).join(" ")}`;
      return message.tag === "getNext" ? ` ${message.limit}` : "";
    case "rpc":
      return ` ${message.id} ${message.body.tag}`;
  }
}
