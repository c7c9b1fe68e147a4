import type { Input } from "../core/actions.ts";
import type { Effect } from "../core/effects.ts";
import { isAbove } from "../core/floors.ts";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { RPC_OPEN_MAX, RPC_RATES } from "../core/limits.ts";
import { POOL_NAMES, type PoolName } from "../core/pools.ts";
import type { Fetch, LivePeer, State } from "../core/state.ts";
import { isPreferred } from "./chain-selection.ts";
import type { Conversation } from "./conversation.ts";
import type { Problems } from "./invariants.ts";
import type { WireEvent } from "./wire.ts";

/**
 * Bounded bypass: while a peer waits for a service of a node that nothing but the node itself withholds, no other peer
 * gets the same service more than BYPASS_MAX times.
 *
 * A service is an answer to a request (of one kind), a chunk, infos of one pool, a tip, a permit, a request for what a
 * peer announced, a verification. What the protocol names is no wait: a line that is full, a load or a verification
 * under way, a gate, a budget that is used up, a reconciliation, a request that the peer has not answered.
 */
export interface Fairness {
  /** Before a message is booked in the conversation. @returns what is wrong with it */
  readonly hear: (node: End, attemptId: AttemptId, event: WireEvent, talk: Conversation) => Problems;
  /** When everything that the last step has sent was heard. @returns who was passed over in it */
  readonly judge: (node: End) => Problems;
  /** After a step whose messages are not sent yet. @param before the state that it changed */
  readonly after: (node: End, before: State, input: Input, result: Outcome) => void;
  /** Nothing is known of this connection any more. */
  readonly forget: (node: Pick<End, "index" | "life">, attemptId: AttemptId) => void;
}

/** One process, as far as it can be seen. */
export interface End {
  readonly index: number;
  readonly life: number;
  readonly state: State;
}

interface Outcome {
  readonly effects: readonly Effect[];
}

/**
 * Whoever serves in turn may be in the middle of one turn of another peer when the wait begins, and give it one more
 * before it comes round. Pollen has no turns: it serves everybody in the step in which it can.
 */
export const BYPASS_MAX = 2;
/** Peers that are looked at with each service, one after the other: what it costs does not grow with their number. */
const LOOKS_PER_SERVICE = 4;

/** A peer at the other end of one connection. */
interface Guest {
  readonly attemptId: AttemptId;
  readonly peerId: PeerId;
  readonly talk: Conversation;
  /** Its requests whose answer is being loaded. */
  readonly loads: Set<number>;
  /** The chunk that is being loaded for it: stream and index. */
  chunk: string | null;
}

/** Who was given one service, in numbers of that service, and who waits for it. */
interface Turns {
  given: number;
  /** The last of each peer: one more than may pass somebody by. */
  readonly served: Map<Guest, readonly number[]>;
  /** Since which number, the longest wait first. */
  readonly waiting: Map<Guest, number>;
  /** Everybody else, who was looked at last at the end. */
  readonly others: Set<Guest>;
}

interface Room {
  readonly guests: Map<AttemptId, Guest>;
  readonly turns: Map<ServiceName, Turns>;
  /** What was given in the last step. */
  given: { readonly service: ServiceName; readonly guest: Guest }[];
}

export function createFairness(): Fairness {
  const rooms = new Map<string, Room>();

  function roomOf({ index, life }: Pick<End, "index" | "life">): Room {
    const key = `${index}.${life}`;
    const room = rooms.get(key) ?? { guests: new Map(), turns: new Map(), given: [] };
    rooms.set(key, room);
    return room;
  }

  return {
    hear: (node, attemptId, event, talk) => {
      const room = roomOf(node);
      const guest = room.guests.get(attemptId) ?? enter(room, node.state, attemptId, talk);
      if (guest === null || event.way === "received") return [];
      const service = serviceOf(event, guest, node.state);
      if (service !== null) room.given.push({ service, guest });
      return checkBusy(event, talk);
    },
    judge: (node) => {
      const room = roomOf(node);
      const { given } = room;
      room.given = [];
      for (const { service, guest } of given) serve(turnsOf(room, service), guest);
      return given.flatMap(({ service, guest }) => passedOver(room, service, guest, node.state));
    },
    after: (node, before, input, { effects }) => {
      const room = roomOf(node);
      noteLoaded(room, input);
      for (const effect of effects) {
        noteLoading(room, effect);
        if (effect.type !== "effect/verifyItems") continue;
        for (const guest of verifiedFor(room, before, node.state, effect))
          room.given.push({ service: `verification ${effect.pool}`, guest });
      }
      if (input.type === "event/connectionClosed") leave(room, input.attemptId);
    },
    forget: (node, attemptId) => leave(roomOf(node), attemptId),
  };
}

function enter(
  { guests, turns }: Room,
  { attempts }: State,
  attemptId: AttemptId,
  talk: Conversation,
): Guest | null {
  const peerId = attempts.get(attemptId)?.peerId ?? null;
  if (peerId === null) return null;
  const guest: Guest = { attemptId, peerId, talk, loads: new Set(), chunk: null };
  guests.set(attemptId, guest);
  for (const { others } of turns.values()) others.add(guest);
  return guest;
}

function leave({ guests, turns }: Room, attemptId: AttemptId): void {
  const guest = guests.get(attemptId);
  if (guest === undefined) return;
  guests.delete(attemptId);
  for (const { served, waiting, others } of turns.values())
    for (const known of [served, waiting, others]) known.delete(guest);
}

function turnsOf({ guests, turns }: Room, service: ServiceName): Turns {
  const known = turns.get(service);
  if (known !== undefined) return known;
  const fresh: Turns = { given: 0, served: new Map(), waiting: new Map(), others: new Set(guests.values()) };
  turns.set(service, fresh);
  return fresh;
}

function serve(turns: Turns, guest: Guest): void {
  turns.given += 1;
  turns.served.set(guest, [...(turns.served.get(guest) ?? []), turns.given].slice(-BYPASS_MAX - 1));
  stopWaiting(turns, guest);
}

function stopWaiting({ waiting, others }: Turns, guest: Guest): void {
  waiting.delete(guest);
  others.delete(guest);
  others.add(guest);
}

/** Nobody has been passed over more often than the one who waits longest, so that nobody else is looked at. */
function passedOver(room: Room, service: ServiceName, served: Guest, state: State): Problems {
  const turns = turnsOf(room, service);
  const isWaiting = (guest: Guest): boolean => guest !== served && waits(service, guest, state);
  const longest = [...firstOf(turns.waiting.keys(), 2)].find((guest) => guest !== served);
  const problems: string[] = [];
  if (longest !== undefined && !isWaiting(longest)) stopWaiting(turns, longest);
  else if (longest !== undefined) {
    const since = turns.waiting.get(longest) ?? turns.given;
    const passes = turns.served.get(served)?.filter((number) => number > since).length ?? 0;
    if (passes > BYPASS_MAX)
      problems.push(`gave ${served.peerId} ${service} ${passes} times while ${longest.peerId} waits for it`);
  }
  for (const guest of [...firstOf(turns.others, LOOKS_PER_SERVICE)]) {
    turns.others.delete(guest);
    if (isWaiting(guest)) turns.waiting.set(guest, turns.given);
    else turns.others.add(guest);
  }
  return problems;
}

function* firstOf<T>(all: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const one of all) {
    if (left-- === 0) return;
    yield one;
  }
}

type ServiceName =
  | `answer of ${string}`
  | `${"infos" | "permit" | "request" | "verification"} ${PoolName}`
  | "chunk"
  | "chunk permit"
  | "tip"
  | "tip permit";

/** Of which service a message that was sent is one. */
function serviceOf({ wire }: WireEvent, { talk, peerId }: Guest, state: State): ServiceName | null {
  const { tag } = wire.message;
  switch (wire.channel) {
    case "control":
      return null;
    case "best-tip":
      return tag === "getNext" ? "tip permit" : "tip";
    case "streaming-rpc":
      return tag === "chunk" ? "chunk" : tag === "next" ? "chunk permit" : null;
    case "rpc": {
      const { body } = wire.message;
      if (wire.message.tag === "response")
        return `answer of ${talk.ledger.requests.theirs.open[wire.message.id]?.kind ?? body.tag}`;
      if (!("hashes" in body) || !isAskedOf(state.fetches.get(body.hashes[0] as Hash), peerId)) return null;
      return body.tag === "snarks" ? "request snark" : "request transaction";
    }
    default:
      if (tag === "refloor") return null;
      return `${tag === "infos" ? "infos" : "permit"} ${wire.channel}`;
  }
}

/** 7.7: Busy is for whom has used up what it may ask for. A reconciliation costs what the pool is large. */
function checkBusy({ wire }: WireEvent, { ledger }: Conversation): Problems {
  if (wire.channel !== "rpc" || wire.message.tag !== "response" || wire.message.body.tag !== "busy")
    return [];
  const { nextId, open } = ledger.requests.theirs;
  const burst = BURSTS[open[wire.message.id]?.kind ?? ""] ?? 0;
  return nextId > burst ? [] : [`is busy for one that has asked ${nextId} times, and may ask ${burst} times`];
}

/** By the kind of the answer. */
const BURSTS: Readonly<Record<string, number>> = {
  bestTip: RPC_RATES.bestTip.burst,
  block: RPC_RATES.block.burst,
  items: RPC_RATES.transactions.burst,
  ancestry: RPC_RATES.ancestry.burst,
  peers: RPC_RATES.peers.burst,
};

function noteLoading({ guests }: Room, effect: Effect): void {
  switch (effect.type) {
    case "effect/loadItems":
    case "effect/loadBlock":
    case "effect/loadAncestry":
      guests.get(effect.attemptId)?.loads.add(effect.rpcId);
      return;
    case "effect/loadChunk": {
      const guest = guests.get(effect.attemptId);
      if (guest !== undefined) guest.chunk = `${effect.streamId} ${effect.index}`;
    }
  }
}

function noteLoaded({ guests }: Room, input: Input): void {
  switch (input.type) {
    case "event/itemsLoaded":
    case "event/blockLoaded":
    case "event/ancestryLoaded":
      guests.get(input.attemptId)?.loads.delete(input.rpcId);
      return;
    case "event/chunkLoaded": {
      const guest = guests.get(input.attemptId);
      if (guest?.chunk === `${input.streamId} ${input.index}`) guest.chunk = null;
    }
  }
}

/** Who brought what is verified now: whoever was asked for it, or announced a commitment. */
function verifiedFor(
  { guests }: Room,
  before: State,
  { fetches, peers }: State,
  { items }: Extract<Effect, { type: "effect/verifyItems" }>,
): ReadonlySet<Guest> {
  const brought = items.flatMap(({ hash }) => {
    const stage = before.fetches.get(hash)?.stage;
    return stage?.tag === "requested" ? stage.from : [...(fetches.get(hash)?.announcers.keys() ?? [])];
  });
  return new Set(
    brought.flatMap((peerId) => guests.get(peers.get(peerId)?.live?.attemptId ?? (-1 as AttemptId)) ?? []),
  );
}

type Waits = (guest: Guest, state: State, live: LivePeer) => boolean;

/** It could be given the service as things are now. */
function waits(service: ServiceName, guest: Guest, state: State): boolean {
  const live = state.peers.get(guest.peerId)?.live ?? null;
  if (state.stopping || live?.attemptId !== guest.attemptId || guest.talk.ledger.goodbye) return false;
  const waiting = WAITS[service] ?? waitsForAnswer(service);
  return waiting(guest, state, live);
}

const waitsForAnswer =
  (service: ServiceName): Waits =>
  ({ talk, loads }, _state, { blocked }) =>
    !blocked.includes("rpc") &&
    Object.entries(talk.ledger.requests.theirs.open).some(
      ([id, { kind }]) => service === `answer of ${kind}` && !loads.has(Number(id)),
    );

const waitsForInfos =
  (pool: PoolName): Waits =>
  ({ talk }, state, live) => {
    const { limit, lastSeq, windows } = talk.ledger.permits[pool].theirs;
    const cursor = live.pools[pool]?.cursor ?? Number.POSITIVE_INFINITY;
    const [index = -1, hash] = state.pools[pool].byIndex.last() ?? [];
    if (limit === null || index < cursor || hash === undefined || live.blocked.includes(pool)) return false;
    const priority = state.pools[pool].entries.get(hash)?.priority ?? null;
    const hasBudget = (live.pools[pool]?.scanBudget?.tokens ?? 1) > 0;
    return hasBudget && isAbove(priority, windows[lastSeq]?.floor ?? null) && isLevel(talk, state, live);
  };

/** The gate of 7.4. */
function isLevel({ heard }: Conversation, { chain, config }: State, { bestTip }: LivePeer): boolean {
  if (bestTip === null || heard?.hash === chain.tip.hash) return true;
  return heard !== null && isPreferred(heard, chain.tip, config.chain);
}

const waitsForPermit =
  (pool: PoolName): Waits =>
  ({ talk }, { fetches }, { pools, blocked }) => {
    const ours = pools[pool]?.ours;
    if (ours === undefined || talk.ledger.permits[pool].ours.limit !== null || blocked.includes(pool))
      return false;
    if (ours.tag === "processing") return !ours.unsettled.some((hash) => fetches.has(hash));
    return ours.tag !== "reconciling";
  };

/** What others have announced too may be left to one of them who serves better (7.4, Fetch). */
const waitsForRequest =
  (pool: PoolName): Waits =>
  ({ talk, peerId }, state, live) => {
    const isFull = Object.keys(talk.ledger.requests.ours.open).length >= RPC_OPEN_MAX;
    if (isFull || isAsked(talk) || live.blocked.includes("rpc")) return false;
    return unsettledIn(live, pool, state).some(
      ({ stage, announcers }) => stage.tag === "waiting" && announcers.size === 1 && announcers.has(peerId),
    );
  };

/** It has answered, or told everything: still it is neither looked at nor asked again. */
const waitsForVerification =
  (pool: PoolName): Waits =>
  ({ talk, peerId }, state, live) => {
    if (pool !== "snark-job-commitment" && isAsked(talk)) return false;
    return unsettledIn(live, pool, state).some((fetching) =>
      pool === "snark-job-commitment" ? fetching.stage.tag === "waiting" : isAskedOf(fetching, peerId),
    );
  };

const isAsked = ({ ledger }: Conversation): boolean =>
  Object.values(ledger.requests.ours.open).some(({ kind }) => kind === "items");

const isAskedOf = (fetching: Fetch | undefined, peerId: PeerId): boolean =>
  fetching?.stage.tag === "requested" && fetching.stage.from.includes(peerId);

function unsettledIn({ pools }: LivePeer, pool: PoolName, { fetches }: State): readonly Fetch[] {
  const ours = pools[pool]?.ours;
  return ours?.tag === "processing" ? ours.unsettled.flatMap((hash) => fetches.get(hash) ?? []) : [];
}

const waitsForChunk: Waits = ({ talk, chunk }, _state, { blocked }) =>
  (talk.ledger.streams.theirs.outstanding ?? 0) > 0 && chunk === null && !blocked.includes("streaming-rpc");

const waitsForChunkPermit: Waits = ({ talk, attemptId, peerId }, { download }) => {
  const source = download?.sources.get(peerId);
  if (download?.isActive !== true || source?.attemptId !== attemptId || !source.isServing) return false;
  const isIdle = talk.ledger.streams.ours.outstanding === 0 && source.storing === 0;
  return isIdle && download.missing.size > 0;
};

const waitsForTip: Waits = ({ talk }, { chain, config }, { blocked }) =>
  talk.ledger.tips.theirs &&
  !blocked.includes("best-tip") &&
  (talk.told === null || isPreferred(chain.tip, talk.told, config.chain));

/** A better tip is on its way to being ours, and holds its permit (7.3). */
const waitsForTipPermit: Waits = ({ talk }, { chain, config }, { blocked }) =>
  !talk.ledger.tips.ours &&
  !blocked.includes("best-tip") &&
  talk.heard !== null &&
  !isPreferred(talk.heard, chain.tip, config.chain);

const WAITS: Readonly<Record<string, Waits>> = {
  chunk: waitsForChunk,
  "chunk permit": waitsForChunkPermit,
  tip: waitsForTip,
  "tip permit": waitsForTipPermit,
  ...Object.fromEntries(
    POOL_NAMES.flatMap((pool) => [
      [`infos ${pool}`, waitsForInfos(pool)],
      [`permit ${pool}`, waitsForPermit(pool)],
      [`request ${pool}`, waitsForRequest(pool)],
      [`verification ${pool}`, waitsForVerification(pool)],
    ]),
  ),
};
