import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Floors,
  greaterOf,
  highestSince,
  isAbove,
  noFloors,
  noteFloor,
  noteRepair,
  presentFloor,
} from "./floors.ts";
import type { Hash } from "./ids.ts";
import { comparePriority, GREATEST_PRIORITY, type Priority } from "./priority.ts";

const priority = (feeClass: number, name = 0): Priority => ({
  class: feeClass,
  hash: name.toString(16).padStart(64, "0") as Hash,
});

const priorities: fc.Arbitrary<Priority> = fc
  .tuple(fc.nat(12), fc.nat(3))
  .map(([feeClass, name]) => priority(feeClass, name));
const floorsOrNone = fc.option(priorities, { nil: null, freq: 4 });

type Event = { readonly tag: "floor"; readonly floor: Priority | null } | { readonly tag: "repair" };
const events: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ tag: fc.constant("floor" as const), floor: floorsOrNone }) },
  { weight: 1, arbitrary: fc.constant({ tag: "repair" as const }) },
);

const applied = (floors: Floors, event: Event): Floors =>
  event.tag === "repair" ? noteRepair(floors) : noteFloor(floors, event.floor);

/** Null is below everything; the greater class, then the smaller hash is above. */
const above = (a: Priority | null, b: Priority | null): boolean =>
  a !== null && (b === null || a.class > b.class || (a.class === b.class && a.hash < b.hash));

const highest = (values: readonly (Priority | null)[]): Priority | null =>
  values.reduce((best, value) => (above(value, best) ? value : best), null);

/** All floors there ever were, one after the other, and what the list was as long as when each window was sent. */
function history(all: readonly Event[]) {
  let floors = noFloors;
  const values: (Priority | null)[] = [null];
  const windows = [{ mark: floors.mark, from: 0 }];
  for (const event of all) {
    floors = applied(floors, event);
    if (event.tag === "repair") values.push(GREATEST_PRIORITY, values.at(-1) ?? null);
    else values.push(event.floor);
    windows.push({ mark: floors.mark, from: values.length - 1 });
  }
  return { floors, values, windows };
}

describe("floors", () => {
  test("order: None is below everything, then the class, then the smaller hash", () => {
    fc.assert(
      fc.property(floorsOrNone, floorsOrNone, (a, b) => {
        expect(isAbove(a, b)).toBe(above(a, b));
        const greater = greaterOf(a, b);
        expect(above(a, greater) || above(b, greater)).toBe(false);
        expect([a, b]).toContainEqual(greater);
      }),
    );
    expect(isAbove(null, null)).toBe(false);
    expect(isAbove(GREATEST_PRIORITY, priority(65_535, 1))).toBe(true);
  });

  test("the present floor is the last one that was noted", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 60 }), (all) => {
        const { floors, values } = history(all);
        expect(presentFloor(floors)).toEqual(values.at(-1));
      }),
    );
  });

  test("the highest since a window is what a list of all floors says, as long as no peaks were taken together", () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 50 }), (all) => {
        const { floors, values, windows } = history(all);
        for (const { mark, from } of windows)
          expect(highestSince(floors, mark)).toEqual(highest(values.slice(from)));
      }),
      { numRuns: 300 },
    );
  });

  /** Floors that fall again and again leave a peak at each step. */
  const falling = fc.array(
    fc.oneof(
      {
        weight: 12,
        arbitrary: fc.record({
          tag: fc.constant("floor" as const),
          floor: fc.nat(50).map((n) => priority(n)),
        }),
      },
      { weight: 1, arbitrary: fc.constant({ tag: "floor" as const, floor: null }) },
    ),
    { minLength: 1, maxLength: 20 },
  );
  const manyPeaks = falling.map((some): readonly Event[] => [
    ...Array.from(
      { length: 150 },
      (_, index) => ({ tag: "floor", floor: priority(1_000 - 2 * index) }) as const,
    ),
    ...some,
  ]);

  test("P35: the history is bounded, and never says less than the list of all floors", () => {
    fc.assert(
      fc.property(fc.oneof(manyPeaks, fc.array(events, { maxLength: 200 })), (all) => {
        const { floors, values, windows } = history(all);
        expect(floors.peaks.length).toBeLessThanOrEqual(66);
        for (const { mark, from } of windows) {
          const truth = highest(values.slice(from));
          const said = highestSince(floors, mark);
          expect(above(truth, said)).toBe(false);
        }
        const last = windows.at(-1);
        expect(highestSince(floors, last?.mark ?? 0)).toEqual(values.at(-1));
      }),
      { numRuns: 60 },
    );
  });

  test("what was taken together is said of later moments too: at most that floor, never more than there ever was", () => {
    const all = Array.from(
      { length: 150 },
      (_, index) => ({ tag: "floor", floor: priority(1_000 - index) }) as const,
    );
    const { floors, values, windows } = history(all);
    const greatest = highest(values);
    for (const { mark } of windows) expect(above(highestSince(floors, mark), greatest)).toBe(false);
    // The last sixty are told apart still.
    for (const { mark, from } of windows.slice(-60))
      expect(highestSince(floors, mark)).toEqual(highest(values.slice(from)));
  });

  test("the same floor again is no change: no mark is spent on it", () => {
    const once = noteFloor(noFloors, priority(3));
    expect(noteFloor(once, priority(3))).toBe(once);
    expect(noteFloor(noFloors, null)).toBe(noFloors);
    expect(noteFloor(once, priority(3, 1))).not.toBe(once);
  });

  test("marks grow with every change, and a window that is sent now sees only what comes", () => {
    let floors = noFloors;
    for (const feeClass of [9, 4, 7, 2]) {
      const before = floors.mark;
      floors = noteFloor(floors, priority(feeClass));
      expect(floors.mark).toBeGreaterThan(before);
      expect(highestSince(floors, floors.mark)).toEqual(priority(feeClass));
    }
    expect(highestSince(floors, 0)).toEqual(priority(9));
  });

  test("after a repair everything may be lacking for every window before it, and for none after it", () => {
    const before = noteFloor(noFloors, priority(5));
    const repaired = noteRepair(before);
    expect(highestSince(repaired, before.mark)).toEqual(GREATEST_PRIORITY);
    expect(presentFloor(repaired)).toEqual(priority(5));
    expect(highestSince(repaired, repaired.mark)).toEqual(priority(5));
    expect(comparePriority(GREATEST_PRIORITY, priority(5))).toBeLessThan(0);
  });
});
