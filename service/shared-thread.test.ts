import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SLICE_MS } from "./chain/slices.ts";
import { createSharedThread, type SharedThread } from "./shared-thread.ts";

/** On virtual time, in which only work passes it. */

interface World {
  readonly thread: SharedThread<number>;
  /** What was run, with the turn of the event loop and the time. */
  readonly done: {
    readonly party: number;
    readonly number: number;
    readonly atMs: number;
    readonly turn: number;
  }[];
  /** Work that takes so long. */
  give(party: number, cost: number, takesMs?: number): void;
  /** Turns of the event loop until there is nothing to do in them. @returns how many it were */
  turns(max?: number): number;
}

const QUANTUM = 1_000;

function worldOf(): World {
  let [nowMs, turn] = [0, 0];
  let immediates: (() => void)[] = [];
  const given = new Map<number, number>();
  const done: World["done"] = [];
  const thread = createSharedThread<number>({
    quantum: QUANTUM,
    clock: () => nowMs,
    later: (run) => immediates.push(run),
  });
  return {
    thread,
    done,
    give: (party, cost, takesMs = 0) => {
      const number = given.get(party) ?? 0;
      given.set(party, number + 1);
      thread.add(party, cost, () => {
        done.push({ party, number, atMs: nowMs, turn });
        nowMs += takesMs;
      });
    },
    turns: (max = Number.POSITIVE_INFINITY) => {
      const first = turn;
      for (; immediates.length > 0 && turn - first < max; turn++) {
        const now = immediates;
        immediates = [];
        for (const run of now) run();
      }
      return turn - first;
    },
  };
}

const costs = fc.array(
  fc.record({ party: fc.nat({ max: 4 }), cost: fc.integer({ min: 0, max: 4 * QUANTUM }) }),
);

describe("the shared thread", () => {
  test("runs everything once, and what one party gives in its order", () => {
    fc.assert(
      fc.property(costs, (works) => {
        const { give, turns, done } = worldOf();
        for (const { party, cost } of works) give(party, cost, 0.1);
        turns();
        for (const party of new Set(works.map((work) => work.party))) {
          const numbers = done.filter((work) => work.party === party).map(({ number }) => number);
          expect(numbers).toEqual(works.filter((work) => work.party === party).map((_, index) => index));
        }
        expect(done).toHaveLength(works.length);
      }),
    );
  });

  test("never runs anything within the call that gives it", () => {
    const { give, turns, done } = worldOf();
    give(1, 1);
    expect(done).toEqual([]);
    expect(turns()).toBe(1);
    expect(done).toHaveLength(1);
  });

  test("lets the event loop go on after a slice and what one turn allows", () => {
    const { give, turns, done } = worldOf();
    for (let number = 0; number < 100; number++) give(number % 5, QUANTUM / 2, 0.5);
    turns();
    const loops = [...new Set(done.map(({ turn }) => turn))];
    // Two of half a quantum are a turn, and it is looked at the clock between two turns.
    for (const turn of loops) {
      const startsMs = done.filter((work) => work.turn === turn).map(({ atMs }) => atMs);
      expect(Math.max(...startsMs) - Math.min(...startsMs)).toBeLessThanOrEqual(SLICE_MS + 0.5);
    }
    expect(loops.length).toBeGreaterThanOrEqual(50 / SLICE_MS / 2);
  });

  test("one with a hundred times as much delays nobody: who comes last is served in the next round", () => {
    const { give, turns, done } = worldOf();
    for (let number = 0; number < 1_000; number++) give(0, QUANTUM / 4, 0.1);
    turns(3);
    const before = done.length;
    for (let party = 1; party <= 9; party++) give(party, QUANTUM / 4, 0.1);
    turns();
    const greedy = done.slice(before).findIndex(({ party }) => party === 9);
    // Nine of others and one turn of the greedy one.
    expect(greedy).toBeLessThanOrEqual(9 + 4);
  });

  test("what is done elsewhere is limited, and what waits for that does so in turns", async () => {
    let [atOnce, most] = [0, 0];
    const order: number[] = [];
    const ends: (() => void)[] = [];
    const thread = createSharedThread<number>({ quantum: 1, elsewhereMax: 4 });
    const give = (party: number): void =>
      thread.add(party, 1, () => {
        most = Math.max(most, ++atOnce);
        order.push(party);
        return new Promise<void>((resolve) => ends.push(resolve)).then(() => {
          atOnce -= 1;
        });
      });
    for (let number = 0; number < 40; number++) give(0);
    for (let party = 1; party < 4; party++) for (let number = 0; number < 5; number++) give(party);
    while (order.length < 55) {
      await new Promise(setImmediate);
      ends.shift()?.();
    }
    expect(most).toBe(4);
    expect(order.slice(0, 20).filter((party) => party === 0)).toHaveLength(5);
  });

  test("what a party has waiting is known by its cost", () => {
    const { thread, give, turns } = worldOf();
    for (let number = 0; number < 10; number++) give(1, QUANTUM);
    expect([thread.waiting(1), thread.waiting(2)]).toEqual([10 * QUANTUM, 0]);
    turns();
    expect(thread.waiting(1)).toBe(0);
    give(1, QUANTUM);
    thread.leave(1);
    expect(thread.waiting(1)).toBe(0);
  });

  test("nothing is run of who has left, also in the middle of its turn", () => {
    const { thread, give, turns, done } = worldOf();
    give(1, 1);
    thread.add(1, 1, () => thread.leave(1));
    give(1, 1);
    give(2, 1);
    thread.leave(2);
    give(3, 1);
    turns();
    expect(done.map(({ party, number }) => [party, number])).toEqual([
      [1, 0],
      [3, 0],
    ]);
  });

  test("goes on after an error of what it runs, which reaches the event loop", () => {
    const { thread, give, turns, done } = worldOf();
    thread.add(1, 1, () => {
      throw new Error("bug");
    });
    give(1, 1);
    give(2, 1);
    expect(() => turns()).toThrow("bug");
    turns();
    expect(done.map(({ party }) => party).sort()).toEqual([1, 2]);
  });
});
