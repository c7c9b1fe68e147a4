import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tip } from "../../core/block.ts";
import { relativeMinWindowDensity } from "../../core/consensus.ts";
import type { Hash } from "../../core/ids.ts";
import { type ConsensusState, consensusAfter, GENESIS_CONSENSUS } from "./consensus-state.ts";
import { testGenesis } from "./genesis.ts";

type Parent = Pick<Tip, "hash" | "slot" | "epoch" | "consensus">;

const hashOf = (text: string): Hash => text.padEnd(64, "0") as Hash;
const [PARENT, STAKING, NEXT] = [hashOf("aa"), hashOf("bb"), hashOf("cc")];
const VRF = hashOf("dd");
const parameters = testGenesis({ slotsPerEpoch: 300, gracePeriodEnd: 20 }).parameters;
const FULL_RING = [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];

function parentAt(slot: number, consensus: Partial<ConsensusState> = {}): Parent {
  return {
    hash: PARENT,
    slot,
    epoch: Math.floor(slot / parameters.slotsPerEpoch),
    consensus: {
      minWindowDensity: 50,
      subWindowDensities: FULL_RING,
      vrfOutput: hashOf("ee"),
      stakingLock: STAKING,
      nextLock: NEXT,
      ...consensus,
    },
  };
}

const inSlot = (parent: Parent, slot: number): ConsensusState =>
  consensusAfter(parent, slot, VRF, parameters);

test("consensus state: it carries the block's own lottery output", () => {
  expect(inSlot(parentAt(700), 701).vrfOutput).toBe(VRF);
});

describe("consensus state, densities", () => {
  // Slot 700 is the first of sub-window 100, which has place 1 of the ring.
  test("within one sub-window the count grows and the minimum stays", () => {
    const parent = parentAt(700, { minWindowDensity: 5, subWindowDensities: FULL_RING.with(1, 1) });
    expect(inSlot(parent, 706)).toMatchObject({
      minWindowDensity: 5,
      subWindowDensities: FULL_RING.with(1, 2),
    });
  });

  test("even a window below the minimum does not count before the sub-window is over", () => {
    const empty = FULL_RING.map(() => 0);
    expect(inSlot(parentAt(700, { subWindowDensities: empty }), 706).minWindowDensity).toBe(50);
  });

  test("in the next sub-window what its place held a round ago counts for the last time, and is replaced by 1", () => {
    const ring = [1, 1, 6, 1, 1, 1, 1, 1, 1, 1, 1];
    expect(inSlot(parentAt(706, { subWindowDensities: ring }), 707)).toMatchObject({
      minWindowDensity: 16,
      subWindowDensities: ring.with(2, 1),
    });
  });

  test("sub-windows without a block are emptied before the minimum is taken", () => {
    const ring = [1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3];
    // From place 1 to place 4: places 2 and 3 were skipped.
    expect(inSlot(parentAt(700, { subWindowDensities: ring }), 721)).toMatchObject({
      minWindowDensity: 39,
      subWindowDensities: [1, 2, 0, 0, 1, 6, 7, 6, 5, 4, 3],
    });
  });

  test("the ring is walked around its end", () => {
    const ring = [1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3];
    // Sub-window 109 has place 10, sub-window 112 has place 2: places 0 and 1 were skipped.
    expect(inSlot(parentAt(763, { subWindowDensities: ring }), 784).subWindowDensities).toEqual([
      0, 0, 1, 4, 5, 6, 7, 6, 5, 4, 3,
    ]);
  });

  test("exactly one round later only the parent's own place is left, and is replaced", () => {
    const ring = FULL_RING.with(1, 4);
    expect(inSlot(parentAt(700, { subWindowDensities: ring }), 777)).toMatchObject({
      minWindowDensity: 4,
      subWindowDensities: [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    });
  });

  test("more than one round later nothing is left", () => {
    for (const slot of [784, 7_000]) {
      const { minWindowDensity, subWindowDensities } = inSlot(parentAt(700), slot);
      expect(minWindowDensity).toBe(0);
      expect(subWindowDensities).toEqual(
        FULL_RING.map((_, at) => (at === Math.floor(slot / 7) % 11 ? 1 : 0)),
      );
    }
  });

  test("a denser window does not raise the minimum", () => {
    expect(inSlot(parentAt(706, { minWindowDensity: 10 }), 707).minWindowDensity).toBe(10);
  });

  test("before the end of the grace period the minimum stays whatever is missing; at its end it counts", () => {
    const sparse = FULL_RING.map(() => 1);
    const parent = parentAt(6, { subWindowDensities: sparse });
    expect(inSlot(parent, 19).minWindowDensity).toBe(50);
    expect(inSlot(parent, 19).subWindowDensities).toEqual([1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(inSlot(parent, 20).minWindowDensity).toBe(10);
  });

  test("the minimum of a block is what chain selection expected of its parent at that slot", () => {
    const slots = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(slots, (gaps) => {
        let parent: Parent = { hash: PARENT, slot: 0, epoch: 0, consensus: GENESIS_CONSENSUS };
        for (const gap of gaps) {
          const slot = parent.slot + gap;
          const consensus = inSlot(parent, slot);
          const [a, b] = [parent, { ...parent, slot }].map((tip) => ({ ...tip, height: 1 }));
          if (a === undefined || b === undefined) continue;
          expect(consensus.minWindowDensity).toBe(relativeMinWindowDensity(a, b, parameters));
          parent = { hash: PARENT, slot, epoch: Math.floor(slot / 300), consensus };
        }
      }),
    );
  });

  test("after many blocks the ring holds how many there were in each of the last 11 sub-windows", () => {
    const slots = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(slots, (unsorted) => {
        const sorted = [...unsorted].sort((a, b) => a - b);
        let parent: Parent = { hash: PARENT, slot: 0, epoch: 0, consensus: GENESIS_CONSENSUS };
        for (const slot of sorted) {
          parent = { hash: PARENT, slot, epoch: Math.floor(slot / 300), consensus: inSlot(parent, slot) };
        }
        const last = Math.floor(parent.slot / 7);
        const expected = FULL_RING.map((_, place) => {
          const window = last - ((last - place + 110) % 11);
          // The windows before the chain count as full.
          if (window < 0) return 7;
          return [0, ...sorted].filter((slot) => Math.floor(slot / 7) === window).length;
        });
        expect(parent.consensus.subWindowDensities).toEqual(expected);
      }),
    );
  });
});

describe("consensus state, lock checkpoints", () => {
  test("in the first two thirds of an epoch the parent becomes the next lock", () => {
    expect(inSlot(parentAt(600), 601)).toMatchObject({ stakingLock: STAKING, nextLock: PARENT });
    expect(inSlot(parentAt(600), 799)).toMatchObject({ stakingLock: STAKING, nextLock: PARENT });
  });

  test("from two thirds on the next lock stays", () => {
    expect(inSlot(parentAt(600), 800)).toMatchObject({ stakingLock: STAKING, nextLock: NEXT });
    expect(inSlot(parentAt(850), 899)).toMatchObject({ stakingLock: STAKING, nextLock: NEXT });
  });

  test("two thirds of an epoch that three does not divide are not rounded", () => {
    const odd = testGenesis({ slotsPerEpoch: 100 }).parameters;
    const nextAt = (slot: number) => consensusAfter({ ...parentAt(0), epoch: 0 }, slot, VRF, odd).nextLock;
    expect([nextAt(66), nextAt(67)]).toEqual([PARENT, NEXT]);
  });

  test("in a new epoch the next lock becomes the staking lock, and the parent the next one", () => {
    expect(inSlot(parentAt(850), 900)).toMatchObject({ stakingLock: NEXT, nextLock: PARENT });
  });

  test("the first block of an epoch begins with its parent as next lock even in the last third", () => {
    expect(inSlot(parentAt(850), 1_199)).toMatchObject({ stakingLock: NEXT, nextLock: PARENT });
  });

  test("after an epoch without a block both locks are the parent", () => {
    expect(inSlot(parentAt(850), 1_200)).toMatchObject({ stakingLock: PARENT, nextLock: PARENT });
    expect(inSlot(parentAt(850), 9_199)).toMatchObject({ stakingLock: PARENT, nextLock: PARENT });
  });
});
