import { expect, test } from "vitest";
import { blockHash } from "../../core/block.ts";
import type { Hash } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import {
  accountOf,
  type ForgedBlock,
  forge,
  genesisOf,
  LATE_MS,
  type OpenChain,
  openChain,
  slotWonBy,
  transfer,
  work,
} from "./chain.fixture.ts";
import { testAccountKey, testGenesis } from "./genesis.ts";
import { mayProduce } from "./lottery.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis({ workBits: 4, proofBytes: 100, pendingJobsMax: 6, balance: 100n });
const GENESIS = genesisOf(genesis);
const ME = 20;

const producer = (): OpenChain => openChain(genesis, { account: testAccountKey(ME) });

const produce = async (
  open: OpenChain,
  parent: Hash,
  slot: number,
  transactions: readonly ItemBytes[] = [],
  snarks: readonly ItemBytes[] = [],
) => {
  const hashesOf = (items: readonly ItemBytes[]) => items.map(({ hash }) => hash);
  const event = await open.ask("event/blockProduced", () =>
    open.chain.produceBlock(parent, slot, hashesOf(transactions), hashesOf(snarks)),
  );
  expect(event.slot).toBe(slot);
  return event.header;
};

/** What the producer made, as others would get it. */
function blockOf({ chain }: OpenChain, hash: Hash, items: readonly ItemBytes[]): ForgedBlock {
  const block = chain.block(hash);
  if (block === undefined) expect.fail("a produced block is applied");
  return { hash, ...block, block, ledger: GENESIS.ledger, items };
}

test("production: a block of the node's own is applied at once, and valid for everybody else", async () => {
  const [open, other] = [producer(), openChain(genesis)];
  const [a2, a1, b1] = await Promise.all([
    transfer(genesis, 0, 1, { nonce: 2 }),
    transfer(genesis, 0, 1, { nonce: 1 }),
    transfer(genesis, 1, 2, { nonce: 1 }),
  ]);
  const items = [a2, b1, a1];
  await open.verify("transaction", items);
  const slot = slotWonBy(genesis, ME, 0);
  const header = await produce(open, GENESIS.hash, slot, items);
  if (header === null) expect.fail("the node has won the slot");
  const hash = blockHash(header);
  expect(header).toMatchObject({ parent: GENESIS.hash, height: 1, slot, creator: accountOf(ME) });
  expect(open.chain.block(hash)?.body).toEqual({ transactions: [a1.hash, b1.hash, a2.hash], snarks: [] });
  expect(await other.judge([header])).toEqual({ tag: "valid" });
  expect(await other.apply(blockOf(open, hash, items))).toEqual({ tag: "valid" });
  const change = await open.adopt(hash);
  expect(new Set(change.removed)).toEqual(new Set(items.map((item) => item.hash)));
  expect(await other.adopt(hash)).toMatchObject({ tip: change.tip, jobsAdded: change.jobsAdded });
  expect(open.chain.snapshot(header.ledgerRoot)).toEqual(other.chain.snapshot(header.ledgerRoot));
});

test("production: without the right to the slot, after a later parent, or without the parent there is no block", async () => {
  const open = producer();
  const won = slotWonBy(genesis, ME, 0);
  let lost = 1;
  while (mayProduce(genesis, lost, accountOf(ME))) lost++;
  expect(await produce(open, GENESIS.hash, lost)).toBeNull();
  expect(await produce(open, "77".repeat(32) as Hash, won)).toBeNull();
  const late = await forge(genesis, GENESIS, { slot: won });
  await open.apply(late);
  expect(await produce(open, late.hash, won)).toBeNull();
  expect(open.chain.keptBlocks).toBe(2);
  expect(await produce(open, late.hash, slotWonBy(genesis, ME, won))).not.toBeNull();
});

test("production: items that were never checked, or are none of their pool, are left out", async () => {
  const open = producer();
  const [known, unknown, fetched] = await Promise.all([
    transfer(genesis, 0, 1, { nonce: 1 }),
    transfer(genesis, 1, 2, { nonce: 1 }),
    transfer(genesis, 2, 3, { nonce: 1 }),
  ]);
  await open.verify("transaction", [known]);
  const candidate = await forge(genesis, GENESIS, { slot: 1, transfers: [fetched] });
  await open.ask("event/blockPrepared", () => open.chain.prepareBlock(candidate.hash, candidate.block));
  open.chain.supplyItems(candidate.hash, [fetched]);
  const slot = slotWonBy(genesis, ME, 0);
  const header = await produce(open, GENESIS.hash, slot, [unknown, fetched, known], [known]);
  const body = header === null ? undefined : open.chain.block(blockHash(header))?.body;
  expect(body).toEqual({ transactions: [known.hash], snarks: [] });
});

test("production: a payment after a gap waits 10 s for the nonces before it, and is included then", async () => {
  let nowMs = LATE_MS;
  const open = openChain(genesis, { account: testAccountKey(ME), clock: () => nowMs });
  const late = await transfer(genesis, 0, 1, { nonce: 3 });
  await open.verify("transaction", [late]);
  const bodyAt = async (timeMs: number) => {
    nowMs = timeMs;
    const header = await produce(open, GENESIS.hash, slotWonBy(genesis, ME, 0), [late]);
    return header === null ? null : open.chain.block(blockHash(header))?.body.transactions;
  };
  expect(await bodyAt(LATE_MS + 9_999)).toEqual([]);
  expect(await bodyAt(LATE_MS + 10_000)).toEqual([late.hash]);
});

test("production: proofs come first, are paid, and make room for jobs", async () => {
  const open = producer();
  const paid = await Promise.all([1, 2, 3, 4, 5, 6].map((nonce) => transfer(genesis, 0, 1, { nonce })));
  const first = await forge(genesis, GENESIS, { slot: 1, transfers: paid });
  await open.apply(first);
  await open.adopt(first.hash);
  const jobs = paid.map(({ hash }) => jobOf(hash));
  const [cheap, dear, other] = [
    work(genesis, jobs[0] ?? jobOf(GENESIS.hash), 1n, 30),
    work(genesis, jobs[1] ?? jobOf(GENESIS.hash), 101n, 31),
    work(genesis, jobs[2] ?? jobOf(GENESIS.hash), 2n, 32),
  ];
  const waiting = await Promise.all([7, 8, 9].map((nonce) => transfer(genesis, 0, 1, { nonce })));
  await open.verify("snark", [cheap, dear, other]);
  await open.verify("transaction", waiting);
  const slot = slotWonBy(genesis, ME, 1);
  const header = await produce(open, first.hash, slot, waiting, [cheap, dear, other]);
  if (header === null) expect.fail("the node has won the slot");
  const hash = blockHash(header);
  expect(open.chain.block(hash)?.body).toMatchObject({
    transactions: waiting.slice(0, 2).map((item) => item.hash),
    snarks: [{ hash: cheap.hash }, { hash: other.hash }],
  });
  await open.adopt(hash);
  // Two fees in, two fees out.
  expect(open.chain.account(accountOf(ME))?.balance).toBe(100n + 2n - 3n);
  expect(open.chain.account(accountOf(32))?.balance).toBe(102n);
});

test("production: what the pool forgets while the block is signed stays in the block", async () => {
  const open = producer();
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  await open.verify("transaction", [item]);
  const slot = slotWonBy(genesis, ME, 0);
  const { header } = await open.ask("event/blockProduced", () => {
    open.chain.produceBlock(GENESIS.hash, slot, [item.hash], []);
    open.chain.forgetItems([item.hash]);
  });
  if (header === null) expect.fail("the node has won the slot");
  expect(open.chain.item(item.hash)).toEqual(item.bytes);
  open.chain.forgetBlocks([blockHash(header)]);
  expect(open.chain.keptItems).toBe(0);
});

test("production: the same block twice is one block", async () => {
  const open = producer();
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  await open.verify("transaction", [item]);
  const slot = slotWonBy(genesis, ME, 0);
  const [once, twice] = [
    await produce(open, GENESIS.hash, slot, [item]),
    await produce(open, GENESIS.hash, slot, [item]),
  ];
  expect(once).toEqual(twice);
  expect(open.chain.keptBlocks).toBe(2);
  open.chain.forgetItems([item.hash]);
  if (once !== null) open.chain.forgetBlocks([blockHash(once)]);
  expect(open.chain.keptItems).toBe(0);
});

test("production: a chain that a node makes by itself for two epochs is valid from its first to its last block", async () => {
  const short = testGenesis({ slotsPerEpoch: 30, gracePeriodEnd: 20, workBits: 2, proofBytes: 32 });
  const maker = openChain(short, { account: testAccountKey(ME) });
  const follower = openChain(short);
  let [tip, nonce] = [genesisOf(short).hash, 0];
  for (let slot = slotWonBy(short, ME, 0); slot < 75; slot = slotWonBy(short, ME, slot)) {
    nonce += 1;
    const item = await transfer(short, 0, 1, { nonce });
    await maker.verify("transaction", [item]);
    const header = await produce(maker, tip, slot, [item]);
    if (header === null) expect.fail("the node has won the slot");
    tip = blockHash(header);
    expect(maker.chain.block(tip)?.body.transactions).toEqual([item.hash]);
    expect(await follower.judge([header])).toEqual({ tag: "valid" });
    expect(await follower.apply(blockOf(maker, tip, [item]))).toEqual({ tag: "valid" });
    await maker.adopt(tip);
  }
  const { tip: adopted, lockHeight } = await follower.adopt(tip);
  expect(adopted.epoch).toBe(2);
  expect(lockHeight).toBeGreaterThan(0);
  const lock = follower.chain.block(adopted.consensus.stakingLock);
  expect(lock?.header.height).toBe(lockHeight);
  expect(lock?.header.slot).toBeLessThan(50);
});
