/** Why a connection is closed (section 5). The position in this list is the number on the wire. */
export const REASONS = [
  "noPermit",
  "overLimit",
  "badState",
  "undecodable",
  "oversized",
  "badSignature",
  "itemMismatch",
  "invalidItem",
  "invalidBlock",
  "badChunk",
  "inferiorTip",
  "responseMismatch",
  "timeout",
  "stalled",
  "doesNotHave",
  "capacity",
  "shutdown",
  "duplicate",
  "operator",
  "connectionLost",
  "useless",
] as const;

export type Reason = (typeof REASONS)[number];

export type Severity = "violation" | "unreliable" | "neutral";

const FIRST_UNRELIABLE = REASONS.indexOf("timeout");
const FIRST_NEUTRAL = REASONS.indexOf("capacity");

/** Violations ban the key, unreliable ones are strikes, neutral ones cost nothing. */
export function severity(reason: Reason): Severity {
  const number = REASONS.indexOf(reason);
  return number < FIRST_UNRELIABLE ? "violation" : number < FIRST_NEUTRAL ? "unreliable" : "neutral";
}

/** Why an offer was refused (section 3). The position in this list is the number on the wire. */
export const REJECTIONS = [
  "chainMismatch",
  "notForMe",
  "selfDial",
  "badSignature",
  "stale",
  "replayed",
  "capacity",
  "alreadyConnected",
  "rateLimited",
  "banned",
  "internal",
  "badSdp",
] as const;

export type Rejection = (typeof REJECTIONS)[number];

/** Refusals that will be the same at the next dial. */
export const LASTING_REJECTIONS: readonly Rejection[] = [
  "chainMismatch",
  "selfDial",
  "badSignature",
  "badSdp",
];
