import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes, fromHex, type Hex, uintBytes } from "../../core/bytes.ts";
import { itemHash } from "../../core/hash.ts";
import type { JobId } from "../../core/ids.ts";
import { type Account, ledgerBytes, ledgerOf, ledgerRoot, readLedger } from "./ledger.ts";

const fixedHex = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));

/** Accounts in any order of insertion, and jobs. */
const contents = fc.record({
  accounts: fc.uniqueArray(fc.record({ key: fixedHex, balance: fc.bigInt(0n, 2n ** 40n), nonce: fc.nat() }), {
    selector: ({ key }) => key,
    maxLength: 20,
  }),
  jobs: fc.uniqueArray(fixedHex, { maxLength: 20 }),
});
type Contents = typeof contents extends fc.Arbitrary<infer T> ? T : never;

const ledgerFrom = ({ accounts, jobs }: Contents) =>
  ledgerOf(
    accounts.map(({ key, balance, nonce }): [Hex, Account] => [key, { balance, nonce }]),
    jobs as JobId[],
  );

const rulesFor = ({ accounts }: Contents) => ({
  pendingJobsMax: 20,
  supply: accounts.reduce((sum, { balance }) => sum + balance, 0n),
});

/** Written by hand from its definition. */
const layout = (accounts: Contents["accounts"], jobs: readonly string[]): Uint8Array =>
  concatBytes(
    uintBytes(accounts.length, 4),
    ...accounts.map(({ key, balance, nonce }) =>
      concatBytes(fromHex(key), uintBytes(balance, 8), uintBytes(nonce, 4)),
    ),
    uintBytes(jobs.length, 4),
    ...jobs.map(fromHex),
  );

const byKey = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1);

test("ledger: its bytes are accounts in the order of their keys, and jobs, the oldest first; its root is their hash", () => {
  fc.assert(
    fc.property(contents, (content) => {
      const bytes = layout([...content.accounts].sort(byKey), content.jobs);
      expect(ledgerBytes(ledgerFrom(content))).toEqual(bytes);
      expect(ledgerRoot(ledgerFrom(content))).toBe(itemHash(bytes));
    }),
  );
});

test("ledger: what was written is read, and written again the same", () => {
  fc.assert(
    fc.property(contents, (content) => {
      const bytes = ledgerBytes(ledgerFrom(content));
      const read = readLedger(bytes, rulesFor(content));
      if (read.tag !== "sound") expect.fail(read.detail);
      expect(ledgerBytes(read.value)).toEqual(bytes);
      expect([...read.value.jobs.values()]).toEqual(content.jobs);
      expect([...read.value.jobNumbers.keys()]).toEqual([...content.jobs].sort());
    }),
  );
});

test("ledger: cut or extended bytes are refused", () => {
  fc.assert(
    fc.property(contents, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 50 }), (content, at, tail) => {
      const bytes = ledgerBytes(ledgerFrom(content));
      const cut = bytes.subarray(0, at % bytes.length);
      expect(readLedger(cut, rulesFor(content)).tag).toBe("invalid");
      expect(readLedger(concatBytes(bytes, tail), rulesFor(content)).tag).toBe("invalid");
    }),
  );
});

describe("ledger: a snapshot is refused", () => {
  const key = (digit: string): Hex => digit.repeat(64);
  const account = (digit: string, balance = 5n) => ({ key: key(digit), balance, nonce: 0 });
  const rules = { pendingJobsMax: 2, supply: 10n };
  const cases: readonly [what: string, bytes: Uint8Array, detail: string][] = [
    [
      "if accounts are not sorted",
      layout([account("b"), account("a")], []),
      "the accounts are not in the order of their keys, each once",
    ],
    [
      "if an account is there twice",
      layout([account("a"), account("a")], []),
      "the accounts are not in the order of their keys, each once",
    ],
    [
      "if there is more money than in the genesis block",
      layout([account("a"), account("b", 6n)], []),
      "the balances are 11 together, not 10",
    ],
    ["if there is less", layout([account("a")], []), "the balances are 5 together, not 10"],
    [
      "if a sum would overflow",
      layout([account("a", 2n ** 64n - 1n), account("b", 11n)], []),
      `the balances are ${2n ** 64n + 10n} together, not 10`,
    ],
    [
      "if a job is there twice",
      layout([account("a"), account("b")], [key("1"), key("1")]),
      "a job is pending twice",
    ],
    [
      "if there are too many jobs",
      layout([account("a"), account("b")], [key("1"), key("2"), key("3")]),
      "more than 2 jobs are pending",
    ],
    ["if it is empty", new Uint8Array(), "not a ledger: accounts: needs 4 bytes, 0 are left"],
    [
      "if it promises more accounts than it has",
      concatBytes(uintBytes(2 ** 32 - 1, 4), layout([account("a")], []).subarray(4)),
      "not a ledger: accounts.1.key: needs 32 bytes, 4 are left",
    ],
  ];
  test.each(cases)("%s", (_what, bytes, detail) => {
    expect(readLedger(bytes, rules)).toMatchObject({
      tag: "invalid",
      detail: expect.stringContaining(detail),
    });
  });

  test("and is not, if nothing of this is so", () => {
    expect(readLedger(layout([account("a"), account("b")], [key("2"), key("1")]), rules).tag).toBe("sound");
  });
});
