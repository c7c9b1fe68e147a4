import { expect, test } from "vitest";
import { concatBytes, toHex } from "../../core/bytes.ts";
import { itemHash } from "../../core/hash.ts";
import type { AttemptId, BatchId, Hash, JobId, PeerId } from "../../core/ids.ts";
import { rawPublicKey, sign } from "../ed25519.ts";
import { ephemeralKey } from "../key-file.ts";
import {
  accountOf,
  forge,
  genesisOf,
  itemOf,
  LATE_MS,
  measureTurns,
  openChain,
  transfer,
  work,
} from "./chain.fixture.ts";
import { TEST_ACCOUNTS, testAccountKey, testGenesis } from "./genesis.ts";
import { signTransfer, transferDigest } from "./transfer.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis({ workBits: 4, proofBytes: 100 });
const ALICE = testAccountKey(0);
const PAYMENT = { to: accountOf(1), amount: 5n, fee: 1n, nonce: 1 };
const NO_HASH = "00".repeat(32) as Hash;

const tagsOf = async (...transactions: Uint8Array[]): Promise<string[]> =>
  (await openChain(genesis).verify("transaction", transactions.map(itemOf))).map(({ tag }) => tag);

test("chain: a signed transfer of a funded account is valid and says what it is", async () => {
  const bytes = await signTransfer(ALICE, genesis.chainId, PAYMENT);
  expect(await openChain(genesis).verify("transaction", [itemOf(bytes)])).toEqual([
    { tag: "valid", info: { hash: itemHash(bytes), fee: 1n, sender: accountOf(0), nonce: 1 } },
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
  const elsewhere = await signTransfer(ALICE, NO_HASH, PAYMENT);
  expect(await tagsOf(elsewhere)).toEqual(["invalid"]);
});

test("chain: a transfer to what is no key is invalid, though its signature is right", async () => {
  const smallOrder = "01".padEnd(64, "0");
  const lost = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, to: smallOrder });
  expect(await openChain(genesis).verify("transaction", [itemOf(lost)])).toEqual([
    { tag: "invalid", detail: "the recipient is not an ed25519 key" },
  ]);
});

test("chain: a transfer of another version is invalid, though its signature is right", async () => {
  const next = (await signTransfer(ALICE, genesis.chainId, PAYMENT)).with(0, 2);
  const signature = await sign(ALICE, transferDigest(genesis.chainId, next));
  const bytes = concatBytes(next.subarray(0, -signature.length), signature);
  expect(await openChain(genesis).verify("transaction", [itemOf(bytes)])).toEqual([
    { tag: "invalid", detail: "version 2 is not 1" },
  ]);
});

test("chain: what depends on the ledger blames nobody", async () => {
  const stranger = await signTransfer(ephemeralKey(), genesis.chainId, PAYMENT);
  const used = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, nonce: 0 });
  const balance = genesis.accounts.get(accountOf(0))?.balance ?? 0n;
  const tooMuch = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, amount: balance });
  const justEnough = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, amount: balance - 1n });
  expect(await tagsOf(stranger, used, tooMuch, justEnough)).toEqual(["notNow", "notNow", "notNow", "valid"]);
});

test("chain: amount and fee do not overflow", async () => {
  const most = 2n ** 64n - 1n;
  const wrapping = await signTransfer(ALICE, genesis.chainId, { ...PAYMENT, amount: most, fee: most });
  expect(await tagsOf(wrapping)).toEqual(["notNow"]);
});

test("chain: nonces may have gaps, and an applied nonce uses up all lower ones", async () => {
  const { verify, apply, adopt, chain } = openChain(genesis);
  const [first, third, fifth] = await Promise.all(
    [1, 3, 5].map((nonce) => transfer(genesis, 0, 1, { nonce })),
  );
  const all = [first, third, fifth].flatMap((item) => item ?? []);
  expect((await verify("transaction", all)).map(({ tag }) => tag)).toEqual(["valid", "valid", "valid"]);
  const block = await forge(genesis, genesisOf(genesis), { slot: 1, transfers: all.slice(1, 2) });
  await apply(block);
  const { removed } = await adopt(block.hash);
  expect(new Set(removed)).toEqual(new Set([first?.hash, third?.hash]));
  expect(await verify("transaction", all)).toMatchObject([
    { tag: "notNow", detail: "nonce 1 is used; the next is 4" },
    { tag: "notNow", detail: "nonce 3 is used; the next is 4" },
    { tag: "valid" },
  ]);
  expect(chain.account(accountOf(0))?.nonce).toBe(3);
});

test("chain: valid items are kept and served until forgotten, others never", async () => {
  const { chain, verify, ask } = openChain(genesis);
  const kept = await transfer(genesis, 0, 1, { nonce: 1 });
  const dropped = itemOf(await signTransfer(ALICE, NO_HASH, PAYMENT));
  await verify("transaction", [kept, dropped]);
  const load = () =>
    ask("event/itemsLoaded", () => chain.loadItems(7 as AttemptId, 3, [kept.hash, dropped.hash]));
  const loaded = { type: "event/itemsLoaded", attemptId: 7, rpcId: 3 };
  expect(await load()).toEqual({ ...loaded, items: [kept.bytes, null] });
  expect(chain.keptItems).toBe(1);
  chain.forgetItems([kept.hash]);
  expect(await load()).toEqual({ ...loaded, items: [null, null] });
});

test("chain: what is kept is a copy, even of a Buffer: the message may be long, and written over", async () => {
  const { chain, verify } = openChain(genesis);
  const { hash, bytes } = await transfer(genesis, 0, 1, { nonce: 1 });
  const message = Buffer.concat([new Uint8Array(1_000), bytes]);
  await verify("transaction", [{ hash, bytes: message.subarray(1_000) }]);
  message.fill(0);
  expect(chain.item(hash)).toEqual(bytes);
  expect(chain.item(hash)?.buffer.byteLength).toBe(bytes.length);
});

test("chain: an item that was checked once is judged again without its bytes being looked at", async () => {
  const { verify } = openChain(genesis);
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  await verify("transaction", [item]);
  expect(await verify("transaction", [{ hash: item.hash, bytes: new Uint8Array() }])).toMatchObject([
    { tag: "valid" },
  ]);
});

test("chain: a transaction is no snark, also one that is known", async () => {
  const { verify } = openChain(genesis);
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  const asSnark = async () => (await verify("snark", [item])).map(({ tag }) => tag);
  expect(await asSnark()).toEqual(["invalid"]);
  await verify("transaction", [item]);
  expect(await asSnark()).toEqual(["invalid"]);
});

test("chain: asked again about half of a batch, it answers with one verdict per item", async () => {
  const { chain, verify, ask } = openChain(genesis);
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  await verify("transaction", [item]);
  const again = (pool: "transaction" | "snark" | "snark-job-commitment") =>
    ask("event/itemsVerified", () => chain.verifyAgain(4 as BatchId, pool, [item.hash, NO_HASH]));
  expect(await again("transaction")).toMatchObject({
    batchId: 4,
    verdicts: [{ tag: "valid" }, { tag: "notNow" }],
  });
  expect(await again("snark")).toMatchObject({ verdicts: [{ tag: "notNow" }, { tag: "notNow" }] });
  expect(await again("snark-job-commitment")).toMatchObject({
    verdicts: [{ tag: "notNow" }, { tag: "notNow" }],
  });
});

test("chain: no event comes inside a call, and all come in the order of the calls", async () => {
  const { chain, events } = openChain(genesis);
  const { genesis: tip } = genesis.parameters;
  chain.loadItems(1 as AttemptId, 1, []);
  chain.loadBlock(1 as AttemptId, 2, tip.hash);
  chain.loadAncestry(1 as AttemptId, 3, tip.hash, 5);
  chain.prepareBlock(tip.hash, genesisOf(genesis).block);
  chain.adoptTip(tip.hash);
  chain.applySnapshot(tip);
  expect(events).toEqual([]);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(events.map(({ type }) => type)).toEqual([
    "event/itemsLoaded",
    "event/blockLoaded",
    "event/ancestryLoaded",
    "event/blockPrepared",
    "event/tipAdopted",
    "event/snapshotApplied",
  ]);
});

test("chain: a peer that is served a lot delays nobody: who asks next has his answer in the next round", async () => {
  const { chain, events, verify } = openChain(genesis);
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  await verify("transaction", [item]);
  const before = events.length;
  for (let id = 0; id < 40; id++) chain.loadItems(1 as AttemptId, id, Array(16).fill(item.hash));
  chain.loadBlock(2 as AttemptId, 1, genesis.parameters.genesis.hash);
  chain.loadAncestry(3 as AttemptId, 1, genesis.parameters.genesis.hash, 5);
  await expect.poll(() => events.length).toBe(before + 42);
  const served = events.slice(before).map((event) => ("attemptId" in event ? event.attemptId : 0));
  expect(served.indexOf(2 as AttemptId)).toBeLessThan(8);
  expect(served.indexOf(3 as AttemptId)).toBe(served.indexOf(2 as AttemptId) + 1);
});

test("chain: items are verified in turns of the peers who served them, and the node itself is one more", async () => {
  const { chain, events } = openChain(genesis);
  const garbage = (count: number) =>
    Array.from({ length: count }, () => ({ hash: NO_HASH, bytes: new Uint8Array(200) }));
  const [busy, other] = ["busy", "other"] as [PeerId, PeerId];
  for (let batch = 0; batch < 10; batch++)
    chain.verifyItems(batch as BatchId, "transaction", garbage(32), busy);
  chain.verifyItems(20 as BatchId, "snark", garbage(8), other);
  chain.verifyItems(21 as BatchId, "snark-job-commitment", garbage(8), null);
  await expect.poll(() => events.length).toBe(12);
  const order = events.map((event) => (event.type === "event/itemsVerified" ? event.batchId : -1));
  expect(order.slice(0, 2).sort()).toEqual([20, 21]);
  // Of one peer, one after the other.
  expect(order.slice(2)).toEqual(Array.from({ length: 10 }, (_, batch) => batch));
});

test("chain: after event/tipAdopted every verdict refers to the new tip, also of a check that began before", async () => {
  const { chain, apply, events, ask } = openChain(genesis);
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  const block = await forge(genesis, genesisOf(genesis), { slot: 1, transfers: [item] });
  await apply(block);
  await ask("event/tipAdopted", () => {
    chain.verifyItems(1 as BatchId, "transaction", [item], null);
    chain.adoptTip(block.hash);
  });
  await expect.poll(() => events.at(-1)).toMatchObject({ verdicts: [{ tag: "notNow" }] });
});

test("chain: blocks are served with their ancestors, down to the genesis block or to what is not kept", async () => {
  const { chain, apply, ask } = openChain(genesis);
  const first = await forge(genesis, genesisOf(genesis), { slot: 1 });
  const second = await forge(genesis, first, { slot: 2 });
  await apply(first);
  await apply(second);
  const ancestry = async (hash: Hash, count: number) =>
    (await ask("event/ancestryLoaded", () => chain.loadAncestry(1 as AttemptId, 1, hash, count))).headers;
  expect(await ancestry(second.hash, 5)).toEqual([second.header, first.header, genesisOf(genesis).header]);
  expect(await ancestry(second.hash, 2)).toEqual([second.header, first.header]);
  expect(await ancestry(NO_HASH, 2)).toEqual([]);
  chain.forgetBlocks([first.hash]);
  expect(await ancestry(second.hash, 5)).toEqual([second.header]);
  const load = async (hash: Hash) =>
    (await ask("event/blockLoaded", () => chain.loadBlock(1 as AttemptId, 1, hash))).block;
  expect(await load(second.hash)).toEqual(second.block);
  expect(await load(first.hash)).toBeNull();
  expect(await load(genesis.parameters.genesis.hash)).toEqual(genesisOf(genesis).block);
  expect(chain.block(second.hash)).toEqual(second.block);
});

test("chain: a candidate that is not applied is not served as a block", async () => {
  const { chain, ask } = openChain(genesis);
  const { hash, block } = await forge(genesis, genesisOf(genesis), { slot: 1 });
  await ask("event/blockPrepared", () => chain.prepareBlock(hash, block));
  expect(chain.block(hash)).toBeUndefined();
  expect(chain.keptBlocks).toBe(2);
  chain.forgetBlocks([hash]);
  expect(chain.keptBlocks).toBe(1);
});

test("chain: the genesis block and the best tip are never forgotten", async () => {
  const { chain, apply, adopt } = openChain(genesis);
  const first = await forge(genesis, genesisOf(genesis), { slot: 1 });
  await apply(first);
  await adopt(first.hash);
  chain.forgetBlocks([genesis.parameters.genesis.hash, first.hash]);
  expect(chain.keptBlocks).toBe(2);
});

test("chain: without an account nothing is made, and no event comes of it", async () => {
  const { chain, events, ask } = openChain(genesis);
  chain.makeSnark("11".repeat(32) as JobId, 1n);
  chain.signCommitment("11".repeat(32) as JobId, 1n, BigInt(LATE_MS));
  const { header } = await ask("event/blockProduced", () =>
    chain.produceBlock(genesis.parameters.genesis.hash, 1, [], []),
  );
  expect(header).toBeNull();
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(events.length).toBe(1);
});

test("chain: work is valid while its job is pending at the best tip", async () => {
  const { chain, apply, adopt, verify } = openChain(genesis);
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  const proof = work(genesis, jobOf(item.hash), 2n, 5);
  const first = await forge(genesis, genesisOf(genesis), { slot: 1, transfers: [item] });
  const second = await forge(genesis, first, { slot: 2, works: [proof] });
  expect(await verify("snark", [proof])).toEqual([{ tag: "notNow", detail: "the job is not pending" }]);
  await apply(first);
  expect(await adopt(first.hash)).toMatchObject({ jobsAdded: [jobOf(item.hash)], jobsRemoved: [] });
  expect(await verify("snark", [proof])).toMatchObject([
    { tag: "valid", info: { hash: proof.hash, jobId: jobOf(item.hash), fee: 2n, prover: accountOf(5) } },
  ]);
  await apply(second);
  expect(await adopt(second.hash)).toMatchObject({ jobsAdded: [], jobsRemoved: [jobOf(item.hash)] });
  expect(await verify("snark", [proof])).toMatchObject([{ tag: "notNow" }]);
  const before = genesis.accounts.get(accountOf(5))?.balance ?? 0n;
  expect(chain.account(accountOf(5))?.balance).toBe(before + 2n);
});

test("chain: nothing waits long while a block full of work is checked", async () => {
  const real = testGenesis({ workBits: 1 });
  const { chain, apply, events } = openChain(real);
  const transfers = await Promise.all(
    Array.from({ length: 64 }, (_, from) => transfer(real, from, 1, { nonce: 1 })),
  );
  const first = await forge(real, genesisOf(real), { slot: 1, transfers });
  await apply(first);
  const works = transfers.map(({ hash }) => work(real, jobOf(hash), 1n, 2));
  const { hash, block } = await forge(real, first, { slot: 2, works });
  const isApplied = (one: Hash): boolean =>
    events.some((event) => event.type === "event/blockApplied" && event.hash === one);
  chain.prepareBlock(hash, block);
  chain.supplyItems(hash, works);
  chain.applyBlock(hash);
  const { turns, medianCpuMs } = await measureTurns(() => isApplied(hash));
  expect(turns).toBeGreaterThan(5);
  expect(medianCpuMs).toBeLessThan(10);
  expect(events.at(-1)).toMatchObject({ hash, verdict: { tag: "valid" } });
});

test("genesis: the test accounts are distinct and funded", () => {
  expect(genesis.accounts.size).toBe(TEST_ACCOUNTS);
  expect([...genesis.accounts.values()].every(({ balance, nonce }) => balance > 0n && nonce === 0)).toBe(
    true,
  );
  expect([...genesis.accounts.keys()]).toContain(toHex(rawPublicKey(testAccountKey(63))));
});

test("genesis: the id of the chain covers every parameter and the accounts", () => {
  const options = [
    {},
    { slotMs: 100 },
    { genesisMs: 0 },
    { slotsPerEpoch: 30 },
    { gracePeriodEnd: 10 },
    { workBits: 1 },
    { proofBytes: 1 },
    { pendingJobsMax: 5 },
    { balance: 5n },
  ];
  const ids = options.map((option) => testGenesis(option).chainId);
  expect(new Set(ids).size).toBe(options.length);
  expect(ids[0]).toBe(testGenesis().chainId);
  expect(ids[0]).toMatch(/^[0-9a-f]{64}$/);
});
