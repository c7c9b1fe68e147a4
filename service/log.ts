import { destination, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import type { Action } from "../core/actions.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import type { Rejection } from "../core/reasons.ts";
import type { State } from "../core/state.ts";

export const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** To standard error: standard output belongs to results. Synchronous, so that nothing is lost at the end. */
export function createLogger(level: LogLevel, asJson: boolean): Logger {
  const stream = asJson
    ? destination({ dest: 2, sync: true })
    : pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "HH:MM:ss.l" });
  return pino({ level, base: null }, stream);
}

/** Writes what an operator wants to know of a step: every connection that begins, ends or fails, with its reason. */
export function logActions(log: Logger, actions: readonly Action[], state: State): void {
  for (const action of actions) logAction(log, action, state);
}

function logAction(log: Logger, action: Action, state: State): void {
  switch (action.type) {
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
    case "attempt/fail":
      log.info({ attempt: action.attemptId, detail: action.detail }, "connection attempt failed");
      return;
    case "admission/reject":
      log[rejectionLevel(action.rejection)](
        { attempt: action.attemptId, rejection: action.rejection },
        "offer refused",
      );
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

const rejectionLevel = (rejection: Rejection): "debug" | "info" =>
  rejection === "alreadyConnected" ? "debug" : "info";
