import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Commitment, SnarkInfo } from "./block.ts";
import type { TransactionInfo } from "./chain.ts";
import { commitment, commitmentBytes as golden, infos, snarkInfo } from "./golden/structs.ts";
import type { Hash, JobId } from "./ids.ts";
import { commitmentBytes, commitmentHash, entryFor, hashOf, priorityOf, sameInfo, slotOf } from "./pools.ts";
import { feeClass } from "./priority.ts";

const [transaction] = infos;
const T: TransactionInfo = transaction.value;
const S: SnarkInfo = snarkInfo.value;
const C: Commitment = commitment.value;

describe("pools: what an info says by itself (section 6)", () => {
  test("a transaction: dearer is better, of one sender and nonce only one stays", () => {
    expect(entryFor(T, 7)).toEqual({
      hash: T.hash,
      slot: slotOf(T.sender, T.nonce),
      priority: { class: feeClass(T.fee), hash: T.hash },
      info: T,
      addedMs: 7,
    });
  });

  test("work and commitments: cheaper is better, of one job only one stays", () => {
    expect(entryFor(S, 7)).toMatchObject({
      hash: S.hash,
      slot: S.jobId,
      priority: { class: 65_535 - feeClass(S.fee), hash: S.hash },
    });
    const hash = createHash("sha256").update(golden).digest("hex");
    expect(entryFor(C, 7)).toMatchObject({
      hash,
      slot: C.jobId,
      priority: { class: 65_535 - feeClass(C.fee), hash },
    });
    expect(priorityOf(C)).toEqual(entryFor(C, 0).priority);
  });

  test("a commitment's hash is over all of it, as are its bytes", () => {
    expect(commitmentBytes(C)).toEqual(golden);
    expect(commitmentHash(C)).toBe(hashOf(C));
    const changes: readonly Partial<Commitment>[] = [
      { jobId: "00".repeat(32) as JobId },
      { fee: 79n },
      { snarker: "00".repeat(32) },
      { issuedAt: 1n },
      { signature: "00".repeat(64) },
    ];
    const hashes = changes.map((change) => commitmentHash({ ...C, ...change }));
    expect(new Set([...hashes, commitmentHash(C)]).size).toBe(changes.length + 1);
    expect(commitmentHash({ ...C })).toBe(commitmentHash(C));
  });

  test("slots of one sender sort by nonce, and no two slots are the same", () => {
    const nonces = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(
        nonces,
        nonces,
        fc.constantFrom("aa", "ab", "b"),
        fc.constantFrom("aa", "ab", "b"),
        (m, n, a, b) => {
          expect(slotOf(a, m) === slotOf(b, n)).toBe(a === b && m === n);
          expect(slotOf(a, m) < slotOf(a, n)).toBe(m < n);
        },
      ),
    );
  });
});

describe("pools: two infos of one hash", () => {
  const hash = "77".repeat(32) as Hash;
  test.each<Partial<TransactionInfo>>([{ hash }, { fee: 1n }, { sender: hash }, { nonce: 0 }])(
    "a transaction's differ by %o",
    (change) => {
      expect(sameInfo(T, { ...T })).toBe(true);
      expect(sameInfo(T, { ...T, ...change })).toBe(false);
      expect(sameInfo({ ...T, ...change }, T)).toBe(false);
    },
  );
  test.each<Partial<SnarkInfo>>([
    { hash },
    { fee: 1n },
    { jobId: hash as string as JobId },
    { prover: hash },
  ])("a snark's differ by %o", (change) => {
    expect(sameInfo(S, { ...S })).toBe(true);
    expect(sameInfo(S, { ...S, ...change })).toBe(false);
  });
  test("of different pools they never say the same", () => {
    const like = { ...S, hash: T.hash, fee: T.fee };
    expect(sameInfo(T, like)).toBe(false);
    expect(sameInfo(like, T)).toBe(false);
  });
  test("a commitment's only differ in their hash", () => {
    expect(sameInfo(C, { ...C })).toBe(true);
    expect(sameInfo(C, { ...C, signature: "00".repeat(64) })).toBe(false);
  });
});
