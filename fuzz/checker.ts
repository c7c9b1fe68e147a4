import { type Tip, tipOf } from "../core/block.ts";
import type { Hash } from "../core/ids.ts";
import type { PoolName } from "../core/pools.ts";
import { POOL_NAMES } from "../core/pools.ts";
import type { State } from "../core/state.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import { isPreferred } from "./chain-selection.ts";
import {
  checkAsked,
  checkExpiry,
  checkFetchProgress,
  checkNoAccusation,
  checkNothingLost,
  checkPlain,
  checkTip,
  type Problems,
} from "./invariants.ts";
import { type Announced, announcedNow, unsettled } from "./settlement.ts";
import type { SimNode } from "./sim-node.ts";
import type { Judgement } from "./sim-parts.ts";
import type { ClusterObserver } from "./simulator.ts";
import { announcedBy, freshLedger, observe, readWire, type WireEvent, type WireLedger } from "./wire.ts";

/** Watches every step of every node and every message; throws at the first that breaks a law. */
export interface Checker extends ClusterObserver {
  /** Bodies that arrived, by node and hash. */
  readonly bodies: ReadonlyMap<string, number>;
  /** Action types and disconnect reasons, by how often they occurred (P10). */
  readonly histogram: ReadonlyMap<string, number>;
}

interface End {
  ledger: WireLedger;
  /** The last tip that was sent here. */
  tip: Tip | null;
  /** What this end was told last, and what became of it: law 2 is judged by this. */
  readonly announced: Map<PoolName, Announced>;
  /** By the id of our request, what it asked for. */
  readonly asked: Map<number, Asked>;
}

interface Asked {
  readonly hashes: readonly Hash[];
  readonly atMs: number;
}

const PLAIN_EVERY = 499;

/** @param isLiar nodes of which nothing is expected, and whom others may accuse */
export function createChecker(
  judgedBy: (node: number) => ReadonlyMap<Hash, Judgement>,
  isLiar: (node: number) => boolean = () => false,
): Checker {
  const ends = new Map<string, End>();
  const bodies = new Map<string, number>();
  const histogram = new Map<string, number>();
  const nodes = new Map<string, SimNode>();
  const liars = new Set<string>();
  let before: State | null = null;
  let steps = 0;

  const count = (counts: Map<string, number>, name: string): void => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };

  function endOf(node: { readonly index: number; readonly life: number }, attemptId: number): End {
    const key = keyOf(node, attemptId);
    const known = ends.get(key) ?? { ledger: freshLedger, tip: null, announced: new Map(), asked: new Map() };
    ends.set(key, known);
    return known;
  }

  function book(node: SimNode, attemptId: number, event: WireEvent): Problems {
    const end = endOf(node, attemptId);
    const { state } = node;
    const { ledger, problems } = observe(end.ledger, event);
    end.ledger = ledger;
    const announced = announcedBy(event);
    if (announced !== null) end.announced.set(announced.pool, announcedNow(state, announced));
    noteRpc(end, event, state.timeMs, (hash) => count(bodies, `${node.index}.${node.life} ${hash}`));
    return [...problems, ...checkSent(node, end, event)];
  }

  /** Laws about what is sent that take more than the messages themselves. */
  function checkSent({ index, state }: SimNode, end: End, { way, wire }: WireEvent): Problems {
    if (way !== "sent") return [];
    if (wire.channel === "best-tip" && wire.message.tag === "bestTip") {
      const [last, tip] = [end.tip, tipOf(wire.message.header)];
      end.tip = tip;
      const isNews = last === null || isPreferred(tip, last, state.config.chain);
      return isNews ? [] : [`sent tip ${tip.hash}, which is not better than ${last.hash} before it`];
    }
    if (wire.channel === "rpc") return checkAsked(state, wire.message);
    const pool = POOL_NAMES.find((name) => name === wire.channel);
    const announced = pool === undefined ? undefined : end.announced.get(pool);
    if (wire.message.tag !== "getNext" || announced === undefined) return [];
    const timedOut = [...end.asked.values()];
    return unsettled(announced, timedOut, state, judgedBy(index));
  }

  return {
    bodies,
    histogram,
    before: (node, input) => {
      nodes.set(`${node.index}.${node.life}`, node);
      before = node.state;
      if (input.type !== "event/message" || isLiar(node.index)) return;
      if (liars.has(keyOf(node, input.attemptId))) return;
      const wire = readWire(input.channel, input.bytes);
      if (typeof wire === "string") fail(node, [`received undecodable bytes: ${wire}`]);
      else fail(node, book(node, input.attemptId, { way: "received", wire }));
    },
    sent: (from, attemptId, to, channel, bytes) => {
      const node = nodes.get(`${from.index}.${from.life}`);
      if (node === undefined || isLiar(from.index)) return;
      if (isLiar(to.index)) {
        liars.add(keyOf(from, attemptId));
        return;
      }
      const wire = readWire(channel, bytes);
      if (typeof wire === "string") fail(node, [`sent undecodable bytes: ${wire}`]);
      else fail(node, book(node, attemptId, { way: "sent", wire }));
    },
    after: (node, input, { state, actions }) => {
      for (const action of actions) {
        count(histogram, action.type);
        if (action.type === "connection/ended") count(histogram, `${action.by} ${action.reason}`);
      }
      if (isLiar(node.index)) return;
      fail(
        node,
        checkNoAccusation(actions, (attemptId) => liars.has(keyOf(node, attemptId))),
      );
      fail(node, [...brokenInvariants(state), ...checkFetchProgress(state)]);
      if (input.type === "tick") fail(node, checkExpiry(state));
      if (before !== null) {
        fail(node, checkNothingLost(before, state, actions));
        fail(node, checkTip(before, state));
      }
      if (++steps % PLAIN_EVERY === 0) fail(node, checkPlain(state));
    },
  };
}

const keyOf = (
  { index, life }: { readonly index: number; readonly life: number },
  attemptId: number,
): string => `${index}.${life}.${attemptId}`;

function fail(node: SimNode, problems: Problems): void {
  if (problems.length > 0)
    throw new Error(`node ${node.index} at ${node.state.timeMs}: ${problems.join("; ")}`);
}

function noteRpc(end: End, { way, wire }: WireEvent, nowMs: number, body: (hash: Hash) => void): void {
  if (wire.channel !== "rpc") return;
  const { message } = wire;
  if (way === "sent" && message.tag === "request" && "hashes" in message.body) {
    end.asked.set(message.id, { hashes: message.body.hashes, atMs: nowMs });
  }
  if (way !== "received" || message.tag !== "response") return;
  const hashes = end.asked.get(message.id)?.hashes ?? [];
  end.asked.delete(message.id);
  for (const [index, hash] of hashes.entries()) {
    const found = message.body.tag === "items" ? message.body.found[index] : null;
    if (found?.tag === "some") body(hash);
    else if (found !== undefined) for (const announced of end.announced.values()) announced.failed.add(hash);
  }
}
