import { describe, expect, test } from "vitest";
import type { Hash } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import { createAside } from "./aside.ts";
import {
  accountOf,
  type ForgedBlock,
  forge,
  genesisOf,
  type OpenChain,
  openChain,
  type Recipe,
  transfer,
  work,
} from "./chain.fixture.ts";
import type { Content } from "./content.ts";
import { testGenesis } from "./genesis.ts";
import { createItemStore } from "./items.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis({ workBits: 2, proofBytes: 32, balance: 100n });
const GENESIS = genesisOf(genesis);

/** Forges and applies a block. */
async function grow(open: OpenChain, parent: ForgedBlock, recipe: Recipe): Promise<ForgedBlock> {
  const block = await forge(genesis, parent, recipe);
  expect(await open.apply(block)).toEqual({ tag: "valid" });
  return block;
}

const pay = (from: number, nonce: number, amount = 1n): Promise<ItemBytes> =>
  transfer(genesis, from, 9, { nonce, amount });

const NOTHING = { removed: [], returned: [], jobsAdded: [], jobsRemoved: [] };

test("adoption: an empty block on the tip extends it and changes nothing", async () => {
  const open = openChain(genesis);
  const block = await grow(open, GENESIS, { slot: 1 });
  expect(await open.adopt(block.hash)).toEqual({
    ...NOTHING,
    tip: { ...block.header, hash: block.hash },
    extendsOld: true,
    lockHeight: 0,
  });
  expect(await open.adopt(block.hash)).toMatchObject({ ...NOTHING, extendsOld: true });
});

test("adoption: a block takes its transactions out of the pool; undone, they come back and are served", async () => {
  const open = openChain(genesis);
  const [mine, foreign] = [await pay(0, 1), await pay(1, 1)];
  await open.verify("transaction", [mine]);
  const block = await grow(open, GENESIS, { slot: 1, transfers: [mine, foreign] });
  const rival = await grow(open, GENESIS, { slot: 2 });
  expect(await open.adopt(block.hash)).toMatchObject({
    removed: [mine.hash],
    returned: [],
    extendsOld: true,
  });
  const change = await open.adopt(rival.hash);
  expect(change).toMatchObject({ removed: [], extendsOld: false });
  expect(change.returned).toEqual([
    { hash: mine.hash, fee: 1n, sender: accountOf(0), nonce: 1 },
    { hash: foreign.hash, fee: 1n, sender: accountOf(1), nonce: 1 },
  ]);
  open.chain.forgetBlocks([block.hash]);
  expect(open.chain.item(mine.hash)).toEqual(mine.bytes);
  open.chain.forgetItems([mine.hash, foreign.hash]);
  expect(open.chain.keptItems).toBe(0);
});

test("adoption: a rollback to an ancestor undoes the blocks above it", async () => {
  const open = openChain(genesis);
  const item = await pay(0, 1);
  const first = await grow(open, GENESIS, { slot: 1, transfers: [item] });
  const second = await grow(open, first, { slot: 2 });
  await open.adopt(second.hash);
  expect(await open.adopt(GENESIS.hash)).toMatchObject({
    extendsOld: false,
    returned: [{ hash: item.hash }],
    jobsAdded: [],
    jobsRemoved: [jobOf(item.hash)],
  });
});

test("adoption: transactions of several undone blocks come back in the order of their blocks and bodies", async () => {
  const open = openChain(genesis);
  const items = await Promise.all([3, 2, 1, 0].map((from) => pay(from, 1)));
  const first = await grow(open, GENESIS, { slot: 1, transfers: items.slice(0, 2) });
  const second = await grow(open, first, { slot: 2, transfers: items.slice(2) });
  await open.adopt(second.hash);
  const { returned } = await open.adopt(GENESIS.hash);
  expect(returned.map(({ hash }) => hash)).toEqual(items.map(({ hash }) => hash));
});

test("adoption: what an undone block had driven out comes back, with its bytes, by nonce and by balance", async () => {
  const open = openChain(genesis);
  const [low, rich, big] = [await pay(0, 1), await pay(1, 7, 60n), await pay(1, 8, 60n)];
  await open.verify("transaction", [low, rich, big]);
  const high = await pay(0, 2);
  const block = await grow(open, GENESIS, { slot: 1, transfers: [high, rich] });
  const { removed } = await open.adopt(block.hash);
  expect(new Set(removed)).toEqual(new Set([low.hash, rich.hash, big.hash]));
  const rival = await grow(open, GENESIS, { slot: 2 });
  const { returned } = await open.adopt(rival.hash);
  expect(new Set(returned.map(({ hash }) => hash))).toEqual(
    new Set([low.hash, rich.hash, big.hash, high.hash]),
  );
  expect(open.chain.item(low.hash)).toEqual(low.bytes);
});

test("adoption: of two transactions with one nonce each comes back when the block with the other is undone", async () => {
  const open = openChain(genesis);
  const [one, two] = [await pay(0, 1, 10n), await pay(0, 1, 20n)];
  await open.verify("transaction", [one, two]);
  const left = await grow(open, GENESIS, { slot: 1, transfers: [one] });
  const right = await grow(open, GENESIS, { slot: 2, transfers: [two] });
  const neither = await grow(open, GENESIS, { slot: 3 });
  expect(new Set((await open.adopt(left.hash)).removed)).toEqual(new Set([one.hash, two.hash]));
  expect(await open.adopt(right.hash)).toMatchObject({ removed: [], returned: [] });
  expect(await open.adopt(left.hash)).toMatchObject({ removed: [], returned: [] });
  const { returned } = await open.adopt(neither.hash);
  expect(new Set(returned.map(({ hash }) => hash))).toEqual(new Set([one.hash, two.hash]));
});

test("adoption: a transaction whose sender gets money again comes back, though nothing was undone", async () => {
  const open = openChain(genesis);
  const [spend, big] = [await pay(0, 1, 90n), await pay(0, 2, 60n)];
  await open.verify("transaction", [big]);
  const poor = await grow(open, GENESIS, { slot: 1, transfers: [spend] });
  expect(await open.adopt(poor.hash)).toMatchObject({ removed: [big.hash] });
  const gift = await transfer(genesis, 3, 0, { nonce: 1, amount: 60n });
  const rich = await grow(open, poor, { slot: 2, transfers: [gift] });
  expect(await open.adopt(rich.hash)).toMatchObject({ extendsOld: true, returned: [{ hash: big.hash }] });
});

test("adoption: a transaction that only an undone block made possible waits for its money elsewhere", async () => {
  const open = openChain(genesis);
  const gift = await transfer(genesis, 3, 0, { nonce: 1, amount: 60n });
  const big = await pay(0, 1, 120n);
  const one = await grow(open, GENESIS, { slot: 1, transfers: [gift] });
  const two = await grow(open, one, { slot: 2, transfers: [big] });
  await open.adopt(two.hash);
  const rival = await grow(open, GENESIS, { slot: 3 });
  expect(await open.adopt(rival.hash)).toMatchObject({ returned: [{ hash: gift.hash }] });
  const again = await grow(open, rival, { slot: 4, transfers: [gift] });
  expect(await open.adopt(again.hash)).toMatchObject({
    removed: [gift.hash],
    returned: [{ hash: big.hash }],
  });
});

test("adoption: what a block drove out is given up with that block", async () => {
  const open = openChain(genesis);
  const [low, high] = [await pay(0, 1), await pay(0, 2)];
  await open.verify("transaction", [low]);
  const first = await grow(open, GENESIS, { slot: 1, transfers: [high] });
  const second = await grow(open, first, { slot: 2 });
  const third = await grow(open, second, { slot: 3 });
  // In one step: it was the first of the three that drove it out.
  await open.adopt(third.hash);
  open.chain.forgetBlocks([second.hash]);
  expect(open.chain.item(low.hash)).toEqual(low.bytes);
  open.chain.forgetBlocks([first.hash]);
  expect(open.chain.item(low.hash)).toBeUndefined();
});

test("adoption: what two rivals both drive out stays aside as long as the one that is left", async () => {
  const open = openChain(genesis);
  const [low, high] = [await pay(0, 1), await pay(0, 2)];
  await open.verify("transaction", [low]);
  const left = await grow(open, GENESIS, { slot: 1, transfers: [high] });
  const right = await grow(open, GENESIS, { slot: 2, transfers: [high] });
  await open.adopt(left.hash);
  expect(await open.adopt(right.hash)).toMatchObject({ removed: [], returned: [] });
  open.chain.forgetBlocks([left.hash]);
  expect(open.chain.item(low.hash)).toEqual(low.bytes);
  const neither = await grow(open, GENESIS, { slot: 3 });
  const { returned } = await open.adopt(neither.hash);
  expect(new Set(returned.map(({ hash }) => hash))).toEqual(new Set([low.hash, high.hash]));
  open.chain.forgetBlocks([right.hash]);
  open.chain.forgetItems([low.hash, high.hash]);
  expect(open.chain.keptItems).toBe(0);
});

test("adoption: what a block includes is kept as long as that block, whether it came from the pool or lay aside", async () => {
  const open = openChain(genesis);
  const [spend, big] = [await pay(0, 1, 90n), await pay(0, 2, 60n)];
  await open.verify("transaction", [spend, big]);
  const poor = await grow(open, GENESIS, { slot: 1, transfers: [spend] });
  await open.adopt(poor.hash);
  const gift = await transfer(genesis, 3, 0, { nonce: 1, amount: 60n });
  const rich = await grow(open, poor, { slot: 2, transfers: [gift, big] });
  const tip = await grow(open, rich, { slot: 3 });
  expect(await open.adopt(tip.hash)).toMatchObject({ removed: [], returned: [] });
  expect(open.chain.item(big.hash)).toEqual(big.bytes);
  open.chain.forgetBlocks([rich.hash]);
  expect(open.chain.item(big.hash)).toBeUndefined();
  expect(open.chain.item(spend.hash)).toEqual(spend.bytes);
  open.chain.forgetBlocks([poor.hash]);
  expect(open.chain.keptItems).toBe(0);
});

describe("adoption: proofs", () => {
  async function withJob() {
    const open = openChain(genesis);
    const item = await pay(0, 1);
    const base = await grow(open, GENESIS, { slot: 1, transfers: [item] });
    await open.adopt(base.hash);
    return { open, base, jobId: jobOf(item.hash) };
  }

  test("of undone blocks come back when their job is pending again, with those for which there was another", async () => {
    const { open, base, jobId } = await withJob();
    const [included, better] = [work(genesis, jobId, 5n, 1), work(genesis, jobId, 3n, 2)];
    await open.verify("snark", [better]);
    const block = await grow(open, base, { slot: 2, works: [included] });
    expect(await open.adopt(block.hash)).toMatchObject({ removed: [], jobsRemoved: [jobId] });
    open.chain.forgetItems([better.hash]);
    const rival = await grow(open, base, { slot: 3 });
    const change = await open.adopt(rival.hash);
    expect(change.jobsAdded).toEqual([jobId]);
    expect(new Set(change.returned)).toEqual(
      new Set([
        { hash: included.hash, jobId, fee: 5n, prover: accountOf(1) },
        { hash: better.hash, jobId, fee: 3n, prover: accountOf(2) },
      ]),
    );
    expect(open.chain.item(better.hash)).toEqual(better.bytes);
  });

  test("do not come back without the transaction that their job was made for", async () => {
    const { open, base, jobId } = await withJob();
    const proof = work(genesis, jobId, 5n, 1);
    const block = await grow(open, base, { slot: 2, works: [proof] });
    await open.adopt(block.hash);
    const rival = await grow(open, GENESIS, { slot: 3 });
    const change = await open.adopt(rival.hash);
    expect(change.returned).toMatchObject([{ nonce: 1 }]);
    expect(change).toMatchObject({ jobsAdded: [], jobsRemoved: [] });
    // And when it is included again, the proof is there.
    const again = await grow(open, rival, { slot: 4, transfers: base.items });
    expect(await open.adopt(again.hash)).toMatchObject({
      jobsAdded: [jobId],
      returned: [{ hash: proof.hash }],
    });
  });

  test("that are still held are not put aside again by every block", async () => {
    const { open, base, jobId } = await withJob();
    const proof = work(genesis, jobId, 5n, 1);
    await open.verify("snark", [proof]);
    const block = await grow(open, base, { slot: 2, works: [proof] });
    await open.adopt(block.hash);
    const later = await grow(open, block, { slot: 3 });
    await open.adopt(later.hash);
    open.chain.forgetItems([proof.hash]);
    open.chain.forgetBlocks([block.hash]);
    expect(open.chain.item(proof.hash)).toBeUndefined();
  });
});

test("adoption: jobs are added oldest first, in the order of their blocks and bodies", async () => {
  const open = openChain(genesis);
  const items = await Promise.all([0, 1, 2, 3].map((from) => pay(from, 1)));
  const [a, b, c, d] = items.map(({ hash }) => jobOf(hash));
  const first = await grow(open, GENESIS, { slot: 1, transfers: items.slice(2) });
  const second = await grow(open, first, { slot: 2, transfers: items.slice(0, 2) });
  expect((await open.adopt(second.hash)).jobsAdded).toEqual([c, d, a, b]);
});

describe("adoption: the height of the lock checkpoint", () => {
  const short = testGenesis({ slotsPerEpoch: 6, gracePeriodEnd: 1, workBits: 1, proofBytes: 32 });

  async function chainOf(slots: readonly number[]): Promise<{ open: OpenChain; blocks: ForgedBlock[] }> {
    const open = openChain(short);
    const blocks: ForgedBlock[] = [];
    for (const slot of slots) {
      const block = await forge(short, blocks.at(-1) ?? genesisOf(short), { slot });
      expect(await open.apply(block)).toEqual({ tag: "valid" });
      blocks.push(block);
    }
    return { open, blocks };
  }

  test("is that of the block that the staking lock names", async () => {
    const { open, blocks } = await chainOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const heights = [];
    for (const { hash } of blocks) heights.push((await open.adopt(hash)).lockHeight);
    // Slots 1 to 3 choose for the epoch from 6 on, slots 6 to 9 for the one from 12 on; each names its parent.
    expect(heights).toEqual([0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 8]);
  });

  test("is the lowest that is kept below the tip, if the checkpoint is not", async () => {
    const { open, blocks } = await chainOf([1, 2, 3, 4, 5, 6, 7]);
    const [tip, parent, before] = blocks.toReversed();
    if (tip === undefined || parent === undefined || before === undefined)
      expect.fail("there are seven blocks");
    await open.adopt(tip.hash);
    open.chain.forgetBlocks([blocks[1]?.hash ?? tip.hash]);
    expect((await open.adopt(tip.hash)).lockHeight).toBe(3);
    open.chain.forgetBlocks([before.hash]);
    expect((await open.adopt(tip.hash)).lockHeight).toBe(6);
    open.chain.forgetBlocks([parent.hash]);
    expect((await open.adopt(tip.hash)).lockHeight).toBe(7);
  });
});

test("adoption: where the chains do not meet, all kept blocks of the old one are undone", async () => {
  const giver = openChain(genesis);
  const [both, lost] = [await pay(0, 1), await pay(1, 1)];
  const theirs = await grow(giver, GENESIS, { slot: 1, transfers: [both] });
  const tip = await grow(giver, theirs, { slot: 2 });
  const open = openChain(genesis, { received: () => giver.chain.snapshot(tip.header.ledgerRoot) });
  const ours = await grow(open, GENESIS, { slot: 3, transfers: [both, lost] });
  await open.adopt(ours.hash);
  await open.ask("event/snapshotApplied", () => open.chain.applySnapshot({ ...tip.header, hash: tip.hash }));
  expect(await open.adopt(tip.hash)).toMatchObject({
    extendsOld: false,
    returned: [{ hash: lost.hash }],
    jobsAdded: [],
    jobsRemoved: [jobOf(lost.hash)],
    lockHeight: 2,
  });
});

test("aside: what is too much is given up, the oldest first", () => {
  const items = createItemStore();
  const aside = createAside(items, 2);
  const hashes = ["a", "b", "c"].map((digit) => digit.repeat(64) as Hash);
  const since = "d".repeat(64) as Hash;
  for (const hash of hashes) {
    const content: Content = {
      tag: "transaction",
      payment: { hash, from: accountOf(0), to: accountOf(1), amount: 1n, fee: 1n, nonce: 1 },
    };
    items.hold({ hash, bytes: Uint8Array.of(1) }, content);
    aside.put(hash, since);
    items.release(hash);
  }
  expect(items.size).toBe(3);
  aside.trim();
  expect(aside.entries()).toEqual(hashes.slice(1).map((hash) => [hash, since]));
  expect(items.size).toBe(2);
  aside.forget(new Set([since]));
  expect(items.size).toBe(0);
});
