import { comparePriority, GREATEST_PRIORITY, type Priority } from "./priority.ts";

/**
 * The floors that a pool has had, as far as somebody may still ask for the highest of them since some moment (7.4).
 * One for each pool and none for each peer: a peer's channel only notes a mark, so a change of the floor costs the
 * same however many peers there are.
 */
export interface Floors {
  /** Grows with every change; a window that is sent now has this mark. */
  readonly mark: number;
  /** Oldest first, each lower than the one before; the last one is the present floor. Null: no floor. */
  readonly peaks: readonly Peak[];
}

interface Peak {
  /** Until this mark included, this is the highest floor there was. */
  readonly mark: number;
  readonly floor: Priority | null;
}

/** A floor that only ever falls leaves a peak at each step: beyond this many, old ones are taken together. */
const PEAKS_MAX = 64;

export const noFloors: Floors = { mark: 0, peaks: [{ mark: 0, floor: null }] };

export const presentFloor = ({ peaks }: Floors): Priority | null => peaks.at(-1)?.floor ?? null;

/** The pool's floor is this from now on. */
export function noteFloor(floors: Floors, floor: Priority | null): Floors {
  return isSamePriority(presentFloor(floors), floor) ? floors : push(floors, floor);
}

/** Anything may be lacking now, whatever was said before: the tip changed to another branch (7.4). */
export function noteRepair(floors: Floors): Floors {
  const floor = presentFloor(floors);
  return push(push(floors, GREATEST_PRIORITY), floor);
}

/** The highest floor from the moment of this mark until now. */
export function highestSince({ peaks }: Floors, mark: number): Priority | null {
  return peaks.find((peak) => peak.mark >= mark)?.floor ?? null;
}

/** The greater of two priorities; null is below everything. */
export function greaterOf(a: Priority | null, b: Priority | null): Priority | null {
  if (a === null || b === null) return a ?? b;
  return comparePriority(a, b) <= 0 ? a : b;
}

/** `a` is above `b`; null is below everything. */
export const isAbove = (a: Priority | null, b: Priority | null): boolean =>
  a !== null && (b === null || comparePriority(a, b) < 0);

function push({ mark, peaks }: Floors, floor: Priority | null): Floors {
  const next = mark + 1;
  const higher = peaks.filter((peak) => isAbove(peak.floor, floor));
  const [first, second, ...others] = higher;
  const kept =
    higher.length < PEAKS_MAX || first === undefined || second === undefined
      ? higher
      : // Said of a later moment, the higher floor is still true of "since": at worst too much is asked for.
        [{ mark: second.mark, floor: first.floor }, ...others];
  return { mark: next, peaks: [...kept, { mark: next, floor }] };
}

const isSamePriority = (a: Priority | null, b: Priority | null): boolean =>
  a === b || (a !== null && b !== null && a.class === b.class && a.hash === b.hash);
