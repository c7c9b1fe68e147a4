import { destination, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import type { Action } from "../core/actions.ts";
import { formatSubject } from "../core/bans.ts";
import { hexToPeerId } from "../core/identity.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import type { Rejection } from "../core/reasons.ts";
import type { Attempt, State } from "../core/state.ts";

export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** To standard error: standard output belongs to results. Synchronous, so that nothing is lost at the end. */
export function createLogger(level: LogLevel, asJson: boolean): Logger {
  const stream = asJson
    ? destination({ dest: 2, sync: true })
    : pretty({
        destination: 2,
        sync: true,
        singleLine: true,
        ignore: "pid,hostname",
        translateTime: "HH:MM:ss.l",
      });
  return pino({ level, base: null }, stream);
}

/** What an action alone does not say. */
export interface ActionContext {
  /** After the step. */
  readonly state: State;
  /** Before it: an attempt that has ended in it is known there only. */
  readonly before: State;
  /** Blocks that the last adoption of a tip has undone. */
  readonly undone: number | null;
  /** Transactions of an applied block; null if its body was not needed here. */
  readonly transactionsIn: (hash: Hash) => number | null;
}

/**
 * Writes what an operator wants to know of a step: every connection that begins, ends or fails, with its reason, and
 * each new best tip.
 */
export function logAction(log: Logger, action: Action, context: ActionContext): void {
  const { state } = context;
  switch (action.type) {
    case "event/tipAdopted": {
      const { height, hash, slot } = action.change.tip;
      const transactions = context.transactionsIn(hash);
      const { undone } = context;
      const told = { height, hash: hash.slice(0, HASH_CHARACTERS), slot, transactions };
      log.info(undone === 0 ? told : { ...told, undone }, "new best tip");
      return;
    }
    case "sync/giveUp":
    case "sync/condemn":
      log.info(
        { hash: action.hash.slice(0, HASH_CHARACTERS), detail: action.detail },
        SYNC_FAILURES[action.type],
      );
      return;
    case "connection/ready": {
      const live = state.peers.get(action.peerId)?.live;
      log.info(
        { peerId: action.peerId, direction: live?.direction, userAgent: live?.userAgent },
        "peer connected",
      );
      return;
    }
    case "connection/ended": {
      const { peerId, reason, by, detail } = action;
      log.info({ peerId, reason, by, detail }, "peer disconnected");
      return;
    }
    case "attempt/ended": {
      const { attemptId, peerId, reason, by, detail } = action;
      log.info({ attempt: attemptId, peerId, reason, by, detail }, "connection attempt ended");
      return;
    }
    case "attempt/fail": {
      const { attemptId, rejection, detail } = action;
      const { peerId = null, direction } = attemptIn(context, attemptId) ?? {};
      const by = rejection === null ? {} : { rejection, by: "them" };
      log.info({ attempt: attemptId, peerId, direction, ...by, detail }, "connection attempt failed");
      return;
    }
    case "admission/reject": {
      const { attemptId, rejection, retryAfterMs } = action;
      const address = attemptIn(context, attemptId)?.remote?.address;
      // Before the signature is checked the key is only what the offer says.
      const told = { attempt: attemptId, peerId: hexToPeerId(action.to), address, rejection, by: "us" };
      log[rejectionLevel(rejection)](retryAfterMs > 0 ? { ...told, retryAfterMs } : told, "offer refused");
      return;
    }
    case "command/ban":
      log.info({ id: formatSubject(action.subject), forMs: action.forMs }, "operator requested a ban");
      return;
    case "command/unban":
      log.info({ id: formatSubject(action.subject) }, "operator requested to lift a ban");
      return;
    case "dial/start": {
      const target = state.targets.get(action.address);
      if (target !== undefined) log.debug({ address: formatMultiaddr(target.address) }, "dialing");
      return;
    }
    default:
      log.trace({ action: action.type }, "action");
  }
}

/** Logs address groups that this step has banned. Bans of keys show in the log as ended connections. */
export function logShutOut(log: Logger, before: State, state: State): void {
  if (state.groups === before.groups) return;
  for (const [group, { bannedUntilMs, bannedFor }] of state.groups.entries()) {
    if (bannedFor === "operator") continue;
    const isNew = bannedUntilMs > state.timeMs && bannedUntilMs !== before.groups.get(group)?.bannedUntilMs;
    if (isNew)
      log.info({ group, reason: bannedFor, forMs: bannedUntilMs - state.timeMs }, "address group shut out");
  }
}

/** Enough to tell blocks apart, and to find one in the API of another node. */
const HASH_CHARACTERS = 12;

const SYNC_FAILURES = {
  "sync/giveUp": "gave up on a better tip for now",
  "sync/condemn": "found an invalid block",
} as const;

const attemptIn = ({ state, before }: ActionContext, attemptId: AttemptId): Attempt | undefined =>
  state.attempts.get(attemptId) ?? before.attempts.get(attemptId);

const rejectionLevel = (rejection: Rejection): "debug" | "info" =>
  rejection === "alreadyConnected" ? "debug" : "info";
