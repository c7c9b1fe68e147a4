import { assert } from "../core/assert.ts";

/**
 * The one clock of a simulation and everything that is going to happen: a queue in the order of (time, sequence),
 * so that what was scheduled first happens first and a run is repeatable.
 */
export interface Clock {
  readonly nowMs: number;
  /** What will happen without anybody waiting for it (timers, late notices) is `background`. */
  readonly inFlight: number;
  readonly nextMs: number | undefined;
  after(delayMs: number, run: () => void, kind?: "work" | "background"): void;
  /** Runs the next entry. @returns false if there is none, or none up to `untilMs` */
  runNext(untilMs: number): boolean;
  /** Moves on to a time at which nothing is left to happen before. */
  advanceTo(timeMs: number): void;
}

interface Entry {
  readonly atMs: number;
  readonly sequence: number;
  readonly isWork: boolean;
  readonly run: () => void;
}

/** More than any cluster does in one millisecond: beyond it events cause each other without end. */
const ENTRIES_PER_MS_MAX = 300_000;

export function createClock(startMs: number): Clock {
  const heap: Entry[] = [];
  let nowMs = startMs;
  let sequence = 0;
  let inFlight = 0;
  let ran = 0;
  return {
    get nowMs() {
      return nowMs;
    },
    get inFlight() {
      return inFlight;
    },
    get nextMs() {
      return heap[0]?.atMs;
    },
    after(delayMs, run, kind = "work") {
      const isWork = kind === "work";
      if (isWork) inFlight += 1;
      push(heap, { atMs: nowMs + Math.max(0, delayMs), sequence: sequence++, isWork, run });
    },
    runNext(untilMs) {
      const first = heap[0];
      if (first === undefined || first.atMs > untilMs) return false;
      pop(heap);
      if (first.isWork) inFlight -= 1;
      ran = first.atMs > nowMs ? 0 : ran + 1;
      assert(ran < ENTRIES_PER_MS_MAX, "time moves on");
      nowMs = Math.max(nowMs, first.atMs);
      first.run();
      return true;
    },
    advanceTo(timeMs) {
      nowMs = Math.max(nowMs, timeMs);
    },
  };
}

const isBefore = (a: Entry, b: Entry): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);

function push(heap: Entry[], entry: Entry): void {
  let at = heap.push(entry) - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || !isBefore(entry, parent)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    if (left === undefined) break;
    const useRight = right !== undefined && isBefore(right, left);
    const child = useRight ? right : left;
    if (!isBefore(child, last)) break;
    heap[at] = child;
    at = 2 * at + (useRight ? 2 : 1);
  }
  heap[at] = last;
}
