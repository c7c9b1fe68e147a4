import { hex, type Infer, refined, string, u8, u16, u32, union } from "../codec/schema.ts";
import { IGNORED_BURST, RATE_BURST, USER_AGENT_BYTES_MAX } from "../limits.ts";
import { REASONS, type Reason } from "../reasons.ts";

export const PROTOCOL_VERSION = 1;

/** Section 4. */
export const controlSchema = union({
  hello: { version: u8, session: hex(32), userAgent: string(USER_AGENT_BYTES_MAX), channels: u16 },
  goodbye: {
    reason: refined(u8, (reason) => (reason < REASONS.length ? null : `reason ${reason} is unknown`)),
    banMs: u32,
  },
  ping: { n: u32 },
  pong: { n: u32 },
});

export type ControlMessage = Infer<typeof controlSchema>;

export const goodbye = (reason: Reason, banMs: number): ControlMessage => ({
  tag: "goodbye",
  reason: REASONS.indexOf(reason),
  banMs,
});

/** Keepalive and rates of one ready connection. */
export interface ControlState {
  /** Number of the next ping. */
  readonly nextPing: number;
  /** The open ping, one at a time. */
  readonly awaitingPong: { readonly n: number; readonly sinceMs: number } | null;
  readonly heardMs: number;
  /** Pings the peer may still send at once (section 4, sending rates). */
  readonly pingBudget: Budget;
  /** Messages of the peer that may still be ignored at once, on all channels. */
  readonly ignoredBudget: Budget;
}

/** A token bucket: `tokens` at `atMs`. */
export interface Budget {
  readonly tokens: number;
  readonly atMs: number;
}

export const freshControl = (timeMs: number): ControlState => ({
  nextPing: 0,
  awaitingPong: null,
  heardMs: timeMs,
  pingBudget: { tokens: RATE_BURST, atMs: timeMs },
  ignoredBudget: { tokens: IGNORED_BURST, atMs: timeMs },
});
