import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { ChannelMessage, ChannelName } from "../../core/channels/table.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import type { Reason, Rejection } from "../../core/reasons.ts";
import type { SignalLabel } from "../../core/services.ts";
import type { SimChain } from "../sim-chain.ts";
import type { Identity } from "../sim-identity.ts";
import type { SimTransaction } from "../sim-items.ts";
import type { SimNode } from "../sim-node.ts";
import type { Random } from "../sim-random.ts";
import type { Cluster, ClusterObserver } from "../simulator.ts";

/**
 * One way to break the protocol, or to be of no use within it. A hostile peer is a production node that connects, says
 * Hello and keeps alive like any other, with one or several of these between it and its transport.
 */
export type Behaviour = ConnectionBehaviour | SignalBehaviour | AttemptBehaviour;

/**
 * Where a behaviour shows. One is still to be filled: `addresses` lies in its answers to Peers (7.7). It will be made like
 * those of a connection, over a `Line`.
 */
export type Place = "connection" | "signal" | "attempt" | "addresses";

interface Named {
  readonly place: Place;
  readonly name: string;
  /** The section of protocol.md that it is against, or that says that it is borne. */
  readonly breaks: string;
}

export interface ConnectionBehaviour extends Named {
  readonly place: "connection";
  /** With what the honest side must end the connection; null: it is ignored, dropped or served nothing. */
  readonly endsIn: Reason | null;
  /** Else what it does cannot happen. */
  readonly needs?: Needs;
  /** It pretends to have the best tip: beside another that does so too it may not be looked at. */
  readonly isRival?: boolean;
  /** It is found out before a Hello has proven whose key that is: nobody is punished. */
  readonly isStranger?: boolean;
  /** How often the liar must have noted something, at least and at most, for each connection that it was told to make. */
  readonly notes?: Readonly<Record<string, readonly [number, number]>>;
  /** How long the honest side may take to find it out, if that is longer than for others. */
  readonly settlingMs?: number;
  /** One for each connection. */
  readonly create: (line: Line) => Lie;
}

/** What the honest nodes must be like. */
export interface Needs {
  /** Transactions that they hold from the beginning. */
  readonly items?: number;
  /** Transactions that their pools hold at most. */
  readonly capacity?: number;
  /** These of them never have enough peers, and ask relays for more. */
  readonly peersMin?: "victims" | "others";
  /** Their chain judges batches as a whole. */
  readonly isBatchOnly?: boolean;
}

export interface SignalBehaviour extends Named {
  readonly place: "signal";
  /** What the honest side must answer to the offer. */
  readonly endsIn: Rejection;
  /** Posts something to the honest node with this index. The liar is connected with it by a sound offer as well. */
  readonly post: (liar: Liar, to: number) => void;
}

/** The liar's own attempts, of which none may come to a connection, and for which no key is punished (section 5). */
export interface AttemptBehaviour extends Named {
  readonly place: "attempt";
  readonly endsIn: null;
  /** The signal that lies. If it is an answer, it is the honest side that dials. */
  readonly label: Extract<SignalLabel, "pollen/offer/1" | "pollen/answer/1">;
  /** @returns with its signature, what is sealed in the place of the sound one */
  readonly forge: (liar: Liar, unsigned: Uint8Array) => Uint8Array;
}

/** A run of its own, for what needs other nodes, other links or more time than the behaviours that share one. */
export interface Trial {
  readonly name: string;
  /** @returns what the honest side has not done as it should; throws at the first step that breaks a law */
  readonly play: (seed: number, observers?: readonly ClusterObserver[]) => readonly string[];
}

/** What is done on one connection. What is left out is done as a production node does it. */
export interface Lie {
  /** What is sent in the place of a message of the production node. */
  readonly says?: (said: ChannelMessage) => readonly ChannelMessage[];
  /** A message of the honest side. @returns true to keep it from the production node */
  readonly hears?: (heard: ChannelMessage) => boolean;
  /** Called once, some time after the connection is ready on this side. */
  readonly acts?: () => void;
}

/** One connection of a liar with an honest node. */
export interface Line {
  readonly liar: Liar;
  /** The honest node. */
  readonly to: number;
  readonly attemptId: AttemptId;
  /** What the honest side has asked on the rpc channel, by id. */
  readonly asked: ReadonlyMap<number, RpcRequest>;
  /** As it is: neither ids nor permits are looked at. */
  readonly say: (...messages: readonly ChannelMessage[]) => void;
  readonly sayBytes: (channel: ChannelName, bytes: Uint8Array) => void;
  readonly sayText: (channel: ChannelName) => void;
  /** A request that is in order: the next id, and the production node does not hear of the response. */
  readonly request: (body: RpcRequest, done: (body: RpcResponse) => void) => void;
  /** The production node hears this as if the honest side had said it. */
  readonly pretend: (heard: ChannelMessage) => void;
  /** The transport closes, without a Goodbye. */
  readonly hangUp: () => void;
  /** The honest side's transport is full on this channel, from now on or for so long. */
  readonly stopReading: (channel: ChannelName, forMs?: number) => void;
  /** Later, if the connection still is there. */
  readonly after: (delayMs: number, run: () => void) => void;
}

/** The process of a liar. */
export interface Liar {
  readonly index: number;
  readonly cluster: Cluster;
  readonly random: Random;
  readonly identity: Identity;
  readonly chain: SimChain;
  readonly node: () => SimNode;
  /** Given to the production node, which holds it for valid, whatever it says itself, and announces it. */
  readonly submit: (transaction: SimTransaction) => Hash;
  /** An offer was answered with this. */
  readonly noteRejection: (rejection: Rejection) => void;
  /** Counts something that a test wants to know of. */
  readonly note: (name: string) => void;
}

/** A behaviour that changes or adds messages of a connection. */
export const lying = (
  name: string,
  breaks: string,
  endsIn: Reason | null,
  create: (line: Line) => Lie,
): ConnectionBehaviour => ({ place: "connection", name, breaks, endsIn, create });

/** A behaviour that only says something once. */
export const saying = (
  name: string,
  breaks: string,
  endsIn: Reason | null,
  acts: (line: Line) => void,
): ConnectionBehaviour => lying(name, breaks, endsIn, (line) => ({ acts: () => acts(line) }));

/** The production node's messages with some of them changed. */
export const changing = (
  name: string,
  breaks: string,
  endsIn: Reason | null,
  says: (said: ChannelMessage, line: Line) => readonly ChannelMessage[],
  acts: (line: Line) => void = () => {},
): ConnectionBehaviour =>
  lying(name, breaks, endsIn, (line) => ({ says: (said) => says(said, line), acts: () => acts(line) }));
