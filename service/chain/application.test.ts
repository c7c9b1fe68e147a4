import { beforeAll, describe, expect, test } from "vitest";
import type { BlockBody, UnsignedHeader } from "../../core/block.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import {
  ACCOUNTS,
  accountOf,
  type ForgedBlock,
  flip,
  forge,
  genesisOf,
  itemOf,
  type OpenChain,
  openChain,
  type Recipe,
  transfer,
  winnerOf,
  work,
} from "./chain.fixture.ts";
import { testAccountKey, testGenesis } from "./genesis.ts";
import { mayProduce } from "./lottery.ts";
import { signTransfer } from "./transfer.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis({ workBits: 4, proofBytes: 100, pendingJobsMax: 4, balance: 100n });
const GENESIS = genesisOf(genesis);
const NO_JOB = "99".repeat(32) as JobId;

/** Block 1 includes `paid`, so that block 2 can prove it. */
let paid: ItemBytes;
let next: ItemBytes;
let proof: ItemBytes;
let first: ForgedBlock;
const SLOT = 2;

beforeAll(async () => {
  paid = await transfer(genesis, 0, 1, { nonce: 5 });
  next = await transfer(genesis, 0, 2, { nonce: 6, amount: 10n, fee: 3n });
  proof = work(genesis, jobOf(paid.hash), 7n, 40);
  first = await forge(genesis, GENESIS, { slot: 1, transfers: [paid] });
});

/** A chain that has block 1. */
async function ready(): Promise<OpenChain> {
  const open = openChain(genesis);
  expect(await open.apply(first)).toEqual({ tag: "valid" });
  return open;
}

const second = (recipe: Partial<Recipe> = {}): Promise<ForgedBlock> =>
  forge(genesis, first, { slot: SLOT, transfers: [next], works: [proof], ...recipe });

test("block: one that follows the rules is valid, and moves money, nonces and jobs", async () => {
  const open = await ready();
  const block = await second();
  expect(await open.apply(block)).toEqual({ tag: "valid" });
  const { jobsAdded } = await open.adopt(block.hash);
  expect(jobsAdded).toEqual([jobOf(next.hash)]);
  const [creator1, creator2] = [winnerOf(genesis, 1), winnerOf(genesis, SLOT)];
  const expected = new Map(ACCOUNTS.map((key) => [key, { balance: 100n, nonce: 0 }]));
  const move = (index: number, amount: bigint, nonce = 0): void => {
    const account = expected.get(accountOf(index)) ?? { balance: 0n, nonce: 0 };
    expected.set(accountOf(index), {
      balance: account.balance + amount,
      nonce: Math.max(nonce, account.nonce),
    });
  };
  move(0, -2n, 5);
  move(1, 1n);
  move(creator1, 1n);
  move(creator2, -7n);
  move(40, 7n);
  move(0, -13n, 6);
  move(2, 10n);
  move(creator2, 3n);
  for (const [key, account] of expected) expect(open.chain.account(key)).toEqual(account);
});

test("block: a recipient who is new gets an account, and the ledger root knows it", async () => {
  const stranger = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
  const open = openChain(genesis);
  const block = await forge(genesis, GENESIS, {
    slot: 1,
    transfers: [await transfer(genesis, 0, stranger, { nonce: 1, amount: 30n })],
  });
  expect(await open.apply(block)).toEqual({ tag: "valid" });
  await open.adopt(block.hash);
  expect(open.chain.account(stranger)).toEqual({ balance: 30n, nonce: 0 });
});

test("block: money that came in earlier in the block can be spent", async () => {
  const transfers = [
    await transfer(genesis, 0, 1, { nonce: 1, amount: 90n }),
    await transfer(genesis, 1, 2, { nonce: 1, amount: 150n }),
  ];
  expect(await openChain(genesis).apply(await forge(genesis, GENESIS, { slot: 1, transfers }))).toEqual({
    tag: "valid",
  });
});

describe("block: invalid is", () => {
  type Case = [what: string, recipe: () => Promise<Partial<Recipe>>, detail: string | RegExp];
  const header = (change: Recipe["change"] & object) => async () => ({ change });
  const consensus = (change: (state: UnsignedHeader["consensus"]) => Partial<UnsignedHeader["consensus"]>) =>
    header((given) => ({ ...given, consensus: { ...given.consensus, ...change(given.consensus) } }));
  const body = (changeBody: (given: BlockBody) => BlockBody) => async () => ({ changeBody });
  const items = (make: () => Promise<Partial<Recipe>> | Partial<Recipe>) => async () => make();
  const transfers = (...make: (() => Promise<ItemBytes>)[]) =>
    items(async () => ({ transfers: await Promise.all(make.map((one) => one())) }));
  const nonce =
    (value: number, amount = 1n) =>
    () =>
      transfer(genesis, 0, 2, { nonce: value, amount });

  const cases: readonly Case[] = [
    [
      "a height that is not the parent's and one",
      header((given) => ({ ...given, height: 1 })),
      "the height does not follow the parent's",
    ],
    [
      "a minimum density of its own",
      consensus(({ minWindowDensity }) => ({ minWindowDensity: minWindowDensity - 1 })),
      "minWindowDensity does not follow from the parent's consensus state",
    ],
    [
      "a density of its own",
      consensus(({ subWindowDensities }) => ({ subWindowDensities: subWindowDensities.with(10, 6) })),
      "subWindowDensities does not follow from the parent's consensus state",
    ],
    [
      "a staking lock of its own",
      consensus(({ stakingLock }) => ({ stakingLock: flip(stakingLock) })),
      "stakingLock does not follow from the parent's consensus state",
    ],
    [
      "a next lock of its own",
      consensus(({ nextLock }) => ({ nextLock: flip(nextLock) })),
      "nextLock does not follow from the parent's consensus state",
    ],
    [
      "another body root",
      header((given) => ({ ...given, bodyRoot: flip(given.bodyRoot) })),
      "the body root is not that of the body",
    ],
    [
      "another ledger root",
      header((given) => ({ ...given, ledgerRoot: flip(given.ledgerRoot) })),
      "the ledger root is not that of the ledger after the block",
    ],
    [
      "what a header shows by itself",
      header((given) => ({ ...given, epoch: 1 })),
      "the epoch is not that of the slot",
    ],
    [
      "a signature that is not the creator's",
      async () => ({ changeSigned: (given) => ({ ...given, signature: flip(given.signature) }) }),
      "the signature is not the creator's",
    ],
    ["a nonce that is used", transfers(nonce(5)), /^transaction .*: nonce 5 is used; the next is 6$/],
    [
      "nonces in the wrong order",
      transfers(nonce(7), nonce(6)),
      /^transaction .*: nonce 6 is used; the next is 8$/,
    ],
    [
      "more than the sender has",
      transfers(nonce(6, 60n), nonce(7, 60n)),
      /^transaction .*: amount and fee exceed the balance of 37$/,
    ],
    [
      "a sender without account",
      transfers(async () => {
        const stranger = testAccountKey(64);
        return itemOf(
          await signTransfer(stranger, genesis.chainId, { to: accountOf(0), amount: 1n, fee: 1n, nonce: 1 }),
        );
      }),
      /^transaction .*: the sender has no account$/,
    ],
    [
      "a transaction that is signed by somebody else",
      transfers(async () => {
        const { bytes } = await nonce(6)();
        return itemOf(bytes.with(-1, (bytes.at(-1) ?? 0) ^ 1));
      }),
      /^transaction .*: the signature is not the sender's for this chain$/,
    ],
    [
      "a transaction that is none",
      transfers(async () => itemOf(Uint8Array.of(1, 2, 3))),
      /^transaction .*: not a transfer: /,
    ],
    [
      "a transaction that is there twice",
      body((given) => ({ ...given, transactions: [...given.transactions, ...given.transactions] })),
      /^transaction .*: nonce 6 is used; the next is 7$/,
    ],
    [
      "a snark among the transactions",
      body((given) => ({ ...given, transactions: given.snarks.map(({ hash }) => hash) })),
      /^transaction .*: not a (transfer|transaction)/,
    ],
    [
      "a transaction among the snarks",
      body(({ transactions, snarks }) => ({
        transactions,
        snarks: snarks.map((snark, at) => ({ ...snark, hash: transactions[at] ?? ("" as Hash) })),
      })),
      /^snark .*: not a (piece of work|snark)/,
    ],
    ...(["jobId", "prover"] as const).map(
      (field): Case => [
        `another ${field} than the snark itself says`,
        body((given) => ({
          ...given,
          snarks: given.snarks.map((snark) => ({ ...snark, [field]: flip(snark[field]) })),
        })),
        /^snark .*: the body says something else of it$/,
      ],
    ),
    [
      "another fee than the snark itself says",
      body((given) => ({ ...given, snarks: given.snarks.map((snark) => ({ ...snark, fee: 0n })) })),
      /^snark .*: the body says something else of it$/,
    ],
    [
      "a snark that is there twice",
      body((given) => ({ ...given, snarks: [...given.snarks, ...given.snarks] })),
      /^snark .*: the job is not pending$/,
    ],
    [
      "two snarks for one job",
      items(() => ({ works: [proof, work(genesis, jobOf(paid.hash), 6n, 41)] })),
      /^snark .*: the job is not pending$/,
    ],
    [
      "a snark for a job that nobody wants",
      items(() => ({ works: [work(genesis, NO_JOB, 7n, 40)] })),
      /^snark .*: the job is not pending$/,
    ],
    [
      "a snark for a job of the same block",
      items(() => ({ works: [work(genesis, jobOf(next.hash), 7n, 40)] })),
      /^snark .*: the job is not pending$/,
    ],
    [
      "a snark that the creator cannot pay",
      items(() => ({ works: [work(genesis, jobOf(paid.hash), 150n, 40)] })),
      /^snark .*: the fee exceeds the creator's balance of 10[01]$/,
    ],
    [
      "one job too many",
      transfers(nonce(6), nonce(7), nonce(8), nonce(9), nonce(10)),
      /^transaction .*: 4 jobs are pending$/,
    ],
  ];
  test.each(cases)("%s", async (_what, recipe, detail) => {
    const open = await ready();
    const verdict = await open.apply(await second(await recipe()));
    expect(verdict).toMatchObject({
      tag: "invalid",
      detail: typeof detail === "string" ? detail : expect.stringMatching(detail),
    });
    expect(open.chain.keptBlocks).toBe(3);
  });

  test("a slot that is not after the parent's", async () => {
    const open = await ready();
    // Heights may be equal to slots, so the parent has to be later than the second slot.
    const late = await forge(genesis, GENESIS, { slot: 9 });
    await open.apply(late);
    for (const slot of [8, 9]) {
      const early = await forge(genesis, late, { slot });
      expect(await open.apply(early)).toEqual({
        tag: "invalid",
        detail: "the slot is not after the parent's",
      });
    }
  });

  test("a hash that is not that of the header", async () => {
    const open = await ready();
    const block = await second();
    expect(await open.apply({ ...block, hash: flip(block.hash) })).toEqual({
      tag: "invalid",
      detail: "the hash is not that of the header",
    });
  });

  test("work that does not do, also if the body describes it well", async () => {
    const open = await ready();
    const hard = { ...genesis, workBits: 0 };
    let bad: ItemBytes | undefined;
    // One in sixteen would do.
    for (let fee = 0n; bad === undefined; fee++) {
      const candidate = work(hard, jobOf(paid.hash), fee, 40);
      const [verdict] = await open.verify("snark", [candidate]);
      if (verdict?.tag === "invalid") bad = candidate;
    }
    const block = await forge(hard, first, { slot: SLOT, works: [bad] });
    expect(await open.apply(block)).toMatchObject({
      tag: "invalid",
      detail: expect.stringContaining("the work has less than 4 zero bits"),
    });
  });
});

describe("block: nobody is to blame", () => {
  test("for a parent that is not applied", async () => {
    const open = openChain(genesis);
    expect(await open.apply(await second())).toEqual({ tag: "notNow", detail: "the parent is not applied" });
  });

  test("for items that are missing", async () => {
    const open = await ready();
    const block = await second();
    expect(await open.apply({ ...block, items: [next] })).toEqual({
      tag: "notNow",
      detail: "1 items are missing",
    });
    expect(await open.apply(block)).toEqual({ tag: "valid" });
  });

  test("for a block that was not prepared", async () => {
    const open = await ready();
    const { hash } = await second();
    const { verdict } = await open.ask("event/blockApplied", () => open.chain.applyBlock(hash));
    expect(verdict).toMatchObject({ tag: "notNow" });
  });

  test("for a block that is forgotten while it is checked; nothing of it is left", async () => {
    const open = await ready();
    const { hash, block, items } = await second();
    await open.ask("event/blockPrepared", () => open.chain.prepareBlock(hash, block));
    open.chain.supplyItems(hash, items);
    const kept = open.chain.keptItems;
    const { verdict } = await open.ask("event/blockApplied", () => {
      open.chain.applyBlock(hash);
      open.chain.forgetBlocks([hash]);
    });
    expect(verdict).toEqual({ tag: "notNow", detail: "the block was forgotten meanwhile" });
    expect(open.chain.keptBlocks).toBe(2);
    expect(open.chain.keptItems).toBe(kept - items.length);
  });
});

test("block: to apply it twice, also at once, is valid, and it is there once", async () => {
  const open = await ready();
  const block = await second();
  await open.ask("event/blockPrepared", () => open.chain.prepareBlock(block.hash, block.block));
  open.chain.supplyItems(block.hash, block.items);
  open.chain.applyBlock(block.hash);
  open.chain.applyBlock(block.hash);
  await expect.poll(() => open.events.filter(({ type }) => type === "event/blockApplied").length).toBe(3);
  expect(open.events.slice(-2)).toMatchObject([{ verdict: { tag: "valid" } }, { verdict: { tag: "valid" } }]);
  expect(await open.apply(block)).toEqual({ tag: "valid" });
  expect(open.chain.keptBlocks).toBe(3);
  open.chain.forgetBlocks([block.hash]);
  expect(open.chain.keptItems).toBe(1);
});

test("block: what it lacks is named once each; what the node has is pinned, and cannot vanish", async () => {
  const open = await ready();
  await open.verify("transaction", [next]);
  const block = await second();
  const { missing } = await open.ask("event/blockPrepared", () => {
    open.chain.prepareBlock(block.hash, block.block);
  });
  expect(missing).toEqual([{ pool: "snark", hash: proof.hash }]);
  open.chain.forgetItems([next.hash]);
  expect(await open.apply({ ...block, items: [proof] })).toEqual({ tag: "valid" });
  expect(open.chain.item(next.hash)).toEqual(next.bytes);
});

test("block: to prepare it twice pins nothing twice", async () => {
  const open = await ready();
  const block = await second();
  for (let times = 0; times < 2; times++) {
    const { missing } = await open.ask("event/blockPrepared", () =>
      open.chain.prepareBlock(block.hash, block.block),
    );
    expect(missing.length).toBe(2 - times);
    open.chain.supplyItems(block.hash, [next]);
  }
  open.chain.forgetBlocks([block.hash]);
  expect(open.chain.keptItems).toBe(1);
});

test("block: a body that names an item twice lacks it once", async () => {
  const open = await ready();
  const block = await second({
    changeBody: ({ transactions, snarks }) => ({
      transactions: [...transactions, ...transactions, proof.hash],
      snarks: [...snarks, ...snarks],
    }),
  });
  const { missing } = await open.ask("event/blockPrepared", () =>
    open.chain.prepareBlock(block.hash, block.block),
  );
  expect(missing.map(({ hash }) => hash)).toEqual([next.hash, proof.hash]);
});

test("block: an item that comes into the pool meanwhile need not be supplied", async () => {
  const open = await ready();
  const block = await second();
  await open.ask("event/blockPrepared", () => open.chain.prepareBlock(block.hash, block.block));
  await open.verify("transaction", [next]);
  expect(await open.apply({ ...block, items: [proof] })).toEqual({ tag: "valid" });
});

test("block: items that it does not lack are not taken, nor items for unknown blocks", async () => {
  const open = await ready();
  const block = await second();
  await open.ask("event/blockPrepared", () => open.chain.prepareBlock(block.hash, block.block));
  const other = await transfer(genesis, 3, 4, { nonce: 1 });
  open.chain.supplyItems(block.hash, [other]);
  open.chain.supplyItems("00".repeat(32) as Hash, [next]);
  expect(open.chain.keptItems).toBe(1);
  open.chain.supplyItems(block.hash, [next]);
  open.chain.supplyItems(block.hash, [{ hash: next.hash, bytes: Uint8Array.of(1) }]);
  expect(open.chain.item(next.hash)).toEqual(next.bytes);
});

test("block: an invalid one can be forgotten with all that was fetched for it", async () => {
  const open = await ready();
  const block = await second({ change: (given) => ({ ...given, ledgerRoot: flip(given.ledgerRoot) }) });
  expect((await open.apply(block)).tag).toBe("invalid");
  open.chain.forgetBlocks([block.hash]);
  expect(open.chain.keptBlocks).toBe(2);
  expect(open.chain.keptItems).toBe(1);
});

test("block: any account of the genesis block that won the slot may make it, and no other", async () => {
  const open = await ready();
  const winners = ACCOUNTS.flatMap((key, index) => (mayProduce(genesis, SLOT, key) ? [index] : []));
  for (const creator of winners) {
    expect(await open.apply(await second({ creator }))).toEqual({ tag: "valid" });
  }
  const loser = ACCOUNTS.findIndex((key) => !mayProduce(genesis, SLOT, key));
  expect(await open.apply(await second({ creator: loser }))).toEqual({
    tag: "invalid",
    detail: "the creator did not win the slot",
  });
});
