import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SnarkInfo } from "../../core/block.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { BLOCK_SNARKS_MAX, BLOCK_TRANSACTIONS_MAX } from "../../core/limits.ts";
import { accountOf } from "./chain.fixture.ts";
import { choosePayments, chooseSnarks, withoutOvertaking } from "./choice.ts";
import { type Ledger, ledgerOf } from "./ledger.ts";
import { openDraft } from "./ledger-draft.ts";
import type { Payment } from "./transfer.ts";

const nameOf = (number: number): string => number.toString(16).padStart(64, "0");
const CREATOR = accountOf(9);

/** Accounts 0 to 3 with these balances, the creator with 10, and so many jobs. */
const ledgerWith = (balances: readonly bigint[], jobs = 0): Ledger =>
  ledgerOf(
    [
      ...balances.map((balance, index) => [accountOf(index), { balance, nonce: 0 }] as const),
      [CREATOR, { balance: 10n, nonce: 0 }] as const,
    ],
    Array.from({ length: jobs }, (_, job) => nameOf(job) as JobId),
  );

let made = 0;
function payment(from: number, nonce: number, amount = 1n, to = 8): Payment {
  made += 1;
  return { hash: nameOf(made) as Hash, from: accountOf(from), to: accountOf(to), amount, fee: 1n, nonce };
}

const choose = (ledger: Ledger, given: readonly Payment[], jobsMax = 4_096): readonly Payment[] =>
  choosePayments(openDraft(ledger, CREATOR, jobsMax), given, jobsMax);

describe("choice: payments that others may still overtake", () => {
  const waited = new Set<Payment>();
  const choose = (given: readonly Payment[]): readonly Payment[] =>
    withoutOvertaking(openDraft(ledgerWith([100n, 100n]), CREATOR, 8), given, (each) => waited.has(each));

  test("what follows a missing nonce waits, and so does what follows that; other senders do not", () => {
    const [a1, a3, a4, b1] = [payment(0, 1), payment(0, 3), payment(0, 4), payment(1, 1)];
    expect(choose([a4, b1, a3, a1])).toEqual([b1, a1]);
  });

  test("a gap for which nobody waits any more is one", () => {
    const [a1, a3, a4, a9] = [payment(0, 1), payment(0, 3), payment(0, 4), payment(0, 9)];
    waited.add(a3);
    expect(choose([a9, a4, a3, a1])).toEqual([a4, a3, a1]);
    expect(choose([a4, a3])).toEqual([a4, a3]);
  });
});

describe("choice: payments", () => {
  test("a sender's are in the order of nonces, in the places that his importance gives him", () => {
    const [a3, b1, a1, a2] = [payment(0, 3), payment(1, 1), payment(0, 1), payment(0, 2)];
    expect(choose(ledgerWith([100n, 100n]), [a3, b1, a1, a2])).toEqual([a1, b1, a2, a3]);
  });

  test("what finds no room has the higher nonce: with the lower one left out, that would be invalid", () => {
    const [a5, b1, a3] = [payment(0, 5), payment(1, 1), payment(0, 3)];
    expect(choose(ledgerWith([100n, 100n]), [a5, b1, a3], 2)).toEqual([a3, b1]);
    expect(choose(ledgerWith([100n, 100n], 30), [a5, b1, a3], 32)).toEqual([a3, b1]);
  });

  test("of two with the same nonce the more important one is taken", () => {
    const [first, second] = [payment(0, 1), payment(0, 1)];
    expect(choose(ledgerWith([100n]), [first, second])).toEqual([first]);
  });

  test("of what a sender cannot afford all of, the more important is taken, also out of the order of nonces", () => {
    const [a2, a1, a3] = [payment(0, 2, 60n), payment(0, 1, 60n), payment(0, 3, 30n)];
    expect(choose(ledgerWith([100n]), [a2, a1, a3])).toEqual([a2, a3]);
  });

  test("money that comes in by the block itself is spent at the end of it", () => {
    const [b1, a1] = [payment(1, 1, 50n), payment(0, 1, 60n, 1)];
    expect(choose(ledgerWith([100n, 0n]), [b1, a1])).toEqual([a1, b1]);
  });

  test("used nonces and unknown senders are left out", () => {
    const ledger = ledgerOf([[accountOf(0), { balance: 100n, nonce: 4 }]], []);
    const good = payment(0, 5);
    expect(choose(ledger, [payment(0, 4), payment(0, 3), payment(1, 1), good])).toEqual([good]);
  });

  test("there are at most as many as a block may have, and as many jobs as may be pending", () => {
    const many = Array.from({ length: BLOCK_TRANSACTIONS_MAX + 100 }, (_, index) => payment(0, index + 1));
    expect(choose(ledgerWith([10_000n]), many)).toEqual(many.slice(0, BLOCK_TRANSACTIONS_MAX));
    expect(choose(ledgerWith([10_000n], 30), many, 100)).toEqual(many.slice(0, 70));
    expect(choose(ledgerWith([10_000n], 100), many, 100)).toEqual([]);
  });

  const payments = fc.array(
    fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 6 }), fc.bigInt(0n, 40n), fc.nat(4)),
    { maxLength: 25 },
  );

  test("the choice is valid in its order, within the bounds, and each sender's by nonce", () => {
    const balances = fc.array(fc.bigInt(0n, 100n), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(balances, payments, fc.integer({ min: 1, max: 30 }), (owned, drawn, jobsMax) => {
        const given = drawn.map(([from, nonce, amount, to]) => payment(from, nonce, amount, to));
        const ledger = ledgerWith(owned);
        const chosen = choose(ledger, given, jobsMax);
        const draft = openDraft(ledger, CREATOR, jobsMax);
        for (const one of chosen) expect(draft.pay(one)).toBeNull();
        expect(chosen.length).toBeLessThanOrEqual(jobsMax);
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen.every((one) => given.includes(one))).toBe(true);
      }),
    );
  });

  test("where money is not the question, importance says how many of a sender, and his lowest nonces are taken", () => {
    fc.assert(
      fc.property(payments, fc.integer({ min: 1, max: 30 }), (drawn, room) => {
        const given = drawn.map(([from, nonce, amount, to]) => payment(from, nonce, amount, to));
        const isFirst = (one: Payment): boolean =>
          given.find(({ from, nonce }) => from === one.from && nonce === one.nonce) === one;
        const best = given.filter(isFirst);
        const expected = new Set<Payment>();
        for (const { from } of best.slice(0, room)) {
          const left = best.filter((one) => one.from === from && !expected.has(one));
          expected.add(left.reduce((least, one) => (one.nonce < least.nonce ? one : least)));
        }
        expect(new Set(choose(ledgerWith([9_999n, 9_999n, 9_999n, 9_999n]), given, room))).toEqual(expected);
      }),
    );
  });
});

describe("choice: snarks", () => {
  const snark = (job: number, fee = 0n): SnarkInfo => ({
    jobId: nameOf(job) as JobId,
    hash: nameOf(1_000 + job) as Hash,
    fee,
    prover: accountOf(0),
  });
  const chooseFrom = (ledger: Ledger, given: readonly SnarkInfo[]) =>
    chooseSnarks(openDraft(ledger, CREATOR, 1_000), given);

  test("one for each pending job, in the order given", () => {
    const [two, one, again, unknown] = [snark(2), snark(1), snark(2, 1n), snark(7)];
    expect(chooseFrom(ledgerWith([], 5), [two, one, again, unknown])).toEqual([two, one]);
  });

  test("as far as the creator can pay; a cheaper one may follow one that was too dear", () => {
    const [dear, half, cheap, free] = [snark(0, 11n), snark(1, 8n), snark(2, 2n), snark(3, 0n)];
    expect(chooseFrom(ledgerWith([], 5), [dear, half, cheap, free])).toEqual([half, cheap, free]);
  });

  test("at most as many as a block may have", () => {
    const many = Array.from({ length: BLOCK_SNARKS_MAX + 20 }, (_, job) => snark(job));
    expect(chooseFrom(ledgerWith([], many.length), many)).toEqual(many.slice(0, BLOCK_SNARKS_MAX));
  });

  test("they make room for the jobs of payments", () => {
    const draft = openDraft(ledgerWith([100n], 3), CREATOR, 3);
    chooseSnarks(draft, [snark(0), snark(2)]);
    const given = [payment(0, 1), payment(0, 2), payment(0, 3)];
    expect(choosePayments(draft, given, 3)).toEqual(given.slice(0, 2));
    const { jobs, jobNumbers } = draft.finish();
    expect([...jobs.values()][0]).toBe(nameOf(1));
    expect([jobs.size, jobNumbers.size]).toEqual([3, 3]);
  });
});
