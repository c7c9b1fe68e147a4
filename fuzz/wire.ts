import type { BestTipMessage } from "../core/channels/best-tip.ts";
import type { ControlMessage } from "../core/channels/control.ts";
import type { DiscoveryMessage } from "../core/channels/discovery.ts";
import type { PoolMessage } from "../core/channels/permits.ts";
import type { RpcMessage } from "../core/channels/rpc.ts";
import type { StreamingMessage } from "../core/channels/streaming-rpc.ts";
import { CHANNELS, type ChannelMessage, type ChannelName } from "../core/channels/table.ts";
import { decode } from "../core/codec/codec.ts";
import type { Schema } from "../core/codec/schema.ts";
import { isAbove } from "../core/floors.ts";
import { INFOS_MAX, RPC_OPEN_MAX, STREAM_OUTSTANDING_MAX } from "../core/limits.ts";
import { POOL_NAMES, type PoolInfo, type PoolName, priorityOf } from "../core/pools.ts";
import type { Priority } from "../core/priority.ts";
import { discoveryFlow, exchangeFlow, type Flow, NO_FLOW } from "./wire-signaling.ts";

/**
 * Law 1 as an outsider sees it who reads every message at one end of a connection, in the order in which that end
 * sends and receives. It knows nothing of the state of the node.
 */
export interface WireEvent {
  readonly way: "sent" | "received";
  readonly wire: ChannelMessage;
}

/** What is open at one end of a connection. */
export interface WireLedger {
  readonly helloSent: boolean;
  readonly goodbye: boolean;
  readonly permits: { readonly [Name in PoolName]: Directions<PermitLedger> };
  /** Whether a tip may be announced. */
  readonly tips: Directions<boolean>;
  readonly requests: Directions<Requests>;
  readonly streams: Directions<StreamLedger>;
  readonly discovery: Directions<Flow>;
  readonly exchange: Directions<Flow>;
}

/** Seen from this end: `ours` we gave, asked or opened, `theirs` the peer did. */
interface Directions<T> {
  readonly ours: T;
  readonly theirs: T;
}

interface PermitLedger {
  /** Of the open permit; null: none is open. */
  readonly limit: number | null;
  readonly lastSeq: number;
  /** Windows since the last Infos, by their seq. */
  readonly windows: Readonly<Record<number, Window>>;
}

interface Window {
  readonly floor: Priority | null;
  readonly hasBand: boolean;
}

/** Requests that have no response yet, with the kind of each and how many entries it asked for. */
interface Requests {
  readonly nextId: number;
  readonly open: Readonly<Record<number, { readonly kind: string; readonly entries: number }>>;
}

interface StreamLedger {
  readonly nextId: number;
  /** Chunks that were permitted and did not come, of the open stream; null: none is open. */
  readonly outstanding: number | null;
}

const both = <T>(of: T): Directions<T> => ({ ours: of, theirs: of });
const freshPermit: PermitLedger = { limit: null, lastSeq: -1, windows: {} };
const freshRequests: Requests = { nextId: 0, open: {} };

export const freshLedger: WireLedger = {
  helloSent: false,
  goodbye: false,
  permits: {
    transaction: both(freshPermit),
    snark: both(freshPermit),
    "snark-job-commitment": both(freshPermit),
  },
  tips: both(false),
  requests: both(freshRequests),
  streams: both<StreamLedger>({ nextId: 0, outstanding: null }),
  discovery: both(NO_FLOW),
  exchange: both(NO_FLOW),
};

export interface Observed {
  readonly ledger: WireLedger;
  /** Empty as long as the laws hold. */
  readonly problems: readonly string[];
}

/** The message in bytes that crossed a link, or what is wrong with them. */
export function readWire(channel: ChannelName, bytes: Uint8Array): ChannelMessage | string {
  // The schema of a channel reads its messages; TypeScript cannot see that name and message belong together.
  const schema = CHANNELS[channel].schema as Schema<ChannelMessage["message"]>;
  const decoded = decode(schema, bytes, CHANNELS[channel].bytesMax);
  return decoded.tag === "decoded" ? ({ channel, message: decoded.value } as ChannelMessage) : decoded.detail;
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
    case "signaling/discovery": {
      const side = sideOf(way, OF_RELAY.includes(wire.message.tag));
      const { flow, problems } = discoveryFlow(ledger.discovery[side], way, wire.message);
      return { ledger: { ...ledger, discovery: { ...ledger.discovery, [side]: flow } }, problems };
    }
    case "signaling/exchange": {
      const side = sideOf(way, wire.message.tag !== "offer");
      const { flow, problems } = exchangeFlow(ledger.exchange[side], way, wire.message);
      return { ledger: { ...ledger, exchange: { ...ledger.exchange, [side]: flow } }, problems };
    }
    case "best-tip":
      return bestTip(ledger, way, wire.message);
    case "rpc":
      return rpc(ledger, way, wire.message);
    case "streaming-rpc":
      return streaming(ledger, way, wire.message);
    default:
      return permit(ledger, wire.channel, way, wire.message);
  }
}

export const nameOf = ({ channel, message }: ChannelMessage): string => `${channel} ${message.tag}`;

/** What the last Infos to this end announced, if the event is one. */
export function announcedBy({
  way,
  wire,
}: WireEvent): { readonly pool: PoolName; readonly infos: readonly PoolInfo[] } | null {
  const pool = POOL_NAMES.find((name) => name === wire.channel);
  if (way !== "received" || pool === undefined || wire.message.tag !== "infos") return null;
  return { pool, infos: wire.message.items };
}

/** What the giver of a discovery permit says. */
const OF_RELAY: readonly DiscoveryMessage["tag"][] = ["getNext", "discovered", "answer"];

/** Whose permit, request or stream a message is about, if its opener sends these tags. */
const sideOf = (way: WireEvent["way"], isOfOpener: boolean): "ours" | "theirs" =>
  (way === "sent") === isOfOpener ? "ours" : "theirs";

function control(ledger: WireLedger, way: WireEvent["way"], message: ControlMessage): Observed {
  if (message.tag === "goodbye") return { ledger: { ...ledger, goodbye: true }, problems: [] };
  if (way === "received") return { ledger, problems: [] };
  const isHello = message.tag === "hello";
  const problems =
    isHello === ledger.helloSent ? [isHello ? "a second Hello" : `${message.tag} before Hello`] : [];
  return { ledger: { ...ledger, helloSent: true }, problems };
}

function bestTip(ledger: WireLedger, way: WireEvent["way"], message: BestTipMessage): Observed {
  const isPermit = message.tag === "getNext";
  const side = sideOf(way, isPermit);
  const isOpen = ledger.tips[side];
  const problems =
    isOpen === isPermit
      ? [isPermit ? `${way} a second GetNext for tips` : `${way} a tip without a permit`]
      : [];
  return { ledger: { ...ledger, tips: { ...ledger.tips, [side]: isPermit } }, problems };
}

function permit(ledger: WireLedger, pool: PoolName, way: WireEvent["way"], message: PoolMessage): Observed {
  const side = sideOf(way, message.tag !== "infos");
  const before = ledger.permits[pool][side];
  const { after, problems } =
    message.tag === "infos" ? answered(pool, way, before, message) : given(pool, way, before, message);
  const changed = { ...ledger.permits[pool], [side]: after };
  return { ledger: { ...ledger, permits: { ...ledger.permits, [pool]: changed } }, problems };
}

interface Booked {
  readonly after: PermitLedger;
  readonly problems: readonly string[];
}

function given(
  pool: PoolName,
  way: WireEvent["way"],
  { limit, lastSeq, windows }: PermitLedger,
  message: Exclude<PoolMessage, { tag: "infos" }>,
): Booked {
  const problems: string[] = [];
  const { seq, floor, band } = message.window;
  if (message.tag === "getNext" && limit !== null)
    problems.push(`${way} a second GetNext on ${pool} while one is open`);
  if (seq <= lastSeq) problems.push(`${way} a window on ${pool} whose seq does not grow`);
  if (pool !== "transaction" && floor !== null) problems.push(`${way} a floor on ${pool}`);
  return {
    after: {
      limit: message.tag === "getNext" ? message.limit : limit,
      lastSeq: seq,
      windows: { ...windows, [seq]: { floor, hasBand: band !== null } },
    },
    problems,
  };
}

function answered(
  pool: PoolName,
  way: WireEvent["way"],
  { limit, lastSeq, windows }: PermitLedger,
  { items, seq }: Extract<PoolMessage, { tag: "infos" }>,
): Booked {
  const problems: string[] = [];
  const window = windows[seq];
  if (limit === null) problems.push(`${way} Infos on ${pool} without a permit`);
  if (items.length > (limit ?? INFOS_MAX))
    problems.push(`${way} ${items.length} infos for a permit of ${limit}`);
  if (window === undefined) problems.push(`${way} Infos on ${pool} for window ${seq}, which was not given`);
  else {
    if (items.length === 0 && !window.hasBand) problems.push(`${way} empty Infos on ${pool} without a band`);
    const below = items.filter((info) => !isAbove(priorityOf(info), window.floor));
    if (below.length > 0)
      problems.push(`${way} ${below.length} infos on ${pool} that are not above the floor`);
  }
  return { after: { limit: null, lastSeq, windows: {} }, problems };
}

function rpc(ledger: WireLedger, way: WireEvent["way"], message: RpcMessage): Observed {
  const side = sideOf(way, message.tag === "request");
  const { nextId, open } = ledger.requests[side];
  const problems: string[] = [];
  const booked = (requests: Requests): Observed => ({
    ledger: { ...ledger, requests: { ...ledger.requests, [side]: requests } },
    problems,
  });
  const { id } = message;
  if (message.tag === "request") {
    if (id !== nextId) problems.push(`${way} request ${id}, the next is ${nextId}`);
    const asked = { kind: RESPONSES[message.body.tag], entries: entriesAsked(message.body) };
    const requests = { nextId: id + 1, open: { ...open, [id]: asked } };
    if (Object.keys(requests.open).length > RPC_OPEN_MAX) problems.push(`${way} a fifth open request`);
    return booked(requests);
  }
  const { [id]: asked, ...rest } = open;
  const { tag } = message.body;
  if (asked === undefined) problems.push(`${way} response ${id} to no open request`);
  else if (tag !== "notFound" && tag !== "busy" && tag !== asked.kind)
    problems.push(`${way} ${tag} for a request of ${asked.kind}`);
  const entries = entriesOf(message.body);
  if (entries > (asked?.entries ?? entries))
    problems.push(`${way} ${entries} entries for ${asked?.entries} that were asked for`);
  return booked({ nextId, open: rest });
}

type RequestBody = Extract<RpcMessage, { tag: "request" }>["body"];
type ResponseBody = Extract<RpcMessage, { tag: "response" }>["body"];

const RESPONSES: { readonly [Kind in RequestBody["tag"]]: ResponseBody["tag"] } = {
  bestTip: "bestTip",
  block: "block",
  transactions: "items",
  snarks: "items",
  ancestry: "ancestry",
  peers: "peers",
  reconcile: "reconcile",
  infosByShortId: "infos",
};

function entriesAsked(body: RequestBody): number {
  if ("hashes" in body) return body.hashes.length;
  if ("ids" in body) return body.ids.length;
  return "count" in body ? body.count : Number.POSITIVE_INFINITY;
}

function entriesOf(body: ResponseBody): number {
  if ("found" in body) return body.found.length;
  if ("infos" in body) return body.infos.items.length;
  return "headers" in body ? body.headers.length : 0;
}

/** Messages of a stream that has ended are ignored (7.8). */
function streaming(ledger: WireLedger, way: WireEvent["way"], message: StreamingMessage): Observed {
  const { id } = message;
  if (message.tag === "cancel") {
    const { ours, theirs } = ledger.streams;
    return {
      ledger: { ...ledger, streams: { ours: closed(ours, id), theirs: closed(theirs, id) } },
      problems: [],
    };
  }
  const side = sideOf(way, message.tag === "request" || message.tag === "next");
  const stream = ledger.streams[side];
  const problems: string[] = [];
  const booked = (change: Partial<StreamLedger>): Observed => ({
    ledger: { ...ledger, streams: { ...ledger.streams, [side]: { ...stream, ...change } } },
    problems,
  });
  if (message.tag === "request") {
    if (id !== stream.nextId) problems.push(`${way} stream ${id}, the next is ${stream.nextId}`);
    if (stream.outstanding !== null) problems.push(`${way} a second open stream`);
    return booked({ nextId: id + 1, outstanding: 0 });
  }
  if (id !== stream.nextId - 1 || stream.outstanding === null) return booked({});
  switch (message.tag) {
    case "manifest":
      return booked(message.manifest === null ? { outstanding: null } : {});
    case "next": {
      const outstanding = stream.outstanding + message.count;
      if (outstanding > STREAM_OUTSTANDING_MAX) problems.push(`${way} Next for ${outstanding} chunks`);
      return booked({ outstanding });
    }
    case "chunk":
      if (stream.outstanding === 0) problems.push(`${way} a chunk without a permit`);
      return booked({ outstanding: Math.max(0, stream.outstanding - 1) });
  }
}

/** The tag does not say whose stream of this number it ends. */
const closed = (stream: StreamLedger, id: number): StreamLedger =>
  id === stream.nextId - 1 ? { ...stream, outstanding: null } : stream;
