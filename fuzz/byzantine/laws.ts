import type { AttemptId, PeerId } from "../../core/ids.ts";
import { GOODBYE_DRAIN_MS, SETTLE_TIMEOUT_MS, STALLED_AFTER_MS } from "../../core/limits.ts";
import { POOL_NAMES } from "../../core/pools.ts";
import { severity } from "../../core/reasons.ts";
import type { SimNode } from "../sim-node.ts";
import type { ClusterObserver } from "../simulator.ts";
import { readWire } from "../wire.ts";

/**
 * What honest nodes owe each other and liars alike, as one sees it who counts for himself: the checker passes over what
 * is said with a liar. The times and numbers are those of protocol.md.
 */

interface Watched {
  readonly node: SimNode;
  /** Since when, by what is waited for: an end, a drained channel, the next permit. */
  readonly since: Map<string, number>;
  readonly records: Map<PeerId, PenaltyRecord>;
}

/** What a key has coming to it for what connections with it have ended in (section 5). */
interface PenaltyRecord {
  readonly strikesMs: readonly number[];
  readonly bannedUntilMs: number;
  readonly restSinceMs: number;
}

const INNOCENT: PenaltyRecord = {
  strikesMs: [],
  bannedUntilMs: 0,
  restSinceMs: Number.NEGATIVE_INFINITY,
};

const MINUTE_MS = 60_000;
const BAN_MS = 24 * 60 * MINUTE_MS;
const STRIKES = 3;
const STRIKES_WITHIN_MS = 10 * MINUTE_MS;
const REST_MS = 30 * MINUTE_MS;
/** For a transport to say that it has ended, and for what is due in the same second. */
const NOTICE_MS = 1_000;
/** A reconciliation may withhold the permit for so long. */
const RECONCILING_MS = 10_000;

const LIMIT_MS = {
  end: GOODBYE_DRAIN_MS + NOTICE_MS,
  drain: STALLED_AFTER_MS + NOTICE_MS,
  permit: SETTLE_TIMEOUT_MS + RECONCILING_MS + NOTICE_MS,
} as const;

type Wait = keyof typeof LIMIT_MS;

const WAITS: { readonly [Name in Wait]: string } = {
  end: "has not ended after a Goodbye",
  drain: "takes nothing, and is kept",
  permit: "has got no permit after its Infos",
};

/** Throws at the first step in which an honest node breaks one of them. */
export function createLaws(isLiar: (node: number) => boolean): ClusterObserver {
  const all = new Map<string, Watched>();

  const watch = (node: SimNode): Watched => {
    const key = `${node.index}.${node.life}`;
    const known = all.get(key) ?? { node, since: new Map(), records: new Map() };
    all.set(key, known);
    return known;
  };

  return {
    sent: (from, attemptId, _to, channel, bytes) => {
      const watched = all.get(`${from.index}.${from.life}`);
      if (watched === undefined || isLiar(from.index)) return;
      const wire = readWire(channel, bytes);
      if (typeof wire === "string") throw broken(watched.node, `sent what cannot be read: ${wire}`);
      if (watched.since.has(nameOf("drain", attemptId, channel)) && !MAY_PASS.has(wire.message.tag))
        throw broken(watched.node, `sent ${wire.message.tag} on ${channel}, which takes nothing`);
      if (wire.message.tag === "getNext") watched.since.delete(nameOf("permit", attemptId, channel));
    },
    after: (node, input, { state, actions }) => {
      if (isLiar(node.index)) return;
      const watched = watch(node);
      const { since } = watched;
      const isReady = (attemptId: AttemptId): boolean => state.attempts.get(attemptId)?.phase.tag === "ready";
      if (input.type === "event/channelBlocked" && isReady(input.attemptId))
        since.set(nameOf("drain", input.attemptId, input.channel), state.timeMs);
      if (input.type === "event/channelDrained")
        since.delete(nameOf("drain", input.attemptId, input.channel));
      if (input.type === "event/message" && isReady(input.attemptId) && isInfos(input.channel, input.bytes))
        since.set(nameOf("permit", input.attemptId, input.channel), state.timeMs);
      for (const action of actions) {
        if (action.type === "connection/ready") {
          const startedMs = state.attempts.get(action.attemptId)?.startedMs ?? state.timeMs;
          const why = shutOut(watched.records.get(action.peerId) ?? INNOCENT, startedMs, state.timeMs);
          if (why !== null) throw broken(node, `is connected with ${action.peerId}, which ${why}`);
        } else if (action.type === "connection/disconnect") {
          leave(watched, action.attemptId, state.timeMs);
        } else if (action.type === "connection/ended") {
          if (action.by === "them") leave(watched, action.attemptId, state.timeMs);
          if (action.by === "us") punish(watched, action.peerId, severity(action.reason), state.timeMs);
        }
      }
      if (input.type === "event/connectionClosed") {
        forget(watched, input.attemptId);
        if (state.attempts.has(input.attemptId))
          throw broken(node, `keeps attempt ${input.attemptId}, whose transport has closed`);
      }
      for (const [name, sinceMs] of since) {
        const wait = name.split(" ", 1)[0] as Wait;
        if (state.timeMs > sinceMs + LIMIT_MS[wait])
          throw broken(node, `${name}: ${WAITS[wait]} for ${state.timeMs - sinceMs} ms`);
      }
    },
  };
}

/** What is small and bounded by what the other side has said: it cannot fill a transport. */
const MAY_PASS: ReadonlySet<string> = new Set(["hello", "goodbye", "ping", "pong", "getNext", "refloor"]);

const nameOf = (wait: Wait, attemptId: AttemptId, channel = ""): string => `${wait} ${attemptId} ${channel}`;

function isInfos(channel: string, bytes: Uint8Array): boolean {
  const pool = POOL_NAMES.find((name) => name === channel);
  const wire = pool === undefined ? "" : readWire(pool, bytes);
  return typeof wire !== "string" && wire.message.tag === "infos";
}

/** After a Goodbye nothing is owed any more but the end. */
function leave(watched: Watched, attemptId: AttemptId, nowMs: number): void {
  forget(watched, attemptId);
  watched.since.set(nameOf("end", attemptId), nowMs);
}

function forget({ since }: Watched, attemptId: AttemptId): void {
  for (const name of since.keys()) if (name.split(" ")[1] === `${attemptId}`) since.delete(name);
}

function punish(
  { records }: Watched,
  peerId: PeerId,
  kind: ReturnType<typeof severity>,
  nowMs: number,
): void {
  const known = records.get(peerId) ?? INNOCENT;
  if (kind === "violation") records.set(peerId, { ...known, bannedUntilMs: nowMs + BAN_MS });
  if (kind !== "unreliable") return;
  const recent = [...known.strikesMs.filter((atMs) => atMs > nowMs - STRIKES_WITHIN_MS), nowMs];
  const isRest = recent.length >= STRIKES;
  records.set(peerId, {
    ...known,
    strikesMs: isRest ? [] : recent,
    restSinceMs: isRest ? nowMs : known.restSinceMs,
  });
}

/** Who was let in before a rest may still come to be ready. */
function shutOut(
  { bannedUntilMs, restSinceMs }: PenaltyRecord,
  startedMs: number,
  nowMs: number,
): string | null {
  if (nowMs < bannedUntilMs) return `is banned for another ${bannedUntilMs - nowMs} ms`;
  const isResting = startedMs > restSinceMs && startedMs < restSinceMs + REST_MS;
  return isResting ? `has to rest for another ${restSinceMs + REST_MS - startedMs} ms` : null;
}

const broken = ({ index, state }: SimNode, problem: string): Error =>
  new Error(`node ${index} at ${state.timeMs}: ${problem}`);
