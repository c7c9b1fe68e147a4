import { readFileSync } from "node:fs";
import { blake2b } from "@noble/hashes/blake2.js";
import { base58, base64url } from "@scure/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headerSchema } from "./block.ts";
import { toHex } from "./bytes.ts";
import { decode, encode } from "./codec/codec.ts";
import {
  type ComparedTip,
  type ConsensusParameters,
  isBetterTip,
  isShortRange,
  relativeMinWindowDensity,
} from "./consensus.ts";
import type { Hash } from "./ids.ts";
import { BEST_TIP_BYTES_MAX } from "./limits.ts";

type ConsensusState = ComparedTip["consensus"];
type Changes = Partial<Omit<ComparedTip, "consensus">> & Partial<ConsensusState>;

/** Mina's mainnet. */
const PARAMETERS: ConsensusParameters = { slotsPerEpoch: 7_140, gracePeriodEnd: 1_440 };
/** Sub-window 300, which is 3 in the ring of 11, and its first slot. */
const SLOT = 2_100;
const RING = [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4];

const hashOf = (name: number): Hash => name.toString(16).padStart(64, "0") as Hash;

/** Of the last third of an epoch, on a lock of its own, unless told otherwise. */
function tip(name: number, changes: Changes = {}): ComparedTip {
  const { hash = hashOf(name), height = 1_000, slot = SLOT, epoch = 0, ...consensus } = changes;
  const defaults: ConsensusState = {
    minWindowDensity: 38,
    subWindowDensities: RING,
    vrfOutput: hashOf(0),
    stakingLock: hashOf(name),
    nextLock: hashOf(1_000 + name),
  };
  return { hash, height, slot, epoch, consensus: { ...defaults, ...consensus } };
}

/** Both directions at once: better, worse or, for one and the same block, equal. */
function compared(a: ComparedTip, b: ComparedTip, parameters = PARAMETERS): "better" | "worse" | "equal" {
  const [better, worse] = [isBetterTip(a, b, parameters), isBetterTip(b, a, parameters)];
  expect(better && worse).toBe(false);
  return better ? "better" : worse ? "worse" : "equal";
}

describe("consensus: real forks of Mina (consensus-forks.json)", () => {
  interface MinaState {
    readonly blockchain_length: string;
    readonly epoch_count: string;
    readonly min_window_density: string;
    readonly sub_window_densities: readonly string[];
    readonly last_vrf_output: string;
    readonly curr_global_slot: { readonly slot_number: string; readonly slots_per_epoch: string };
    readonly staking_epoch_data: { readonly lock_checkpoint: string };
    readonly next_epoch_data: { readonly lock_checkpoint: string };
  }
  interface Fork {
    readonly name: string;
    readonly range: "long" | "short";
    readonly expect: "take" | "keep";
    readonly tipHash: string;
    readonly candidateHash: string;
    readonly tip: MinaState;
    readonly candidate: MinaState;
  }
  const FORKS: readonly Fork[] = JSON.parse(
    readFileSync(new URL("./consensus-forks.json", import.meta.url), "utf8"),
  );

  /**
   * A version byte, the version of the type, a field element of 32 bytes and the checksum of Mina's base58check.
   * The element is little-endian; as a number, which is how Mina compares it, its last byte comes first.
   */
  function stateHash(text: string): Hash {
    const bytes = base58.decode(text);
    expect([bytes.length, bytes[0], bytes[1]]).toEqual([38, 0x10, 0x01]);
    return toHex(bytes.slice(2, 34).reverse()) as Hash;
  }

  const tipOf = (hash: string, state: MinaState): ComparedTip => ({
    hash: stateHash(hash),
    height: Number(state.blockchain_length),
    slot: Number(state.curr_global_slot.slot_number),
    epoch: Number(state.epoch_count),
    consensus: {
      minWindowDensity: Number(state.min_window_density),
      subWindowDensities: state.sub_window_densities.map(Number),
      vrfOutput: toHex(base64url.decode(state.last_vrf_output)),
      stakingLock: stateHash(state.staking_epoch_data.lock_checkpoint),
      nextLock: stateHash(state.next_epoch_data.lock_checkpoint),
    },
  });

  // Mina's grace period is three days of slots, 1440, but never longer than an epoch.
  const parametersOf = (fork: Fork): ConsensusParameters => {
    const slotsPerEpoch = Number(fork.tip.curr_global_slot.slots_per_epoch);
    return { slotsPerEpoch, gracePeriodEnd: Math.min(1_440, slotsPerEpoch) };
  };

  test("there are some, of either range and either outcome", () => {
    expect(new Set(FORKS.map(({ range }) => range))).toEqual(new Set(["long", "short"]));
    expect(new Set(FORKS.map((fork) => fork.expect))).toEqual(new Set(["take", "keep"]));
  });

  test.each(FORKS)("$name", (fork) => {
    const [current, candidate] = [tipOf(fork.tipHash, fork.tip), tipOf(fork.candidateHash, fork.candidate)];
    const parameters = parametersOf(fork);
    expect(isShortRange(candidate, current, parameters)).toBe(fork.range === "short");
    expect(isShortRange(current, candidate, parameters)).toBe(fork.range === "short");
    expect(compared(candidate, current, parameters)).toBe(fork.expect === "take" ? "better" : "worse");
  });

  test("they are the same in and after a grace period: in none did a sub-window pass", () => {
    for (const fork of FORKS) {
      const [current, candidate] = [tipOf(fork.tipHash, fork.tip), tipOf(fork.candidateHash, fork.candidate)];
      const { slotsPerEpoch } = parametersOf(fork);
      const answers = [0, 30, 1_440].map((gracePeriodEnd) =>
        compared(candidate, current, { slotsPerEpoch, gracePeriodEnd }),
      );
      expect(new Set(answers).size).toBe(1);
    }
  });
});

describe("consensus: range of a fork (7.3)", () => {
  const lock = hashOf(7);

  test("in one epoch: equal staking locks", () => {
    expect(isShortRange(tip(1, { stakingLock: lock }), tip(2, { stakingLock: lock }), PARAMETERS)).toBe(true);
    expect(isShortRange(tip(1, { stakingLock: lock }), tip(2), PARAMETERS)).toBe(false);
    const next = { nextLock: lock };
    expect(isShortRange(tip(1, next), tip(2, next), PARAMETERS)).toBe(false);
  });

  // Two thirds of 7140 are 4760 slots; of 7141 they are no whole number, and slot 4760 comes before them.
  test.each([
    { slotsPerEpoch: 7_140, slotInEpoch: 4_759, short: false },
    { slotsPerEpoch: 7_140, slotInEpoch: 4_760, short: true },
    { slotsPerEpoch: 7_141, slotInEpoch: 4_760, short: false },
    { slotsPerEpoch: 7_141, slotInEpoch: 4_761, short: true },
    { slotsPerEpoch: 7_140, slotInEpoch: 7_139, short: true },
    { slotsPerEpoch: 7_140, slotInEpoch: 0, short: false },
  ])("one epoch apart at slot $slotInEpoch of $slotsPerEpoch: short $short", (example) => {
    const { slotsPerEpoch, slotInEpoch, short } = example;
    const parameters = { ...PARAMETERS, slotsPerEpoch };
    const behind = tip(1, { epoch: 4, slot: 4 * slotsPerEpoch + slotInEpoch, nextLock: lock });
    const ahead = tip(2, { epoch: 5, slot: 5 * slotsPerEpoch, stakingLock: lock });
    expect(isShortRange(ahead, behind, parameters)).toBe(short);
    expect(isShortRange(behind, ahead, parameters)).toBe(short);
  });

  test("one epoch apart: what counts is the next lock of the one behind and the staking lock of the one ahead", () => {
    const late = { epoch: 4, slot: 5 * 7_140 - 1 };
    const early = { epoch: 5, slot: 5 * 7_140 };
    const short = (behind: Changes, ahead: Changes): boolean =>
      isShortRange(tip(1, { ...late, ...behind }), tip(2, { ...early, ...ahead }), PARAMETERS);
    expect(short({ nextLock: lock }, { stakingLock: lock })).toBe(true);
    expect(short({ nextLock: lock }, { nextLock: lock })).toBe(false);
    expect(short({ stakingLock: lock }, { stakingLock: lock })).toBe(false);
    expect(short({ stakingLock: lock }, { nextLock: lock })).toBe(false);
  });

  test("two epochs apart nothing is shared", () => {
    const behind = tip(1, { epoch: 4, slot: 5 * 7_140 - 1, stakingLock: lock, nextLock: lock });
    const ahead = tip(2, { epoch: 6, slot: 6 * 7_140, stakingLock: lock, nextLock: lock });
    expect(isShortRange(ahead, behind, PARAMETERS)).toBe(false);
    expect(isShortRange(behind, ahead, PARAMETERS)).toBe(false);
  });
});

describe("consensus: relative minimum window density (7.3)", () => {
  const density = (own: Changes, slot: number, parameters = PARAMETERS): number =>
    relativeMinWindowDensity(tip(1, own), tip(2, { slot }), parameters);

  test("P31: windows shift by sub-windows, not by slots", () => {
    // The last slot of its sub-window: a slot later the next one begins, and is not over for six more.
    const slot = SLOT + 6;
    expect(density({ slot, minWindowDensity: 38 }, slot + 1)).toBe(38);
    expect(density({ slot, minWindowDensity: 38 }, slot + 7)).toBe(38);
    // Of the sub-windows after 3 in the ring, 4 held 5 blocks.
    expect(density({ slot, minWindowDensity: 38 }, slot + 8)).toBe(38 - 5);
    // The first slot of its sub-window: it takes 14 slots to pass a whole one.
    expect(density({ minWindowDensity: 38 }, SLOT + 13)).toBe(38);
    expect(density({ minWindowDensity: 38 }, SLOT + 14)).toBe(38 - 5);
  });

  // What is left of the ring when 0, 1, 2, ... of the sub-windows after the third are emptied, the third last.
  const LEFT = [38, 33, 27, 20, 19, 17, 14, 10, 9, 7, 4, 0];
  const CASES = [38, ...LEFT, 0].map((left, k) => ({ k, left }));
  test.each([...CASES, { k: 1_000, left: 0 }])("k = $k leaves $left", ({ k, left }) => {
    expect(density({ minWindowDensity: 38 }, SLOT + 7 * k)).toBe(left);
    expect(density({ minWindowDensity: 38 }, SLOT + 7 * k + 6)).toBe(left);
  });

  test("k = 0 takes the density as it stands, whatever is in the ring, k = 1 the lesser of both", () => {
    expect(density({ minWindowDensity: 60 }, SLOT + 6)).toBe(60);
    expect(density({ minWindowDensity: 60 }, SLOT + 7)).toBe(38);
    expect(density({ minWindowDensity: 20 }, SLOT + 7)).toBe(20);
  });

  test("the ring is walked around its end", () => {
    // Sub-window 309 is 1 in the ring: 2, 3, ... 10 and 0 come next.
    const emptied = (k: number): number => density({ slot: 309 * 7, minWindowDensity: 38 }, 309 * 7 + 7 * k);
    expect([2, 9, 10, 11, 12].map(emptied)).toEqual([35, 7, 3, 2, 0]);
  });

  test("the later slot decides, whichever tip has it", () => {
    expect(density({ slot: SLOT + 70 }, SLOT)).toBe(38);
    expect(density({ slot: SLOT }, SLOT + 70)).toBe(7);
  });

  test("before the end of the grace period densities stand as they are; its end is outside", () => {
    const parameters = { ...PARAMETERS, gracePeriodEnd: SLOT + 70 };
    expect(density({}, SLOT + 69, parameters)).toBe(38);
    expect(density({}, SLOT + 70, parameters)).toBe(7);
    // The later of both slots is what counts.
    expect(density({ slot: SLOT + 69 }, SLOT + 70, parameters)).toBe(38);
  });

  test("is what another reading of Mina's rule says", () => {
    const slots = fc.integer({ min: 0, max: 400 });
    const ring = fc.array(fc.nat(7), { minLength: 11, maxLength: 11 });
    fc.assert(
      fc.property(slots, slots, ring, fc.nat(77), slots, (slot, other, densities, min, gracePeriodEnd) => {
        const own = { slot, minWindowDensity: min, subWindowDensities: densities };
        const parameters = { ...PARAMETERS, gracePeriodEnd };
        expect(density(own, other, parameters)).toBe(byWalking(own, Math.max(slot, other), gracePeriodEnd));
      }),
      { numRuns: 2_000 },
    );
  });

  /** Slot by slot: a sub-window is emptied when it has begun and ended without a block. */
  function byWalking(
    own: { slot: number; minWindowDensity: number; subWindowDensities: readonly number[] },
    until: number,
    gracePeriodEnd: number,
  ): number {
    if (until < gracePeriodEnd) return own.minWindowDensity;
    const left = [...own.subWindowDensities];
    let entered = false;
    for (let slot = own.slot + 1; slot <= until; slot++) {
      if (slot % 7 !== 0) continue;
      if (entered) left[(slot / 7 - 1) % 11] = 0;
      entered = true;
    }
    const sum = left.reduce((total, blocks) => total + blocks, 0);
    return entered ? Math.min(own.minWindowDensity, sum) : own.minWindowDensity;
  }
});

describe("consensus: the better tip (7.3)", () => {
  const lock = { stakingLock: hashOf(7) };
  const digestOf = (vrfOutput: string): bigint =>
    BigInt(`0x${toHex(blake2b(Buffer.from(vrfOutput, "hex"), { dkLen: 32 }))}`);
  /** Two outputs of which the lesser has the greater digest. */
  const [lesser, greater] = ((): readonly [string, string] => {
    for (let name = 1; ; name++) {
      if (digestOf(hashOf(name)) > digestOf(hashOf(name + 1))) return [hashOf(name), hashOf(name + 1)];
    }
  })();

  test("short range: height decides, then the digest of the VRF output, then the hash", () => {
    const dense = { ...lock, minWindowDensity: 77 };
    expect(compared(tip(1, { ...lock, height: 1_001 }), tip(2, { ...dense, vrfOutput: lesser }))).toBe(
      "better",
    );
    expect(compared(tip(1, { ...lock, vrfOutput: lesser }), tip(2, { ...dense, vrfOutput: greater }))).toBe(
      "better",
    );
    expect(compared(tip(2, lock), tip(1, lock))).toBe("better");
  });

  test("long range: density decides, then as in short range", () => {
    const sparse = { minWindowDensity: 37, height: 2_000, vrfOutput: lesser };
    expect(compared(tip(1, { vrfOutput: greater }), tip(2, sparse))).toBe("better");
    expect(compared(tip(1, { height: 1_001, vrfOutput: greater }), tip(2, { vrfOutput: lesser }))).toBe(
      "better",
    );
    expect(compared(tip(1, { vrfOutput: lesser }), tip(2, { vrfOutput: greater }))).toBe("better");
    expect(compared(tip(2), tip(1))).toBe("better");
  });

  test("long range: each density is relative to the other tip", () => {
    // The higher density is of a chain that then stood still for seven sub-windows.
    const still = tip(1, { minWindowDensity: 38, height: 2_000 });
    const running = tip(2, { minWindowDensity: 15, slot: SLOT + 49 });
    expect(compared(running, still)).toBe("better");
    expect(compared(running, still, { ...PARAMETERS, gracePeriodEnd: 9_999 })).toBe("worse");
  });

  test("digests and hashes compare as numbers, the first digit the highest", () => {
    const hashes = (first: string, second: string): string =>
      compared(tip(1, { ...lock, hash: first as Hash }), tip(1, { ...lock, hash: second as Hash }));
    expect(hashes(`10${"00".repeat(31)}`, `0f${"ff".repeat(31)}`)).toBe("better");
    expect(hashes(`9${"0".repeat(63)}`, `a${"0".repeat(63)}`)).toBe("worse");
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (output) => {
        const [a, b] = [toHex(output), hashOf(3)];
        fc.pre(a !== b);
        const answer = compared(tip(1, { ...lock, vrfOutput: a }), tip(2, { ...lock, vrfOutput: b }));
        expect(answer).toBe(digestOf(a) > digestOf(b) ? "better" : "worse");
      }),
    );
  });

  test("a tip is not better than itself", () => {
    expect(compared(tip(1), tip(1))).toBe("equal");
    // A hash names a block: whatever else is said of it is not looked at.
    expect(isBetterTip(tip(1, { height: 2_000 }), tip(1), PARAMETERS)).toBe(false);
  });

  test("P31: the relation is not transitive: it must never be used to sort", () => {
    // Each has the same ring; the one that was denser stopped earlier.
    const ring = { subWindowDensities: Array(11).fill(5) };
    const a = tip(1, { ...ring, minWindowDensity: 40, slot: 2_009 });
    const b = tip(2, { ...ring, minWindowDensity: 35, slot: 2_023 });
    const c = tip(3, { ...ring, minWindowDensity: 30, slot: 2_058 });
    const densities = (one: ComparedTip, other: ComparedTip): readonly number[] => [
      relativeMinWindowDensity(one, other, PARAMETERS),
      relativeMinWindowDensity(other, one, PARAMETERS),
    ];
    expect([densities(a, b), densities(b, c), densities(c, a)]).toEqual([
      [40, 35],
      [35, 30],
      [30, 25],
    ]);
    expect([compared(a, b), compared(b, c), compared(c, a)]).toEqual(["better", "better", "better"]);
    const order = (one: ComparedTip, other: ComparedTip): number =>
      isBetterTip(one, other, PARAMETERS) ? -1 : 1;
    expect([a, b, c].sort(order)).not.toEqual([b, c, a].sort(order));
  });
});

describe("consensus: properties", () => {
  const small = fc.nat(3).map(hashOf);
  const tips: fc.Arbitrary<ComparedTip> = fc
    .record({
      hash: fc.nat(50).map(hashOf),
      height: fc.integer({ min: 1, max: 4 }),
      slot: fc.nat(120),
      minWindowDensity: fc.nat(40),
      subWindowDensities: fc.array(fc.nat(7), { minLength: 11, maxLength: 11 }),
      vrfOutput: small,
      stakingLock: small,
      nextLock: small,
    })
    .map((changes) => tip(0, { ...changes, epoch: Math.floor(changes.slot / 30) }));
  const parameters: fc.Arbitrary<ConsensusParameters> = fc.record({
    slotsPerEpoch: fc.constant(30),
    gracePeriodEnd: fc.nat(120),
  });

  test("of two different tips exactly one is better", () => {
    fc.assert(
      fc.property(tips, tips, parameters, (a, b, chain) => {
        const better = [isBetterTip(a, b, chain), isBetterTip(b, a, chain)];
        expect(better.filter(Boolean)).toHaveLength(a.hash === b.hash ? 0 : 1);
        expect(isShortRange(a, b, chain)).toBe(isShortRange(b, a, chain));
      }),
      { numRuns: 2_000 },
    );
  });

  test("the answer is the same for headers as they come from the wire", () => {
    const rest = {
      parent: hashOf(1),
      creator: hashOf(2),
      timestamp: 3n,
      bodyRoot: hashOf(4),
      ledgerRoot: hashOf(5),
      signature: "ab".repeat(64),
    };
    const sent = (one: ComparedTip): ComparedTip => {
      const { hash, consensus } = one;
      const locks = { stakingLock: consensus.stakingLock as Hash, nextLock: consensus.nextLock as Hash };
      const header = { ...rest, ...one, consensus: { ...consensus, ...locks } };
      const decoded = decode(headerSchema, encode(headerSchema, header), BEST_TIP_BYTES_MAX);
      if (decoded.tag === "failed") throw new Error(decoded.detail);
      return { hash, ...decoded.value };
    };
    fc.assert(
      fc.property(tips, tips, parameters, (a, b, chain) => {
        expect(isBetterTip(sent(a), sent(b), chain)).toBe(isBetterTip(a, b, chain));
      }),
    );
  });
});
