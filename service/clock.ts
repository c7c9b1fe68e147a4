/** Milliseconds since the Unix epoch, whole, never going back: later changes of the system clock are ignored. */
export type Clock = () => number;

export function systemClock(): Clock {
  const startedMs = Date.now();
  const startedAt = performance.now();
  return () => Math.floor(startedMs + performance.now() - startedAt);
}
