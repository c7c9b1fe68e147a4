import { expect, test } from "vitest";
import { ascii, concatBytes, fromHex, toHex, uintBytes } from "../../core/bytes.ts";
import { sha256Hex } from "../../core/hash.ts";
import { rawPublicKey } from "../ed25519.ts";
import { ephemeralKey } from "../key-file.ts";
import { ACCOUNTS, accountOf } from "./chain.fixture.ts";
import { testGenesis } from "./genesis.ts";
import { isWinning, lotteryOutput, mayProduce } from "./lottery.ts";

const genesis = testGenesis();

test("lottery: the output is a hash of chain, slot and creator", () => {
  const preimage = [
    ascii("pollen/vrf/1\0"),
    fromHex(genesis.chainId),
    uintBytes(258, 4),
    fromHex(accountOf(3)),
  ];
  expect(lotteryOutput(genesis.chainId, 258, accountOf(3))).toBe(sha256Hex(concatBytes(...preimage)));
});

test("lottery: the first bit decides", () => {
  const rest = "f".repeat(63);
  expect(["0", "7"].map((digit) => isWinning(digit + rest))).toEqual([true, true]);
  expect(["8", "9", "a", "f"].map((digit) => isWinning(digit + rest))).toEqual([false, false, false, false]);
});

test("lottery: each account wins half of the slots, and in each slot half of the accounts win", () => {
  const slots = Array.from({ length: 1_000 }, (_, slot) => slot);
  const wins = ACCOUNTS.map((account) => slots.filter((slot) => mayProduce(genesis, slot, account)).length);
  // Five standard deviations of 1000 and of 64 fair coins.
  for (const count of wins) expect(Math.abs(count - 500)).toBeLessThan(80);
  const winners = slots.map(
    (slot) => ACCOUNTS.filter((account) => mayProduce(genesis, slot, account)).length,
  );
  for (const count of winners) expect(Math.abs(count - 32)).toBeLessThan(21);
  const all = wins.reduce((sum, count) => sum + count, 0);
  expect(Math.abs(all - 32_000)).toBeLessThan(640);
});

test("lottery: who has no account in the genesis block never wins", () => {
  const stranger = toHex(rawPublicKey(ephemeralKey()));
  const slots = Array.from({ length: 20 }, (_, slot) => slot);
  expect(slots.some((slot) => mayProduce(genesis, slot, stranger))).toBe(false);
});
