import { constants } from "node:os";

/** Why a process that runs until it is told otherwise ends. */
export type End =
  | { readonly tag: "signal"; readonly signal: StopSignal }
  /** The process that started this one is gone. */
  | { readonly tag: "orphaned" }
  /** The node has stopped itself, and written to the log why. */
  | { readonly tag: "bug"; readonly error: unknown }
  | { readonly tag: "uncaught"; readonly error: unknown };

type StopSignal = "SIGINT" | "SIGTERM";

/** The part of a process that matters here. */
export interface ProcessEvents {
  on(event: string, listener: (value: unknown) => void): unknown;
  exit(code: number): void;
}

/**
 * A terminal signals the whole group of processes, and those that started us pass it on as well: the same signal
 * within this time is that echo, and no second wish.
 */
export const SIGNAL_ECHO_MS = 100;

/**
 * Resolves with the first reason to end: SIGINT, SIGTERM, the end of the parent's IPC channel, an error nobody
 * caught. From then on a second signal exits at once, with 128 and its number as the shell would.
 */
export function untilEnd(events: ProcessEvents, nowMs: () => number): Promise<End> {
  return new Promise((resolve) => {
    let first: { readonly signal: StopSignal; readonly atMs: number } | undefined;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      events.on(signal, () => {
        if (first === undefined) {
          first = { signal, atMs: nowMs() };
          resolve({ tag: "signal", signal });
        } else if (signal !== first.signal || nowMs() - first.atMs > SIGNAL_ECHO_MS) {
          events.exit(128 + constants.signals[signal]);
        }
      });
    }
    events.on("disconnect", () => resolve({ tag: "orphaned" }));
    events.on("uncaughtException", (error) => resolve({ tag: "uncaught", error }));
  });
}

/** The first signal, or the end of the process that started us, ends the run in order; the second at once. */
export function onInterrupt(first: () => void, second: () => void): () => void {
  let firstMs: number | undefined;
  const interrupt = (): void => {
    if (firstMs === undefined) {
      firstMs = performance.now();
      first();
    } else if (performance.now() - firstMs > SIGNAL_ECHO_MS) {
      second();
    }
  };
  const events = ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const;
  for (const event of events) process.on(event, interrupt);
  // Only listening for its end, we do not wait for the process that started us.
  process.channel?.unref();
  return () => {
    for (const event of events) process.removeListener(event, interrupt);
  };
}
