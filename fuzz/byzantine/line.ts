import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import { type ChannelMessage, type ChannelName, encodeMessage } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import type { Transport } from "../../core/services.ts";
import { readWire } from "../wire.ts";
import type { ConnectionBehaviour, Liar, Lie, Line } from "./behaviour.ts";

/** A line as the liar's process has it: what passes it goes through the lies of the connection. */
export interface OpenLine extends Line {
  /** What the production node sends. */
  readonly send: (channel: ChannelName, bytes: Uint8Array) => void;
  /** @returns what the production node hears of it, or null */
  readonly receive: (channel: ChannelName, bytes: Uint8Array) => Uint8Array | null;
  readonly act: () => void;
}

/** Text frames arrive after what was sent before, as on any channel. */
const TEXT_FLIGHT_MS = 100;
/** What only seems to have been said has not travelled far. */
const PRETENDED_MS = 10;

export function openLine(
  liar: Liar,
  transport: Transport,
  to: number,
  attemptId: AttemptId,
  behaviours: readonly ConnectionBehaviour[],
): OpenLine {
  const { cluster, identity } = liar;
  const asked = new Map<number, RpcRequest>();
  /** By the id on the wire: whose request it was, and the id that the production node gave it. */
  const ours = new Map<number, Requested>();
  let nextId = 0;

  const isOpen = (channel: ChannelName): boolean =>
    liar.node().isAlive() && (liar.node().state.attempts.get(attemptId)?.opened.includes(channel) ?? false);

  const sayBytes = (channel: ChannelName, bytes: Uint8Array): void => {
    if (isOpen(channel)) transport.send(attemptId, channel, bytes);
  };

  const after = (delayMs: number, run: () => void): void =>
    cluster.clock.after(delayMs, () => (isOpen("control") ? run() : undefined), "background");

  /** Tells the honest side what the simulated transport cannot: it carries bytes only, and its line is never full. */
  const tell = (
    type: "event/textReceived" | "event/channelBlocked" | "event/channelDrained",
    channel: ChannelName,
  ) => {
    const victim = cluster.node(to);
    const theirs = victim.state.peers.get(identity.peerId)?.live?.attemptId;
    if (theirs !== undefined) victim.give({ type, attemptId: theirs, channel });
  };

  const line: Line = {
    liar,
    to,
    attemptId,
    asked,
    after,
    sayBytes,
    say: (...messages) => {
      for (const message of messages) sayBytes(message.channel, encodeMessage(message));
    },
    sayText: (channel) => after(TEXT_FLIGHT_MS, () => tell("event/textReceived", channel)),
    hangUp: () => transport.close(attemptId, false),
    stopReading: (channel, forMs) => {
      after(0, () => tell("event/channelBlocked", channel));
      if (forMs !== undefined) after(forMs, () => tell("event/channelDrained", channel));
    },
    pretend: (heard) =>
      after(PRETENDED_MS, () => {
        const { channel } = heard;
        liar.node().give({ type: "event/message", attemptId, channel, bytes: encodeMessage(heard) });
      }),
    request: (body, done) => {
      const id = nextId++;
      ours.set(id, { by: "lie", done });
      line.say({ channel: "rpc", message: { tag: "request", id, body } });
    },
  };
  const lies: readonly Lie[] = behaviours.map(({ create }) => create(line));

  /** The ids of the production node's requests, between which those of lies may have been sent. */
  function numbered(said: ChannelMessage): ChannelMessage {
    if (said.channel !== "rpc" || said.message.tag !== "request") return said;
    const id = nextId++;
    ours.set(id, { by: "node", id: said.message.id });
    return { ...said, message: { ...said.message, id } };
  }

  /** @returns null for the response to a request of a lie */
  function unnumbered(heard: ChannelMessage): ChannelMessage | null {
    if (heard.channel !== "rpc" || heard.message.tag !== "response") return heard;
    const requested = ours.get(heard.message.id);
    ours.delete(heard.message.id);
    if (requested?.by === "node") return { ...heard, message: { ...heard.message, id: requested.id } };
    requested?.done(heard.message.body);
    return null;
  }

  return {
    ...line,
    send: (channel, bytes) => {
      const wire = readWire(channel, bytes);
      let said: readonly ChannelMessage[] = typeof wire === "string" ? [] : [numbered(wire)];
      for (const { says } of lies) if (says !== undefined) said = said.flatMap((message) => says(message));
      line.say(...said);
    },
    receive: (channel, bytes) => {
      const wire = readWire(channel, bytes);
      if (typeof wire === "string") return bytes;
      if (wire.channel === "rpc" && wire.message.tag === "request")
        asked.set(wire.message.id, wire.message.body);
      // All hear it, also what one of them keeps to itself.
      const isKept = lies.map(({ hears }) => hears?.(wire) ?? false).includes(true);
      const heard = unnumbered(wire);
      return heard === null || isKept ? null : encodeMessage(heard);
    },
    act: () => {
      for (const { acts } of lies) if (acts !== undefined) after(liar.random.between(...ACTS_AFTER_MS), acts);
    },
  };
}

type Requested =
  | { readonly by: "node"; readonly id: number }
  | { readonly by: "lie"; readonly done: (body: RpcResponse) => void };

/** When both sides surely are ready, and have exchanged their tips. */
const ACTS_AFTER_MS = [500, 4_000] as const;
