import { type Tip, tipOf } from "../core/block.ts";
import type { BestTipMessage } from "../core/channels/best-tip.ts";
import type { PoolMessage } from "../core/channels/permits.ts";
import type { RpcMessage } from "../core/channels/rpc.ts";
import type { Hash, PeerId } from "../core/ids.ts";
import { HEDGE_MS, RPC_BLOCK_TIMEOUT_MS } from "../core/limits.ts";
import { hashOf, type PoolInfo, type PoolName } from "../core/pools.ts";
import type { State } from "../core/state.ts";
import { isPreferred } from "./chain-selection.ts";
import { checkAsked, type Problems, TIMER_MS } from "./invariants.ts";
import { compare } from "./oracle.ts";
import { type Announced, announcedNow, unsettled } from "./settlement.ts";
import { announcedBy, freshLedger, observe, type WireEvent, type WireLedger } from "./wire.ts";

/**
 * Everything that was said at one end of a connection, and the laws about what that end may say next: those of
 * wire.ts, which need nothing but the messages, and those that need the state of the node too.
 */
export interface Conversation {
  ledger: WireLedger;
  /** The last tip that was sent here, and the last one that came. */
  told: Tip | null;
  heard: Tip | null;
  /** What this end was told last, and what became of it: law 2 is judged by this. */
  readonly announced: Map<PoolName, Announced>;
  /** By the id of our request, what it asked for. */
  readonly open: Map<number, Request>;
  /** Requests of the peer that wait for our response, since which tick; null: since the last one. */
  readonly served: Map<number, number | null>;
  /** What the peer was asked for since it announced it last. */
  readonly asked: Set<Hash>;
  /** Of each info that was sent here the index that its entry had. */
  readonly shown: Map<string, number>;
}

/** The simulated services take some milliseconds; a process that stood still has its input late. */
const SERVED_MS = 3_000;

interface Request {
  readonly hashes: readonly Hash[];
  readonly atMs: number;
}

export const freshConversation = (): Conversation => ({
  ledger: freshLedger,
  told: null,
  heard: null,
  announced: new Map(),
  open: new Map(),
  served: new Map(),
  asked: new Set(),
  shown: new Map(),
});

/** What books and judges a message has to know of the node at whose end it is. */
export interface Speaker {
  readonly state: State;
  readonly judged: ReadonlyMap<Hash, { readonly atMs: number }>;
  /** The other end, if its connection is live. */
  readonly peerId: PeerId | null;
  /** Told of every body that arrives. */
  readonly body: (hash: Hash) => void;
}

/** Books one message. @returns what is wrong with it */
export function book(talk: Conversation, event: WireEvent, speaker: Speaker): Problems {
  const { permits } = talk.ledger;
  const { ledger, problems } = observe(talk.ledger, event);
  talk.ledger = ledger;
  const announced = announcedBy(event);
  if (announced !== null) {
    talk.announced.set(announced.pool, announcedNow(speaker.state, announced));
    for (const info of announced.infos) talk.asked.delete(hashOf(info));
  }
  const more = event.way === "sent" ? sent(talk, event, speaker, permits) : received(talk, event, speaker);
  return [...problems, ...more];
}

/** P19: at a tick every request of ours was answered, or was given up in time. */
export function checkAnswers(talk: Conversation, state: State, peerId: PeerId): Problems {
  const latestMs = state.timeMs - RPC_BLOCK_TIMEOUT_MS - TIMER_MS;
  const ours = state.peers.get(peerId)?.live?.rpc?.ours ?? [];
  return ours.flatMap(({ id, abandoned }) =>
    !abandoned && (talk.open.get(id)?.atMs ?? latestMs) < latestMs ? [`still waits for response ${id}`] : [],
  );
}

/** P08: who has an item to serve and does not for HEDGE_MS is slow, and another one may be asked for what it was asked last. */
export function checkLate(talk: Conversation, state: State, peerId: PeerId): Problems {
  const latestMs = state.timeMs - HEDGE_MS - TIMER_MS;
  const live = state.peers.get(peerId)?.live;
  const late = Object.values(live?.fetching ?? {})
    .map((id) => talk.open.get(id ?? -1))
    .filter((request) => request !== undefined && request.atMs < latestMs);
  if (late.length === 0) return [];
  const problems = live?.record.promptness === "slow" ? [] : [`does not call ${peerId} slow`];
  for (const hash of late.flatMap((request) => request?.hashes ?? [])) {
    const stage = state.fetches.get(hash)?.stage;
    if (stage?.tag === "requested" && stage.from.at(-1) === peerId && !stage.isLate)
      problems.push(`asks nobody else for ${hash}`);
  }
  return problems;
}

/**
 * P19: at a tick no request of the peer waits for long, unless it waits for the line. A process that stood still has to
 * be given time to answer.
 *
 * @param beforeMs of the last input before this one
 */
export function checkServed(talk: Conversation, state: State, peerId: PeerId, beforeMs: number): Problems {
  const isBlocked = state.peers.get(peerId)?.live?.blocked.includes("rpc") ?? true;
  const problems: string[] = [];
  for (const [id, sinceMs] of talk.served) {
    if (sinceMs === null) talk.served.set(id, state.timeMs);
    if (sinceMs === null || state.timeMs <= sinceMs + SERVED_MS) continue;
    if (isBlocked || beforeMs <= sinceMs + SERVED_MS) talk.served.set(id, state.timeMs);
    else problems.push(`has not answered request ${id}`);
  }
  return problems;
}

/** 7.8: while something is streamed, everybody who is there was asked for it. */
export function checkSources(talk: Conversation, { peers, download }: State, peerId: PeerId): Problems {
  if (!download?.isActive || peers.get(peerId)?.live?.streaming == null) return [];
  const wasAsked = download.sources.has(peerId) || talk.ledger.streams.ours.nextId > 0;
  return wasAsked ? [] : [`streams, and has not asked ${peerId}`];
}

function received(talk: Conversation, { wire }: WireEvent, { body }: Speaker): Problems {
  if (wire.channel === "best-tip" && wire.message.tag === "bestTip") talk.heard = tipOf(wire.message.header);
  if (wire.channel !== "rpc") return [];
  const response = wire.message;
  if (response.tag === "request") {
    talk.served.set(response.id, null);
    return [];
  }
  const hashes = talk.open.get(response.id)?.hashes ?? [];
  talk.open.delete(response.id);
  if (response.body.tag === "infos")
    for (const info of response.body.infos.items) talk.asked.delete(hashOf(info));
  for (const [index, hash] of hashes.entries()) {
    const found = response.body.tag === "items" ? response.body.found[index] : null;
    if (found?.tag === "some") body(hash);
    else if (found !== undefined) for (const said of talk.announced.values()) said.failed.add(hash);
    // A shorter list leaves the rest for another request.
    else talk.asked.delete(hash);
  }
  return [];
}

/** @param permits as they were before the message */
function sent(talk: Conversation, { wire }: WireEvent, speaker: Speaker, permits: Permits): Problems {
  switch (wire.channel) {
    case "best-tip":
      return sentTip(talk, wire.message, speaker);
    case "rpc":
      return sentRpc(talk, wire.message, speaker);
    case "transaction":
    case "snark":
    case "snark-job-commitment":
      return wire.message.tag === "infos"
        ? sentInfos(talk, wire.channel, wire.message, speaker, permits)
        : sentWindow(talk, wire.channel, wire.message, speaker);
    default:
      return [];
  }
}

function sentTip(talk: Conversation, message: BestTipMessage, { state }: Speaker): Problems {
  if (message.tag !== "bestTip") return [];
  const [last, tip] = [talk.told, tipOf(message.header)];
  talk.told = tip;
  const isNews = last === null || isPreferred(tip, last, state.config.chain);
  return isNews ? [] : [`sent tip ${tip.hash}, which is not better than ${last.hash} before it`];
}

/** 7.4, Fetch: the greatest priorities first, and nobody again who was asked and did not serve it. */
function sentRpc(talk: Conversation, message: RpcMessage, { state, peerId }: Speaker): Problems {
  if (message.tag !== "request") {
    talk.served.delete(message.id);
    return [];
  }
  const hashes = "hashes" in message.body ? message.body.hashes : [];
  talk.open.set(message.id, { hashes, atMs: state.timeMs });
  const problems: string[] = [];
  let before: PoolInfo | null = null;
  for (const hash of hashes) {
    const { announcers, stage } = state.fetches.get(hash) ?? {};
    // What a block needs is asked for as well, of whoever has the block.
    if (peerId === null || stage?.tag !== "requested" || !stage.from.includes(peerId)) continue;
    if (talk.asked.has(hash)) problems.push(`asked again for ${hash}`);
    talk.asked.add(hash);
    const info = announcers?.get(peerId);
    if (info === undefined || stage.from.length > 1) continue;
    if (before !== null && compare(info, before) < 0) problems.push(`asked for ${hash} after a lesser one`);
    before = info;
  }
  return [...problems, ...checkAsked(state, message)];
}

function sentWindow(
  talk: Conversation,
  pool: PoolName,
  message: Exclude<PoolMessage, { tag: "infos" }>,
  { state, judged }: Speaker,
): Problems {
  const announced = talk.announced.get(pool);
  if (message.tag !== "getNext" || announced === undefined) return [];
  return unsettled(announced, [...talk.open.values()], state, judged);
}

/** 7.4: only to whom our tip is nothing new (gate), and nothing twice unless a band asks for it (P21). */
function sentInfos(
  talk: Conversation,
  pool: PoolName,
  { items, seq }: Extract<PoolMessage, { tag: "infos" }>,
  { state }: Speaker,
  permits: Permits,
): Problems {
  const problems: string[] = [];
  const window = permits[pool].theirs.windows[seq];
  const { heard } = talk;
  const { tip } = state.chain;
  const isLevel = heard !== null && (heard.hash === tip.hash || isPreferred(heard, tip, state.config.chain));
  if (items.length > 0 && !isLevel) problems.push(`sent infos on ${pool} to a peer that is behind`);
  for (const info of items) {
    const key = `${pool} ${hashOf(info)}`;
    const index = state.pools[pool].entries.get(hashOf(info))?.index;
    if (index === undefined) continue;
    if (talk.shown.get(key) === index && window?.hasBand === false)
      problems.push(`sent the info of ${hashOf(info)} twice`);
    talk.shown.set(key, index);
  }
  return problems;
}

type Permits = WireLedger["permits"];
