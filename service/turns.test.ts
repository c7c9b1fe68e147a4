import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jainIndex } from "../fuzz/fairness/shares.ts";
import { createTurns, type Turns, type Use } from "./turns.ts";

/** The law of all that is shared, on queues of pieces: what waits, how much, and who got how much. */

const QUANTUM = 16_384;
const PIECE_MAX = 65_536;
const TURNS_MAX = 10_000;

interface Party {
  readonly pieces: number[];
  used: number;
  /** Turns since it last got something. */
  passed: number;
  turns: number;
}

const partyOf = (pieces: readonly number[]): Party => ({ pieces: [...pieces], used: 0, passed: 0, turns: 0 });

/** Asks for so much, in pieces of one size. */
const askingFor = (demand: number, size: number): Party =>
  partyOf(Array<number>(Math.ceil(demand / size)).fill(size));

/** As many as it may, the last of the list first. */
function use(party: Party, allowed: number): Use {
  // A test that goes on for ever would tell nothing.
  if (++party.turns > TURNS_MAX) throw new Error("too many turns");
  let used = 0;
  for (;;) {
    const next = party.pieces.at(-1);
    if (next === undefined || used + next > allowed) break;
    party.pieces.pop();
    used += next;
  }
  party.used += used;
  return { used, hasMore: party.pieces.length > 0 };
}

function turnsOf(parties: readonly Party[]): Turns<Party> {
  const turns = createTurns<Party>(QUANTUM);
  for (const party of parties) turns.wait(party);
  return turns;
}

const totalOf = (parties: readonly Party[]): number => parties.reduce((sum, { used }) => sum + used, 0);

const SMALL = 256;
const piece = fc.oneof(
  fc.integer({ min: SMALL, max: PIECE_MAX }),
  fc.constantFrom(SMALL, QUANTUM, PIECE_MAX),
);
const pieces = fc.array(piece, { minLength: 1, maxLength: 40 });

describe("turns", () => {
  test("nobody who waits gets less than his share, but for a quantum and a piece", () => {
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 2, maxLength: 12 }), (backlog) => {
        const parties = backlog.map(partyOf);
        const turns = turnsOf(parties);
        while (turns.size > 0) {
          turns.give(use);
          const share = totalOf(parties) / parties.length;
          for (const waiting of turns.parties())
            expect(waiting.used).toBeGreaterThanOrEqual(share - QUANTUM - PIECE_MAX);
        }
        expect(parties.map(({ pieces: left }) => left.length)).toEqual(parties.map(() => 0));
      }),
      { numRuns: 30 },
    );
  });

  test("nor do those who come and go meanwhile get more than he does, but for a quantum and two pieces", () => {
    const step = fc.record({
      party: fc.nat({ max: 5 }),
      does: fc.oneof(
        { weight: 4, arbitrary: fc.constant("turn") },
        { weight: 4, arbitrary: pieces },
        { weight: 1, arbitrary: fc.constant("leave") },
      ),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const parties = Array.from({ length: 6 }, () => partyOf([]));
        const turns = createTurns<Party>(QUANTUM);
        /** What everybody had when this one began to wait. */
        const since = new Map<Party, readonly number[]>();
        for (const { party: index, does } of steps) {
          const party = parties[index];
          if (party === undefined) continue;
          if (does === "turn") turns.give(use);
          else if (does === "leave") {
            party.pieces.length = 0;
            turns.leave(party);
          } else {
            party.pieces.push(...does);
            turns.wait(party);
          }
          for (const one of parties) {
            if (!turns.parties().includes(one)) since.delete(one);
            else if (!since.has(one))
              since.set(
                one,
                parties.map(({ used }) => used),
              );
            const before = since.get(one);
            if (before === undefined) continue;
            const got = parties.map(({ used }, at) => used - (before[at] ?? 0));
            const his = got[parties.indexOf(one)] ?? 0;
            expect(Math.max(...got)).toBeLessThanOrEqual(his + QUANTUM + 2 * PIECE_MAX);
          }
        }
      }),
    );
  });

  test("Jain's index of 32 who ask for the same in pieces of other sizes is at least 0.95", () => {
    fc.assert(
      fc.property(fc.array(piece, { minLength: 32, maxLength: 32 }), (sizes) => {
        const parties = sizes.map((size) => askingFor(2_000_000, size));
        const turns = turnsOf(parties);
        // Nobody has all that he wants by then.
        while (totalOf(parties) < 32 * 1_000_000) turns.give(use);
        expect(turns.size).toBe(32);
        expect(jainIndex(parties.map(({ used }) => used))).toBeGreaterThanOrEqual(0.95);
      }),
      { numRuns: 20 },
    );
  });

  test("who asks for a hundred times as much gets no more than 1.5 times his share while others wait", () => {
    fc.assert(
      fc.property(piece, fc.array(piece, { minLength: 31, maxLength: 31 }), (size, sizes) => {
        const greedy = askingFor(100_000_000, size);
        const parties = [greedy, ...sizes.map((each) => askingFor(1_000_000, each))];
        const turns = turnsOf(parties);
        while (turns.size === parties.length) {
          turns.give(use);
          const share = totalOf(parties) / parties.length;
          // The first rounds are of pieces only.
          if (share > 4 * PIECE_MAX) expect(greedy.used).toBeLessThanOrEqual(1.5 * share);
        }
        // Then it gets what the others leave, all of it in the end.
        while (turns.size > 1) turns.give(use);
        expect(turns.parties()).toEqual([greedy]);
      }),
      { numRuns: 20 },
    );
  });

  test("nobody starves: the greatest piece is there after so many rounds as it has quanta", () => {
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 2, maxLength: 12 }), (backlog) => {
        const parties = backlog.map(partyOf);
        const turns = turnsOf(parties);
        while (turns.size > 0) {
          const before = parties.map(({ used }) => used);
          turns.give(use);
          for (const [at, party] of parties.entries()) {
            party.passed = party.used > (before[at] ?? 0) ? 0 : party.passed + 1;
            if (party.pieces.length > 0)
              expect(party.passed).toBeLessThan(parties.length * Math.ceil(PIECE_MAX / QUANTUM));
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("who has got all saves nothing up, and who leaves in the middle of his turn has no other", () => {
    const turns = createTurns<string>(10);
    const allowed: (readonly [string, number])[] = [];
    const note = (used: number, hasMore: boolean) => (party: string, may: number) => {
      allowed.push([party, may]);
      return { used, hasMore };
    };
    turns.wait("a");
    turns.give(note(0, true));
    turns.give(note(15, false));
    expect(turns.size).toBe(0);
    turns.wait("a");
    turns.wait("b");
    turns.wait("a");
    turns.give(note(4, true));
    expect(turns.parties()).toEqual(["b", "a"]);
    turns.give((party) => {
      turns.leave(party);
      return { used: 0, hasMore: true };
    });
    turns.give(note(0, true));
    expect(turns.parties()).toEqual(["a"]);
    expect(allowed).toEqual([
      ["a", 10],
      ["a", 20],
      ["a", 10],
      ["a", 16],
    ]);
  });
});
