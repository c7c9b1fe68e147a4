import type { TransactionInfo } from "../core/chain.ts";
import { type ControlMessage, controlSchema } from "../core/channels/control.ts";
import { type RpcMessage, rpcSchema } from "../core/channels/rpc.ts";
import { CHANNELS, type ChannelName } from "../core/channels/table.ts";
import { type TransactionMessage, transactionSchema } from "../core/channels/transaction.ts";
import { decode } from "../core/codec/codec.ts";
import { INFOS_MAX, RPC_OPEN_MAX } from "../core/limits.ts";

/**
 * Law 1 as an outsider sees it who reads every message at one end of a connection, in the order in which that end
 * sends and receives. It knows nothing of the state of the node.
 */
export type WireMessage =
  | { readonly channel: "control"; readonly message: ControlMessage }
  | { readonly channel: "transaction"; readonly message: TransactionMessage }
  | { readonly channel: "rpc"; readonly message: RpcMessage };

export interface WireEvent {
  readonly way: "sent" | "received";
  readonly wire: WireMessage;
}

/** What is open at one end of a connection. */
export interface WireLedger {
  readonly helloSent: boolean;
  readonly goodbye: boolean;
  /** Limit of the permit we gave, and of the one we hold. */
  readonly given: number | null;
  readonly held: number | null;
  readonly givenSeq: number;
  readonly heldSeq: number;
  readonly requests: Requests;
  readonly served: Requests;
}

/** Requests of one direction that have no response yet, with how many entries each asked for. */
interface Requests {
  readonly nextId: number;
  readonly open: Readonly<Record<number, number>>;
}

const noRequests: Requests = { nextId: 0, open: {} };

export const freshLedger: WireLedger = {
  helloSent: false,
  goodbye: false,
  given: null,
  held: null,
  givenSeq: -1,
  heldSeq: -1,
  requests: noRequests,
  served: noRequests,
};

export interface Observed {
  readonly ledger: WireLedger;
  /** Empty as long as the laws hold. */
  readonly problems: readonly string[];
}

/** The message in bytes that crossed a link, or what is wrong with them. */
export function readWire(channel: ChannelName, bytes: Uint8Array): WireMessage | string {
  const { bytesMax } = CHANNELS[channel];
  switch (channel) {
    case "control": {
      const decoded = decode(controlSchema, bytes, bytesMax);
      return decoded.tag === "decoded" ? { channel, message: decoded.value } : decoded.detail;
    }
    case "transaction": {
      const decoded = decode(transactionSchema, bytes, bytesMax);
      return decoded.tag === "decoded" ? { channel, message: decoded.value } : decoded.detail;
    }
    case "rpc": {
      const decoded = decode(rpcSchema, bytes, bytesMax);
      return decoded.tag === "decoded" ? { channel, message: decoded.value } : decoded.detail;
    }
  }
}

/** Books one event at one end. What the peer does is checked too: an honest one breaks no law either. */
export function observe(ledger: WireLedger, { way, wire }: WireEvent): Observed {
  if (ledger.goodbye) {
    // After a Goodbye everything that still arrives is ignored, and nothing more is sent.
    return { ledger, problems: way === "sent" ? [`${nameOf(wire)} sent after Goodbye`] : [] };
  }
  switch (wire.channel) {
    case "control":
      return control(ledger, way, wire.message);
    case "transaction":
      return transaction(ledger, way, wire.message);
    case "rpc":
      return rpc(ledger, way, wire.message);
  }
}

export const nameOf = ({ channel, message }: WireMessage): string => `${channel} ${message.tag}`;

/** What the last Infos to this end announced, if the event is one. */
export function announcedBy({ way, wire }: WireEvent): readonly TransactionInfo[] | null {
  if (way !== "received" || wire.channel !== "transaction" || wire.message.tag !== "infos") return null;
  return wire.message.items;
}

function control(ledger: WireLedger, way: WireEvent["way"], message: ControlMessage): Observed {
  if (message.tag === "goodbye") return { ledger: { ...ledger, goodbye: true }, problems: [] };
  if (way === "received") return { ledger, problems: [] };
  const isHello = message.tag === "hello";
  const problems =
    isHello === ledger.helloSent ? [isHello ? "a second Hello" : `${message.tag} before Hello`] : [];
  return { ledger: { ...ledger, helloSent: true }, problems };
}

function transaction(ledger: WireLedger, way: WireEvent["way"], message: TransactionMessage): Observed {
  // Seen from the giver the permit is `given`, from its holder `held`.
  const isGiver = (way === "sent") === (message.tag !== "infos");
  const [permit, seqOf] = isGiver ? (["given", "givenSeq"] as const) : (["held", "heldSeq"] as const);
  const problems: string[] = [];
  switch (message.tag) {
    case "getNext": {
      if (ledger[permit] !== null) problems.push(`${way} a second GetNext while one is open`);
      if (message.window.seq <= ledger[seqOf]) problems.push(`${way} a GetNext whose seq does not grow`);
      return { ledger: { ...ledger, [permit]: message.limit, [seqOf]: message.window.seq }, problems };
    }
    case "refloor": {
      if (message.window.seq <= ledger[seqOf]) problems.push(`${way} a Refloor whose seq does not grow`);
      return { ledger: { ...ledger, [seqOf]: message.window.seq }, problems };
    }
    case "infos": {
      const limit = ledger[permit];
      if (limit === null) problems.push(`${way} Infos without a permit`);
      if (message.items.length > (limit ?? INFOS_MAX)) {
        problems.push(`${way} ${message.items.length} infos for a permit of ${limit}`);
      }
      return { ledger: { ...ledger, [permit]: null }, problems };
    }
  }
}

function rpc(ledger: WireLedger, way: WireEvent["way"], message: RpcMessage): Observed {
  const isAsker = (way === "sent") === (message.tag === "request");
  const side = isAsker ? "requests" : "served";
  const { nextId, open } = ledger[side];
  const problems: string[] = [];
  if (message.tag === "request") {
    if (message.id !== nextId) problems.push(`${way} request ${message.id}, the next is ${nextId}`);
    const asked = message.body.tag === "transactions" ? message.body.hashes.length : 0;
    const requests = { nextId: message.id + 1, open: { ...open, [message.id]: asked } };
    if (Object.keys(requests.open).length > RPC_OPEN_MAX) problems.push(`${way} a fifth open request`);
    return { ledger: { ...ledger, [side]: requests }, problems };
  }
  const asked = open[message.id];
  if (asked === undefined) problems.push(`${way} response ${message.id} to no open request`);
  const found = message.body.tag === "items" ? message.body.found.length : 0;
  if (found > (asked ?? found)) problems.push(`${way} ${found} items for ${asked} hashes`);
  const { [message.id]: _answered, ...rest } = open;
  return { ledger: { ...ledger, [side]: { nextId, open: rest } }, problems };
}
