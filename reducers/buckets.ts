import type { Budget } from "../core/channels/control.ts";
import type { Bucket } from "../core/state.ts";

/** Refills a token bucket up to now. */
export function refill(budget: Budget | undefined, bucket: Bucket, timeMs: number): Budget {
  if (budget === undefined) return { tokens: bucket.burst, atMs: timeMs };
  const gained = ((timeMs - budget.atMs) / 1_000) * bucket.perSecond;
  return { tokens: Math.min(bucket.burst, budget.tokens + gained), atMs: timeMs };
}

/** Takes one token, or says when the next will be there. A refused request still costs its token (3.1). */
export function spend(budget: Budget, bucket: Bucket): { readonly budget: Budget; readonly waitS: number } {
  const tokens = budget.tokens - 1;
  const waitS = tokens >= 0 ? 0 : -tokens / bucket.perSecond;
  return { budget: { tokens: Math.max(tokens, -1), atMs: budget.atMs }, waitS };
}
