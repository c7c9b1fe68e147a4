import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ascii, concatBytes, fromHex, toHex, uintBytes } from "../../core/bytes.ts";
import { itemHash, sha256Hex } from "../../core/hash.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { ITEM_BYTES_MAX } from "../../core/limits.ts";
import { accountOf, itemOf, openChain, work } from "./chain.fixture.ts";
import { testGenesis } from "./genesis.ts";
import { checkWork, createSearch, encodeWork, jobOf, proofOf } from "./work.ts";

const genesis = testGenesis();
const JOB = "5a".repeat(32) as JobId;
const CLAIM = { jobId: JOB, fee: 258n, prover: accountOf(3) };
const HEAD_BYTES = 81;

const sha256 = (...parts: Uint8Array[]) =>
  createHash("sha256")
    .update(concatBytes(...parts))
    .digest();

/** By its definition: H("pollen/work/1", job, fee, prover, nonce). */
const digestOf = (nonce: number, { jobId, fee, prover } = CLAIM): Uint8Array =>
  sha256(ascii("pollen/work/1\0"), fromHex(jobId), uintBytes(fee, 8), fromHex(prover), uintBytes(nonce, 8));

const zeroBits = (digest: Uint8Array): number =>
  Array.from(digest, (byte) => byte.toString(2).padStart(8, "0"))
    .join("")
    .indexOf("1");

/** The first nonce whose digest has at least so many zero bits, and fewer than `below`. */
function nonceWith(bits: number, below = 256): number {
  for (let nonce = 0; ; nonce++) {
    const zeros = zeroBits(digestOf(nonce));
    if (zeros >= bits && zeros < below) return nonce;
  }
}

const honest = (nonce: number): Uint8Array =>
  encodeWork(CLAIM, BigInt(nonce), proofOf(digestOf(nonce), 9_216));

test("work: the job of a transaction is a hash of its hash", () => {
  const transaction = "77".repeat(32) as Hash;
  expect(jobOf(transaction)).toBe(sha256Hex(concatBytes(ascii("pollen/job/1\0"), fromHex(transaction))));
});

test("work: what is found is sound, says whose it is and what it costs, and is as long as a real proof", () => {
  const item = work(genesis, JOB, 258n, 3);
  expect(checkWork(genesis, item)).toEqual({ tag: "sound", value: { ...CLAIM, hash: itemHash(item.bytes) } });
  expect(item.bytes.length).toBe(HEAD_BYTES + 9_216);
  expect(item.bytes.length).toBeLessThanOrEqual(ITEM_BYTES_MAX);
});

test("work: its bytes are version, job, fee, prover, nonce and proof", () => {
  const nonce = nonceWith(12);
  const digest = digestOf(nonce);
  const blocks = Array.from({ length: 288 }, (_, index) => sha256(digest, uintBytes(index, 4)));
  const expected = concatBytes(
    Uint8Array.of(1),
    fromHex(JOB),
    uintBytes(258, 8),
    fromHex(accountOf(3)),
    uintBytes(nonce, 8),
    ...blocks,
  );
  const { bytes } = work(genesis, JOB, 258n, 3);
  expect(toHex(bytes)).toBe(toHex(expected));
});

test("work: a proof whose length is no multiple of a digest is cut", () => {
  expect(toHex(proofOf(digestOf(1), 40))).toBe(toHex(proofOf(digestOf(1), 64)).slice(0, 80));
  expect(proofOf(digestOf(1), 0).length).toBe(0);
});

test("work: the difficulty counts bits, exactly", () => {
  for (const bits of [0, 1, 3, 7, 8, 9, 12]) {
    const rules = { ...genesis, workBits: bits };
    expect(checkWork(rules, itemOf(honest(nonceWith(bits, bits + 1)))).tag).toBe("sound");
    if (bits === 0) continue;
    expect(checkWork(rules, itemOf(honest(nonceWith(bits - 1, bits))))).toEqual({
      tag: "invalid",
      detail: `the work has less than ${bits} zero bits`,
    });
  }
});

test("work: the search finds the first nonce that is good enough", () => {
  const attempt = createSearch(CLAIM, 8);
  for (let count = 0; ; count++) {
    const found = attempt();
    if (found === null) continue;
    expect(Number(found.nonce)).toBe(count);
    expect(count).toBe(nonceWith(8));
    expect(toHex(found.digest)).toBe(toHex(digestOf(count)));
    break;
  }
});

test("work: every changed byte is invalid, in the head and in the proof", async () => {
  const { bytes } = work(genesis, JOB, 258n, 3);
  const places = [...Array.from({ length: HEAD_BYTES + 64 }, (_, at) => at), 5_000, bytes.length - 1];
  const items = places.map((at) => itemOf(bytes.with(at, (bytes[at] ?? 0) ^ 1)));
  const verdicts = await openChain(genesis).verify("snark", items);
  expect(new Set(verdicts.map(({ tag }) => tag))).toEqual(new Set(["invalid"]));
});

test("work: another version, cut, extended and empty bytes are invalid", async () => {
  const { bytes } = work(genesis, JOB, 258n, 3);
  const broken = [
    bytes.with(0, 2),
    bytes.subarray(0, -1),
    concatBytes(bytes, Uint8Array.of(0)),
    bytes.subarray(0, HEAD_BYTES),
    new Uint8Array(),
  ];
  const verdicts = await openChain(genesis).verify("snark", broken.map(itemOf));
  expect(verdicts).toMatchObject([
    { tag: "invalid", detail: "version 2 is not 1" },
    ...broken
      .slice(1)
      .map(() => ({ tag: "invalid", detail: expect.stringContaining("not a piece of work") })),
  ]);
});

test("work: a sound one whose job the best tip does not know blames nobody and is not kept", async () => {
  const { chain, verify } = openChain(genesis);
  const item = work(genesis, JOB, 258n, 3);
  expect(await verify("snark", [item])).toEqual([{ tag: "notNow", detail: "the job is not pending" }]);
  expect(chain.keptItems).toBe(0);
});
