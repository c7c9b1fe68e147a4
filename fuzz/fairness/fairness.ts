import type { Input } from "../../core/actions.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId } from "../../core/ids.ts";
import { RPC_RATES } from "../../core/limits.ts";
import type { State } from "../../core/state.ts";
import type { Conversation } from "../conversation.ts";
import type { Problems } from "../invariants.ts";
import type { WireEvent } from "../wire.ts";
import { forget, freshTurns, passedOver, serve, type Turns } from "./turns.ts";
import { type Guest, type ServiceName, serviceOf, waits } from "./waits.ts";

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

interface Room {
  readonly guests: Map<AttemptId, Guest>;
  readonly turns: Map<ServiceName, Turns<Guest>>;
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
      return given.flatMap(({ service, guest }) => judgeOne(room, service, guest, node.state));
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
  for (const one of turns.values()) forget(one, guest);
}

function turnsOf({ guests, turns }: Room, service: ServiceName): Turns<Guest> {
  const known = turns.get(service) ?? freshTurns(guests.values());
  turns.set(service, known);
  return known;
}

/** @returns whether somebody waits who was passed over too often */
function judgeOne(room: Room, service: ServiceName, guest: Guest, state: State): Problems {
  const bypass = passedOver(turnsOf(room, service), guest, (other) => waits(service, other, state));
  if (bypass === null) return [];
  const { passes, longest } = bypass;
  return [`gave ${guest.peerId} ${service} ${passes} times while ${longest.peerId} waits for it`];
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
