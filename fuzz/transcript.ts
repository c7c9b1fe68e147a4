import type { Action, Input } from "../core/actions.ts";
import { blockHash } from "../core/block.ts";
import type { TipChange } from "../core/chain.ts";
import type { PoolMessage } from "../core/channels/permits.ts";
import type { ChannelMessage } from "../core/channels/table.ts";
import type { Hash } from "../core/ids.ts";
import { hashOf } from "../core/pools.ts";
import type { Priority } from "../core/priority.ts";
import { REASONS } from "../core/reasons.ts";
import type { ClusterObserver } from "./simulator.ts";
import { nameOf, readWire } from "./wire.ts";

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
    case "command/submit":
      return `is given a ${action.pool}`;
    case "command/stop":
      return "is told to stop";
    case "connection/ready":
      return `is ready on connection ${action.attemptId}`;
    case "connection/ended":
      return `lost connection ${action.attemptId}: ${action.reason}, by ${action.by}`;
    case "fetch/conclude":
      return `knows ${action.pool} ${short(action.hash)}: ${action.verdict.tag}`;
    case "fetch/hedge":
      return `has waited long enough for a ${action.pool}`;
    case "event/blockProduced":
      return action.header === null ? null : `has made a block at height ${action.header.height}`;
    case "event/blockApplied":
      return `has applied ${short(action.hash)}: ${action.verdict.tag}`;
    case "event/tipAdopted":
      return adopted(action.change);
    default:
      return null;
  }
}

function adopted({ tip, extendsOld, removed, returned }: TipChange): string {
  const way = extendsOld ? "follows" : "changes its branch to";
  return `${way} ${short(tip.hash)} at height ${tip.height}, ${removed.length} items gone, ${returned.length} back`;
}

function detailOf({ channel, message }: ChannelMessage): string {
  switch (channel) {
    case "control":
      return message.tag === "goodbye" ? ` ${REASONS[message.reason] ?? message.reason}` : "";
    case "signaling/discovery":
      return message.tag === "discovered" ? ` ${message.target.slice(0, 8)}` : "";
    case "signaling/exchange":
      return message.tag === "offer" ? ` of ${message.from.slice(0, 8)}` : "";
    case "best-tip":
      return message.tag === "bestTip" ? ` ${short(blockHash(message.header))}` : "";
    case "rpc":
      return ` ${message.id} ${message.body.tag}`;
    case "streaming-rpc":
      return ` ${message.id}`;
    default:
      return permitDetail(message);
  }
}

function permitDetail(message: PoolMessage): string {
  if (message.tag === "infos") {
    const { items, rest } = message;
    return ` ${[...items.map((info) => short(hashOf(info))), ...(rest === null ? [] : [`rest ${named(rest)}`])].join(" ")}`;
  }
  const { floor, band } = message.window;
  const limit = message.tag === "getNext" ? ` ${message.limit}${resumed(message)}` : "";
  return `${limit}${floor === null ? "" : ` floor ${named(floor)}`}${band === null ? "" : ` band ${named(band)}`}`;
}

const resumed = ({ resume }: Extract<PoolMessage, { tag: "getNext" }>): string =>
  resume === null ? "" : ` from index ${resume.next} on`;

const named = (priority: Priority): string => `${priority.class}/${short(priority.hash)}`;

const short = (hash: Hash): string => hash.slice(0, 8);
