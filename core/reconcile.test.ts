import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TransactionInfo } from "./chain.ts";
import { type Range, type RpcMessage, rpcSchema } from "./channels/rpc.ts";
import { decode, encode } from "./codec/codec.ts";
import type { Hash } from "./ids.ts";
import {
  RECONCILE_IDS_MAX,
  RECONCILE_PLAIN_MAX,
  RECONCILE_RANGES_MAX,
  RECONCILE_ROUNDS_MAX,
  RECONCILE_SPLIT,
  RPC_BYTES_MAX,
} from "./limits.ts";
import { answerRanges, compareAnswer, openingQuestions, type Question, questionRanges } from "./reconcile.ts";
import {
  createIndex,
  fingerprintOf,
  fingerprintOfIds,
  hasId,
  ID_MAX,
  type SetIndex,
  shortId,
} from "./set-index.ts";

const WHOLE = { from: 0n, to: ID_MAX };

/** As many different hashes as asked for, the same for the same seed. */
const hashesOf = (seed: number, count: number): readonly Hash[] =>
  Array.from(
    { length: count },
    (_, at) => createHash("sha256").update(`${seed} ${at}`).digest("hex") as Hash,
  );

const idsOf = (seed: number, count: number): readonly bigint[] =>
  hashesOf(seed, count).map((name) => BigInt(`0x${name.slice(0, 16)}`));

const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** Of ids that the test chooses, whatever hashes they may belong to. */
function indexOf(...ids: readonly bigint[]): SetIndex {
  const sorted = ids.toSorted(ascending);
  const [xors, sums] = [[0n], [0n]];
  for (const id of sorted) {
    xors.push((xors.at(-1) ?? 0n) ^ id);
    sums.push(((sums.at(-1) ?? 0n) + id) % 2n ** 64n);
  }
  return { ids: sorted, hashes: sorted.map((id) => id.toString(16).padStart(64, "0") as Hash), xors, sums };
}

interface Course {
  readonly missing: readonly bigint[];
  readonly rounds: number;
  /** Of all requests and answers. */
  readonly bytes: number;
  /** Ids that were guessed in the course of it. */
  readonly guesses: readonly bigint[];
  readonly finished: boolean;
}

/** What the message is on the other side, and how long it was. It has to be one that the codec lets through. */
function sent(message: RpcMessage): readonly [RpcMessage, number] {
  const bytes = encode(rpcSchema, message);
  const decoded = decode(rpcSchema, bytes, RPC_BYTES_MAX);
  if (decoded.tag === "failed") throw new Error(decoded.detail);
  return [decoded.value, bytes.length];
}

function sentRanges(message: RpcMessage): readonly [readonly Range[], number] {
  const [received, bytes] = sent(message);
  if (received.body.tag !== "reconcile") throw new Error("not a reconciliation");
  return [received.body.ranges, bytes];
}

/** A whole reconciliation over the real codec. */
function reconcile(own: SetIndex, answerOf: (ranges: readonly Range[]) => readonly Range[]): Course {
  let questions = openingQuestions(own);
  const missing: bigint[] = [];
  const guesses: bigint[] = [];
  let [rounds, bytes] = [0, 0];
  for (; questions.length > 0 && rounds < RECONCILE_ROUNDS_MAX; rounds++) {
    const ranges = questionRanges(own, questions);
    const request = { tag: "reconcile", pool: 0, salt: 1n, ranges } as const;
    const [asked, requestBytes] = sentRanges({ tag: "request", id: rounds, body: request });
    const response = { tag: "reconcile", cursor: { epoch: 1n, next: 2n }, ranges: answerOf(asked) } as const;
    const [answer, responseBytes] = sentRanges({ tag: "response", id: rounds, body: response });
    const learned = compareAnswer(own, questions, answer);
    missing.push(...learned.missing);
    guesses.push(...learned.again.flatMap(({ from, guessedIn }) => (guessedIn === null ? [] : [from])));
    questions = learned.again;
    bytes += requestBytes + responseBytes;
  }
  return { missing, rounds, bytes, guesses, finished: questions.length === 0 };
}

const between = (own: SetIndex, peer: SetIndex): Course =>
  reconcile(own, (asked) => answerRanges(peer, asked));

function expectExact(course: Course, own: SetIndex, peer: SetIndex): void {
  expect(course.finished).toBe(true);
  expect(course.missing.toSorted(ascending)).toEqual(peer.ids.filter((id) => !hasId(own, id)));
}

describe("reconcile: what it costs", () => {
  /** Also what brings the items that are missing into reach: InfosByShortId and its answer. */
  function infosBytes(ids: readonly bigint[], hashes: readonly Hash[]): number {
    const infos = hashes.map((hash): TransactionInfo => ({ hash, fee: 1n, sender: hash, nonce: 1 }));
    const request = { tag: "infosByShortId", pool: 0, salt: 1n, ids } as const;
    const response = { tag: "infos", infos: { tag: "transactions", items: infos } } as const;
    return (
      sent({ tag: "request", id: 9, body: request })[1] + sent({ tag: "response", id: 9, body: response })[1]
    );
  }

  test("P23: two pools of 3000 with 20 differences take at most 8000 bytes, in the median 5000", () => {
    const costs = Array.from({ length: 20 }, (_, seed) => {
      const [common, added, gone] = [
        hashesOf(seed, 2_990),
        hashesOf(1_000 + seed, 10),
        hashesOf(2_000 + seed, 10),
      ];
      const salt = idsOf(seed, 1)[0] ?? 0n;
      const [own, peer] = [createIndex(salt, [...common, ...gone]), createIndex(salt, [...common, ...added])];
      const course = between(own, peer);
      expectExact(course, own, peer);
      expect(course.missing.toSorted(ascending)).toEqual(
        added.map((name) => shortId(salt, name)).sort(ascending),
      );
      return course.bytes + infosBytes(course.missing, added);
    });
    costs.sort((a, b) => a - b);
    expect(costs.at(-1)).toBeLessThanOrEqual(8_000);
    expect(costs[10]).toBeLessThanOrEqual(5_000);
  });

  test("equal sets: one request without an answer", () => {
    const index = indexOf(...idsOf(1, 3_000));
    expect(between(index, index)).toMatchObject({ missing: [], rounds: 1, finished: true });
    expect(between(index, index).bytes).toBeLessThan(150);
    expect(between(indexOf(), indexOf())).toMatchObject({ missing: [], rounds: 1, finished: true });
  });

  test.each([
    ["nothing in common", 0, 3_000, 3_000],
    ["an empty set of ours", 0, 3_000, 0],
    ["half in common", 1_500, 1_500, 1_500],
    ["a third of ours new", 2_000, 1_000, 0],
  ])("with %s it costs little more than all ids", (_, common, added, gone) => {
    const shared = idsOf(1, common);
    const [own, peer] = [indexOf(...shared, ...idsOf(2, gone)), indexOf(...shared, ...idsOf(3, added))];
    const course = between(own, peer);
    expectExact(course, own, peer);
    expect(course.bytes).toBeLessThan(1.4 * 8 * 3_000);
    expect(course.rounds).toBeLessThanOrEqual(4);
  });

  test("a set of ours that the peer has all of, or nothing of what it has, costs next to nothing", () => {
    const course = between(indexOf(...idsOf(1, 3_000)), indexOf());
    expect(course).toMatchObject({ missing: [], rounds: 1, finished: true });
    expect(course.bytes).toBeLessThan(250);
  });
});

describe("reconcile: what it finds", () => {
  const sizes = fc.oneof(fc.nat(30), fc.nat(300), fc.nat(2_000));

  test("for any two sets exactly what we lack", () => {
    fc.assert(
      fc.property(sizes, sizes, sizes, fc.nat(), (common, added, gone, seed) => {
        const ids = idsOf(seed, common + added + gone);
        const own = indexOf(...ids.slice(0, common), ...ids.slice(common + added));
        const peer = indexOf(...ids.slice(0, common + added));
        expectExact(between(own, peer), own, peer);
      }),
      { numRuns: 80 },
    );
  });

  test("also where answers are cut: sets that take many messages", () => {
    const [own, peer] = [indexOf(...idsOf(1, 200)), indexOf(...idsOf(2, 9_000))];
    const course = between(own, peer);
    expectExact(course, own, peer);
    expect(course.rounds).toBeGreaterThan(2);
  });

  test("also where ids lie close together", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(400), fc.nat(400), (seed, added, gone) => {
        // A hundred among all the ids, the rest in a span of 2^40.
        const near = idsOf(seed, added + gone).map((id) => 2n ** 63n + (id >> 24n));
        const own = indexOf(...idsOf(seed + 1, 100), ...near.slice(added));
        const peer = indexOf(...idsOf(seed + 1, 100), ...near.slice(0, added));
        expectExact(between(own, peer), own, peer);
      }),
      { numRuns: 40 },
    );
  });

  describe("by one fingerprint", () => {
    const common = idsOf(1, 20);
    const [a, b, c, d] = [11n, 22n, 33n, 44n].map((part) => (part << 58n) + 12_345n * part) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    /** What is learned when the peer answers the opening with the fingerprint of all it has. */
    function learned(own: readonly bigint[], theirs: readonly bigint[]) {
      const index = indexOf(...own);
      const body = { tag: "fingerprint", ...fingerprintOfIds(theirs) } as const;
      return compareAnswer(index, openingQuestions(index), [{ ...WHOLE, body }]);
    }
    const guessed = (id: bigint) => ({ missing: [], again: [{ from: id, to: id, guessedIn: WHOLE }] });
    const nothing = { missing: [], again: [] };

    test("one that we lack is guessed", () => {
      expect(learned(common, [...common, a])).toEqual(guessed(a));
    });

    test("one of ours that was replaced is found, and the one in its place guessed", () => {
      expect(learned([...common, b], [...common, a])).toEqual(guessed(a));
    });

    test("one or two that the peer lacks are none that we lack", () => {
      expect(learned([...common, a], common)).toEqual(nothing);
      expect(learned([...common, a, b], common)).toEqual(nothing);
    });

    test("the only one of the peer where we have none is no guess", () => {
      expect(learned([], [a])).toEqual({ missing: [a], again: [] });
    });

    test("where the peer has nothing there is nothing to ask", () => {
      expect(learned(common, [])).toEqual(nothing);
    });

    test.each([
      ["two that we lack", [], [a, b]],
      ["two that we lack and one that the peer lacks", [c], [a, b]],
      ["two replaced by two", [c, d], [a, b]],
      ["one that we lack and two that the peer lacks", [c, d], [a]],
      ["three that the peer lacks", [b, c, d], []],
    ])("%s cannot be told: all is asked again, in parts", (_, ours, theirs) => {
      const { missing, again } = learned([...common, ...ours], [...common, ...theirs]);
      expect(missing).toEqual([]);
      expect(again.length).toBeGreaterThan(1);
      expect([again.at(0)?.from, again.at(-1)?.to]).toEqual([0n, ID_MAX]);
      expect(again.every(({ guessedIn }) => guessedIn === null)).toBe(true);
    });
  });

  describe("a fingerprint that only looks like few differences explains nothing", () => {
    const index = indexOf(10n, 20n, 30n, 500n);
    const span = { from: 0n, to: 99n };
    const differing = (count: number, xor: bigint, sum: bigint) => {
      const own = fingerprintOf(index, span);
      const changed = { count: own.count + count, xor: own.xor ^ xor, sum: (own.sum + sum) & ID_MAX };
      const body = { tag: "fingerprint", ...changed } as const;
      return compareAnswer(index, [{ ...span, guessedIn: null }], [{ ...span, body }]);
    };
    const halves = [
      { from: 0n, to: 49n, guessedIn: null },
      { from: 50n, to: 99n, guessedIn: null },
    ];

    test.each<[string, number, bigint, bigint]>([
      ["one more that we have", 1, 20n, 20n],
      ["one more from elsewhere", 1, 700n, 700n],
      ["one more, of which xor and sum say different things", 1, 7n, 8n],
      ["one less that we do not have", -1, 7n, -7n],
      ["one less from elsewhere", -1, 500n, -500n],
      ["one less, of which xor and sum say different things", -1, 20n, -21n],
      ["one replaced by one from elsewhere", 0, 10n ^ 700n, 690n],
      ["one replaced by one that we have", 0, 10n ^ 20n, 10n],
      ["one replaced, of which xor and sum say different things", 0, 10n ^ 7n, -4n],
      ["one replaced by the next, but which of three?", 0, 1n, 1n],
      ["two less, one of them from elsewhere", -2, 10n ^ 500n, -510n],
      ["two less, one of which we do not have", -2, 10n ^ 7n, -17n],
      ["two less, of which xor and sum say different things", -2, 10n ^ 20n, -31n],
    ])("%s", (_, count, xor, sum) => {
      expect(differing(count, xor, sum)).toEqual({ missing: [], again: halves });
    });

    test("while these do", () => {
      const guessed = { missing: [], again: [{ from: 7n, to: 7n, guessedIn: span }] };
      expect(differing(1, 7n, 7n)).toEqual(guessed);
      expect(differing(0, 10n ^ 7n, -3n)).toEqual(guessed);
      expect(differing(-1, 20n, -20n)).toEqual({ missing: [], again: [] });
      expect(differing(-2, 10n ^ 20n, -30n)).toEqual({ missing: [], again: [] });
    });
  });

  describe("guesses are verified", () => {
    /** Two ids with the sum and the xor of x and c: some of their bits are exchanged. */
    const mixed = (x: bigint, c: bigint, bits: bigint): readonly [bigint, bigint] => [
      (x & bits) | (c & ~bits),
      (c & bits) | (x & ~bits),
    ];
    const BITS = 0x0f0f_5555n;
    const near = (low: bigint): bigint => (0x8000_0000n << 32n) + low;
    const [x, c, d] = [near(0x7e57_ab1en), near(0x1234_5678n), near(0x0bad_cafen)];

    test.each([
      ["a and b without c look like a + b - c = a ^ b ^ c", [c], mixed(x, c, BITS)],
      ["a and b for c and d look like one for the other", [c, d], mixed(x, d, BITS)],
    ])("%s", (_, ours, theirs) => {
      const common = idsOf(5, 300);
      const [own, peer] = [indexOf(...common, ...ours), indexOf(...common, ...theirs)];
      const course = between(own, peer);
      expect(course.guesses).toContain(x);
      expectExact(course, own, peer);
    });

    test("an answer to a guess counts only if it tells the id", () => {
      const own = indexOf(...idsOf(1, 10));
      const question: Question = { from: 7n, to: 7n, guessedIn: { from: 0n, to: 99n } };
      const [range] = questionRanges(own, [question]);
      expect(range).toEqual({ from: 7n, to: 7n, body: { tag: "fingerprint", count: 1, xor: 7n, sum: 7n } });
      const answered = (body: Range["body"]) => compareAnswer(own, [question], [{ from: 7n, to: 7n, body }]);
      expect(answered({ tag: "ids", ids: [7n] })).toEqual({ missing: [7n], again: [] });
      const halves = [
        { from: 0n, to: 49n, guessedIn: null },
        { from: 50n, to: 99n, guessedIn: null },
      ];
      expect(answered({ tag: "ids", ids: [] })).toEqual({ missing: [], again: halves });
      expect(answered({ tag: "ids", ids: [8n] })).toEqual({ missing: [], again: halves });
      expect(answered({ tag: "fingerprint", count: 0, xor: 0n, sum: 0n })).toEqual({
        missing: [],
        again: halves,
      });
      expect(compareAnswer(own, [question], [])).toEqual({ missing: [7n], again: [] });
    });
  });
});

describe("reconcile: questions", () => {
  test("begin with all ids, in as many parts as there are 1500 of ours, at most 8", () => {
    const sizes = [0, 1, 1_500, 1_501, 3_000, 24_000, 30_000];
    const ids = Array.from({ length: 30_000 }, (_, at) => BigInt(at));
    const openings = sizes.map((size) =>
      openingQuestions({ ids: ids.slice(0, size), hashes: [], xors: [], sums: [] }),
    );
    expect(openings.map((questions) => questions.length)).toEqual([1, 1, 1, 2, 2, 8, 8]);
    for (const questions of openings) {
      expect([questions.at(0)?.from, questions.at(-1)?.to]).toEqual([0n, ID_MAX]);
      expect(questions.every(({ from }, at) => from === (questions[at - 1]?.to ?? -1n) + 1n)).toBe(true);
    }
  });

  const index = indexOf(...idsOf(1, 100));
  const questionsOf = (count: number): readonly Question[] =>
    Array.from({ length: count }, (_, at) => {
      const from = BigInt(at) << 50n;
      return { from, to: from + 2n ** 50n - 1n, guessedIn: null };
    });

  test("that do not fit into a request wait for the next", () => {
    const questions = questionsOf(300);
    expect(questionRanges(index, questions)).toHaveLength(RECONCILE_RANGES_MAX);
    expect(compareAnswer(index, questions, [])).toEqual({ missing: [], again: questions.slice(256) });
  });

  test("that were left out by a full answer are asked again: it may have lacked room", () => {
    const [first, last] = [
      { from: 0n, to: 2n ** 50n, guessedIn: null },
      { from: ID_MAX, to: ID_MAX, guessedIn: WHOLE },
    ];
    const again = (answer: readonly Range[]): boolean =>
      compareAnswer(index, [first, last], answer).again.some(({ from }) => from === last.from);
    const told = (ranges: number, ids: number): readonly Range[] =>
      Array.from({ length: ranges }, (_, at) => ({
        from: BigInt(at),
        to: BigInt(at),
        body: { tag: "ids", ids: Array(at === 0 ? ids : 0).fill(0n) },
      }));
    expect(again(told(RECONCILE_RANGES_MAX - RECONCILE_SPLIT, 0))).toBe(false);
    expect(again(told(RECONCILE_RANGES_MAX - RECONCILE_SPLIT + 1, 0))).toBe(true);
    expect(again(told(1, RECONCILE_IDS_MAX - RECONCILE_PLAIN_MAX))).toBe(false);
    expect(again(told(1, RECONCILE_IDS_MAX - RECONCILE_PLAIN_MAX + 1))).toBe(true);
  });

  test("that are answered by nothing smaller are made smaller", () => {
    const body = { tag: "fingerprint", count: 1_000, xor: 1n, sum: 2n } as const;
    const [question] = questionsOf(1);
    if (question === undefined) throw new Error("there is one");
    const { again } = compareAnswer(index, [question], [{ from: question.from, to: question.to, body }]);
    expect(again.length).toBeGreaterThan(1);
    // Unless they are single ids, of which there are no parts.
    const single = { from: 7n, to: 7n, guessedIn: null };
    expect(compareAnswer(index, [single], [{ from: 7n, to: 7n, body }])).toEqual({ missing: [], again: [] });
  });

  describe("are asked again in the parts that cost the least", () => {
    /** Counts of ours and of the peer's in the halves of one question. */
    const partsOf = (...counts: readonly (readonly [number, number])[]): readonly number[] => {
      const spans = counts.map((_, half) => ({
        from: BigInt(half) << 63n,
        to: (BigInt(half + 1) << 63n) - 1n,
      }));
      const ours = counts.flatMap(([count], half) =>
        idsOf(7, count).map((id) => (BigInt(half) << 63n) + (id >> 1n)),
      );
      const answer = counts.map(([, count], half): Range => {
        const body = { tag: "fingerprint", count, xor: 1n, sum: 2n } as const;
        return { ...(spans[half] ?? WHOLE), body };
      });
      const { again } = compareAnswer(indexOf(...ours), [{ ...WHOLE, guessedIn: null }], answer);
      return spans.map(({ from, to }) => again.filter((part) => part.from >= from && part.to <= to).length);
    };

    test.each([
      ["two in 20", 18, 20, 2],
      ["two in 94", 92, 94, 6],
      ["two in 128", 126, 128, 7],
      ["two in 129: the peer splits them", 127, 129, 1],
      ["two in 3000", 2_998, 3_000, 1],
      ["all of 40: they are told", 0, 40, 1],
      ["all of 49", 0, 49, 2],
      ["all of 480", 0, 480, 10],
      ["a fifth of 480", 384, 480, 10],
      ["less than a fifth of 480", 385, 480, 1],
    ])("%s", (_, ours, theirs, parts) => {
      expect(partsOf([ours, theirs], [ours, theirs])).toEqual([parts, parts]);
    });

    test("if counts scatter, much differs also where they are equal", () => {
      expect(partsOf([94, 94], [94, 94])).toEqual([6, 6]);
      expect(partsOf([104, 94], [84, 94])).toEqual([2, 2]);
    });

    test("and not in more parts than there are ids", () => {
      const body = { tag: "fingerprint", count: 1_000, xor: 1n, sum: 2n } as const;
      const span = { from: 0n, to: 2n };
      const singles = [0n, 1n, 2n].map((id) => ({ from: id, to: id, guessedIn: null }));
      expect(compareAnswer(index, [{ ...span, guessedIn: null }], [{ ...span, body }]).again).toEqual(
        singles,
      );
    });
  });

  test("are not answered by an only id from elsewhere", () => {
    const body = { tag: "fingerprint", count: 1, xor: ID_MAX, sum: ID_MAX } as const;
    const answer = [{ from: 0n, to: 99n, body }];
    expect(compareAnswer(indexOf(), questionsOf(1), answer)).toEqual({ missing: [], again: [] });
  });

  test("learn each id once, only of the range that tells it", () => {
    const ids = [7n, 7n, 100n, 7n, 101n];
    const answer: readonly Range[] = [{ from: 0n, to: 100n, body: { tag: "ids", ids } }];
    expect(compareAnswer(index, questionsOf(1), answer)).toEqual({ missing: [7n, 100n], again: [] });
  });
});

describe("reconcile: answers", () => {
  const index = indexOf(...idsOf(1, 1_000));
  const asked = (span: { from: bigint; to: bigint }): Range => ({
    ...span,
    body: { tag: "fingerprint", count: 0, xor: 1n, sum: 1n },
  });
  /** From one id to another by their places, as far as possible to the next ones. */
  const spanOf = (start: number, end: number) => ({
    from: (index.ids[start - 1] ?? -1n) + 1n,
    to: (index.ids[end] ?? 0n) - 1n,
  });

  test("what is equal is left out, also if it was told by its ids", () => {
    const span = spanOf(100, 200);
    const fingerprint = { tag: "fingerprint", ...fingerprintOf(index, span) } as const;
    expect(answerRanges(index, [{ ...span, body: fingerprint }])).toEqual([]);
    const ids = index.ids.slice(100, 200);
    expect(answerRanges(index, [{ ...span, body: { tag: "ids", ids } }])).toEqual([]);
    expect(answerRanges(index, [{ ...span, body: { tag: "ids", ids: ids.slice(1) } }])).toHaveLength(
      RECONCILE_SPLIT,
    );
    for (const changed of [{ count: 99 }, { xor: 1n }, { sum: 1n }]) {
      expect(answerRanges(index, [{ ...span, body: { ...fingerprint, ...changed } }])).toHaveLength(
        RECONCILE_SPLIT,
      );
    }
  });

  test("64 ids are told, 65 are split into 8 fingerprints", () => {
    const few = spanOf(300, 300 + RECONCILE_PLAIN_MAX);
    const ids = index.ids.slice(300, 364);
    expect(answerRanges(index, [asked(few)])).toEqual([{ ...few, body: { tag: "ids", ids } }]);
    const many = spanOf(300, 300 + RECONCILE_PLAIN_MAX + 1);
    const parts = answerRanges(index, [asked(many)]);
    expect(parts).toHaveLength(RECONCILE_SPLIT);
    expect([parts.at(0)?.from, parts.at(-1)?.to]).toEqual([many.from, many.to]);
    for (const { body, ...span } of parts) {
      expect(body).toEqual({ tag: "fingerprint", ...fingerprintOf(index, span) });
    }
    expect(new Set(parts.map(({ body }) => (body.tag === "fingerprint" ? body.count : 0)))).toEqual(
      new Set([8, 9]),
    );
    expect(answerRanges(index, [asked(spanOf(5, 5))])).toMatchObject([{ body: { tag: "ids", ids: [] } }]);
  });

  describe("stop at the first range that does not fit", () => {
    const large = indexOf(...idsOf(2, 5_000));
    /** Ranges with these numbers of ids, one after the other. */
    const spansOf = (...counts: readonly number[]) => {
      let place = 0;
      return counts.map((count) => {
        const from = (large.ids[place - 1] ?? -1n) + 1n;
        place += count;
        return { from, to: large.ids[place - 1] ?? from };
      });
    };
    const answerTo = (spans: readonly { from: bigint; to: bigint }[]) =>
      answerRanges(large, spans.map(asked));

    test.each([
      ["8 parts each", [...Array(33).fill(70), 1], 32, 256],
      ["8 parts after a range that is told", [1, ...Array(32).fill(70), 1], 32, 249],
      ["ids", [...Array(69).fill(60), 10], 68, 68],
      ["ids before a range that is split", [...Array(69).fill(60), 70], 68, 68],
      ["the last ids that fit", [...Array(64).fill(64), 1], 64, 64],
    ])("%s", (_, counts, answered, ranges) => {
      const spans = spansOf(...counts);
      const answer = answerTo(spans);
      expect(answer).toHaveLength(ranges);
      expect(answer.at(-1)?.to).toBe(spans[answered - 1]?.to);
      // What follows is asked again, by whoever has the same or not.
      const questions = spans.map((span) => ({ ...span, guessedIn: null }));
      expect(compareAnswer(large, questions, answer).again.slice(answered - spans.length)).toEqual(
        questions.slice(answered),
      );
    });
  });

  test("keep the bounds of a message, whatever is asked", () => {
    const large = indexOf(...idsOf(1, 20_000));
    const bodies: fc.Arbitrary<Range["body"]> = fc.oneof(
      fc.record({
        tag: fc.constant("fingerprint" as const),
        count: fc.nat(),
        xor: fc.bigInt({ min: 0n, max: ID_MAX }),
        sum: fc.bigInt({ min: 0n, max: ID_MAX }),
      }),
      fc.record({
        tag: fc.constant("ids" as const),
        ids: fc.array(fc.bigInt({ min: 0n, max: ID_MAX }), { maxLength: 20 }),
      }),
    );
    // As many ids as this lie in a range on average: few, about as many as are told, many.
    const widths = fc.constantFrom(0n, 1n, 20n, 60n, 70n, 200n).map((ids) => (ids * ID_MAX) / 20_000n);
    const steps = fc.array(fc.tuple(widths, widths, bodies), { maxLength: RECONCILE_RANGES_MAX });
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 4 }), (groups) => {
        const ranges: Range[] = [];
        let from = 0n;
        for (const [gap, width, body] of groups.flat().slice(0, RECONCILE_RANGES_MAX)) {
          const range = { from: from + gap, to: from + gap + width, body };
          if (range.to > ID_MAX) break;
          ranges.push(range);
          from = range.to + 1n;
        }
        const answer = answerRanges(large, ranges);
        const message = { tag: "reconcile", cursor: { epoch: 1n, next: 1n }, ranges: answer } as const;
        expect(sentRanges({ tag: "response", id: 1, body: message })[0]).toEqual(answer);
        expect(idCount(answer)).toBeLessThanOrEqual(RECONCILE_IDS_MAX);
        expect(
          answer.every((range) => ranges.some(({ from, to }) => range.from >= from && range.to <= to)),
        ).toBe(true);
      }),
      { numRuns: 60 },
    );
    // The greatest there are: every range wide enough to be told, or to be split.
    for (const parts of [256, 320, 400]) {
      const spans = Array.from({ length: 256 }, (_, at) => ({
        from: (ID_MAX * BigInt(at)) / BigInt(parts) + 1n,
        to: (ID_MAX * BigInt(at + 1)) / BigInt(parts),
      }));
      const answer = answerRanges(large, spans.map(asked));
      const message = { tag: "reconcile", cursor: { epoch: 1n, next: 1n }, ranges: answer } as const;
      expect(sentRanges({ tag: "response", id: 1, body: message })[0]).toEqual(answer);
    }
  });
});

const idCount = (ranges: readonly Range[]): number =>
  ranges.reduce((sum, { body }) => sum + (body.tag === "ids" ? body.ids.length : 0), 0);

describe("reconcile: liars", () => {
  const own = indexOf(...idsOf(1, 500));
  const ids = fc.bigInt({ min: 0n, max: ID_MAX });
  const bodies: fc.Arbitrary<Range["body"]> = fc.oneof(
    fc.record({
      tag: fc.constant("fingerprint" as const),
      count: fc.oneof(fc.nat(3), fc.nat(200), fc.constant(2 ** 32 - 1)),
      xor: ids,
      sum: ids,
    }),
    // An id that would be the only one, one that would be the difference.
    fc
      .oneof(
        ids,
        ids.map((id) => id ^ fingerprintOf(own, WHOLE).xor),
      )
      .map((id) => ({
        tag: "fingerprint" as const,
        count: 1,
        xor: id,
        sum: id,
      })),
    fc.record({ tag: fc.constant("ids" as const), ids: fc.array(ids, { maxLength: 40 }) }),
  );
  /** Sorted and disjoint, for nothing else passes the codec, but not what was asked for. */
  const answers: fc.Arbitrary<readonly Range[]> = fc
    .tuple(fc.uniqueArray(ids, { maxLength: 2 * RECONCILE_RANGES_MAX }), fc.infiniteStream(bodies))
    .map(([ends, stream]) => {
      const sorted = ends.toSorted(ascending);
      return sorted.flatMap((from, at): Range[] => {
        const to = sorted[at + 1];
        const body = stream.next().value;
        return at % 2 === 1 || to === undefined || body === undefined ? [] : [{ from, to, body }];
      });
    });
  const partitions: fc.Arbitrary<readonly Question[]> = fc
    .uniqueArray(ids, { maxLength: 300 })
    .map((ends) => {
      const sorted = ends.toSorted(ascending);
      return sorted.flatMap((from, at): Question[] => {
        const to = (sorted[at + 1] ?? ID_MAX) - 1n;
        if (at % 5 === 0 || to < from) return [];
        return at % 3 === 0 ? [{ from, to: from, guessedIn: { from, to } }] : [{ from, to, guessedIn: null }];
      });
    });
  const spanOf = ({ from, to, guessedIn }: Question) => guessedIn ?? { from, to };

  test("are believed only within what was asked, and what is asked again is less", () => {
    fc.assert(
      fc.property(partitions, answers, (questions, answer) => {
        const asked = questions.slice(0, RECONCILE_RANGES_MAX);
        const { missing, again } = compareAnswer(own, questions, answer);
        for (const id of missing) {
          expect(hasId(own, id)).toBe(false);
          expect(asked.some(({ from, to }) => id >= from && id <= to)).toBe(true);
        }
        expect(new Set(missing).size).toBe(missing.length);
        const isFull = answer.length > 240 || idCount(answer) > RECONCILE_IDS_MAX - RECONCILE_PLAIN_MAX;
        for (const [at, { from, to, guessedIn }] of again.entries()) {
          expect(from).toBeGreaterThan(again[at - 1]?.to ?? -1n);
          expect(to).toBeGreaterThanOrEqual(from);
          const before = questions.find(
            (question) => spanOf(question).from <= from && to <= spanOf(question).to,
          );
          if (before === undefined) throw new Error("not part of any question");
          if (questions.includes(before) && questions.indexOf(before) >= RECONCILE_RANGES_MAX) continue;
          const isNarrower = to - from < spanOf(before).to - spanOf(before).from;
          expect(isNarrower || (isFull && guessedIn === before.guessedIn)).toBe(true);
        }
        expect(again.length).toBeLessThanOrEqual(questions.length + 2 * RECONCILE_RANGES_MAX);
        const ranges = questionRanges(own, again);
        const request = { tag: "reconcile", pool: 0, salt: 1n, ranges } as const;
        expect(sentRanges({ tag: "request", id: 1, body: request })[0]).toEqual(ranges);
      }),
      { numRuns: 150 },
    );
  });

  const endless = (span: { from: bigint; to: bigint }): Range => ({
    ...span,
    body: { tag: "fingerprint", count: 2 ** 32 - 1, xor: 1n, sum: 2n },
  });

  test.each<[string, (asked: readonly Range[]) => readonly Range[]]>([
    ["who repeats every range, with another fingerprint", (asked) => asked.map(endless)],
    ["who repeats the first range only", (asked) => asked.slice(0, 1).map(endless)],
    [
      "who confirms no guess",
      (asked) => asked.map(({ from, to }) => ({ from, to, body: { tag: "ids", ids: [] } })),
    ],
    [
      "who sends a full answer to the first range",
      ([first]) => {
        const { from, to } = first ?? WHOLE;
        const step = (to - from) / 256n;
        if (step === 0n) return [];
        return Array.from({ length: 256 }, (_, at) => {
          const start = from + step * BigInt(at);
          return endless({ from: start, to: start + step - 1n });
        });
      },
    ],
    [
      "who differs by one in every part",
      (asked) =>
        asked.map(({ from, to }) => {
          const { count, xor, sum } = fingerprintOf(own, { from, to });
          const id = (from + to) / 2n;
          return {
            from,
            to,
            body: { tag: "fingerprint", count: count + 1, xor: xor ^ id, sum: (sum + id) & ID_MAX },
          };
        }),
    ],
  ])("%s: does not keep us longer than the rounds we give them, nor with more questions", (_, answerOf) => {
    let questions = openingQuestions(own);
    for (let round = 0; round < RECONCILE_ROUNDS_MAX; round++) {
      const { again } = compareAnswer(own, questions, answerOf(questionRanges(own, questions)));
      expect(again.length).toBeLessThanOrEqual(questions.length + 2 * RECONCILE_RANGES_MAX);
      questions = again;
    }
    expect(reconcile(own, answerOf).rounds).toBeLessThanOrEqual(RECONCILE_ROUNDS_MAX);
  });
});
