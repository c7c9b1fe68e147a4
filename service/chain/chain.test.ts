import { expect, test } from "vitest";
import type { ChainEvent } from "../../core/actions.ts";
import { concatBytes, toHex } from "../../core/bytes.ts";
import type { TransactionVerdict } from "../../core/chain.ts";
import { itemHash } from "../../core/hash.ts";
import type { AttemptId, BatchId, Hash } from "../../core/ids.ts";
import { rawPublicKey } from "../ed25519.ts";
import { ephemeralKey } from "../key-file.ts";
import { createEmbeddedChain, type EmbeddedChain } from "./chain.ts";
import { TEST_ACCOUNTS, testAccountKey, testGenesis } from "./genesis.ts";
import { signTransfer } from "./transfer.ts";

const genesis = testGenesis();
const [ALICE, BOB] = [testAccountKey(0), toHex(rawPublicKey(testAccountKey(1)))];
const PAYMENT = { to: BOB, amount: 5n, fee: 1n, nonce: 1 };
const BATCH = 1 as BatchId;

/** A chain and the next event of it. */
function setUp(): { chain: EmbeddedChain; next: () => Promise<ChainEvent> } {
  const events: ChainEvent[] = [];
  const waiting: ((event: ChainEvent) => void)[] = [];
  const chain = createEmbeddedChain(genesis, (event) => {
    const resolve = waiting.shift();
    if (resolve === undefined) events.push(event);
    else resolve(event);
  });
  const next = (): Promise<ChainEvent> => {
    const event = events.shift();
    return event === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(event);
  };
  return { chain, next };
}

const item = (bytes: Uint8Array): { hash: Hash; bytes: Uint8Array } => ({
  hash: itemHash(bytes) as Hash,
  bytes,
});

async function verdictsOf(...transactions: Uint8Array[]): Promise<readonly TransactionVerdict[]> {
  const { chain, next } = setUp();
  chain.verifyTransactions(BATCH, transactions.map(item));
  const event = await next();
  return event.type === "event/transactionsVerified" ? event.verdicts : [];
}

const tagsOf = async (...transactions: Uint8Array[]): Promise<string[]> =>
  (await verdictsOf(...transactions)).map(({ tag }) => tag);

test("chain: a signed transfer of a funded account is valid and says what it is", async () => {
  const bytes = await signTransfer(ALICE, genesis.chainId, PAYMENT);
  expect(await verdictsOf(bytes)).toEqual([
    {
      tag: "valid",
      info: { hash: itemHash(bytes), fee: 1n, sender: toHex(rawPublicKey(ALICE)), nonce: 1 },
    },
  ]);
});

test("chain: every flipped bit of a transfer is invalid, whichever field it hits", async () => {
  const bytes = await signTransfer(ALICE, genesis.chainId, PAYMENT);
  const flipped = Array.from(bytes, (byte, at) => bytes.with(at, byte ^ (1 << (at % 8))));
  expect(new Set(await tagsOf(...flipped))).toEqual(new Set(["invalid"]));
});

test("chain: truncated, extended and empty bytes are invalid", async () => {
  const bytes = await signTransfer(ALICE, genesis.chainId, PAYMENT);
  const broken = [
    bytes.subarray(1),
    bytes.subarray(0, -1),
    concatBytes(bytes, Uint8Array.of(0)),
    new Uint8Array(),
  ];
  expect(new Set(await tagsOf(...broken))).toEqual(new Set(["invalid"]));
});

test("chain: a transfer signed for another chain is invalid", async () => {
  const elsewhere = await signTransfer(ALICE, "00".repeat(32), PAYMENT);
  expect(await tagsOf(elsewhere)).toEqual(["invalid"]);
});

test("chain: what depends on the ledger blames nobody", async () => {
  const stranger = await signTransfer(ephemeralKey(), genesis.chainId, PAYMENT);
  const used = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, nonce: 0 });
  const balance = genesis.accounts.get(toHex(rawPublicKey(ALICE)))?.balance ?? 0n;
  const tooMuch = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, amount: balance });
  const justEnough = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, amount: balance - 1n });
  expect(await tagsOf(stranger, used, tooMuch, justEnough)).toEqual(["notNow", "notNow", "notNow", "valid"]);
});

test("chain: amount and fee do not overflow", async () => {
  const most = 2n ** 64n - 1n;
  const wrapping = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, amount: most, fee: most });
  expect(await tagsOf(wrapping)).toEqual(["notNow"]);
});

test("chain: valid items are kept and served until forgotten, others never", async () => {
  const { chain, next } = setUp();
  const [kept, dropped] = [
    item(await signTransfer(ALICE, genesis.chainId, PAYMENT)),
    item(await signTransfer(ALICE, "00".repeat(32), PAYMENT)),
  ];
  chain.verifyTransactions(BATCH, [kept, dropped]);
  await next();
  const load = async (): Promise<ChainEvent> => {
    chain.loadItems(7 as AttemptId, 3, [kept.hash, dropped.hash]);
    return next();
  };
  const loaded = { type: "event/itemsLoaded", attemptId: 7, rpcId: 3 };
  expect(await load()).toEqual({ ...loaded, items: [kept.bytes, null] });
  expect(chain.keptItems).toBe(1);
  chain.forgetItems([kept.hash]);
  expect(await load()).toEqual({ ...loaded, items: [null, null] });
});

test("chain: the test accounts are distinct, funded, and the chain id covers them", () => {
  expect(genesis.accounts.size).toBe(TEST_ACCOUNTS);
  expect([...genesis.accounts.values()].every(({ balance, nonce }) => balance > 0n && nonce === 0)).toBe(
    true,
  );
  expect(genesis.chainId).toBe(testGenesis().chainId);
  expect(genesis.chainId).toMatch(/^[0-9a-f]{64}$/);
});
