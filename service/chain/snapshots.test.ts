import { beforeAll, expect, test } from "vitest";
import { blockHash } from "../../core/block.ts";
import type { ItemBytes } from "../../core/services.ts";
import {
  accountOf,
  type ForgedBlock,
  forge,
  genesisOf,
  itemOf,
  openChain,
  signedBy,
  transfer,
  winnerOf,
} from "./chain.fixture.ts";
import { testGenesis } from "./genesis.ts";
import { ledgerRoot } from "./ledger.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis({ workBits: 4, proofBytes: 100, pendingJobsMax: 4, balance: 100n });

let paid: ItemBytes;
let first: ForgedBlock;
let second: ForgedBlock;

beforeAll(async () => {
  paid = await transfer(genesis, 0, 1, { nonce: 5 });
  first = await forge(genesis, genesisOf(genesis), { slot: 1, transfers: [paid] });
  second = await forge(genesis, first, { slot: 2, transfers: [await transfer(genesis, 0, 1, { nonce: 6 })] });
});

/** The ledger after the first block, from a node that has applied it. */
async function streamed(): Promise<Uint8Array> {
  const giver = openChain(genesis);
  expect(await giver.apply(first)).toEqual({ tag: "valid" });
  return giver.chain.snapshot(first.header.ledgerRoot) ?? new Uint8Array();
}

test("snapshot: a ledger travels from one node to another, which goes on from there", async () => {
  const bytes = await streamed();
  expect(ledgerRoot(first.ledger)).toBe(first.header.ledgerRoot);
  const taker = openChain(genesis, { received: (root) => (root === first.header.ledgerRoot ? bytes : null) });
  const tip = { ...first.header, hash: first.hash };
  const applied = await taker.ask("event/snapshotApplied", () => taker.chain.applySnapshot(tip));
  expect(applied).toMatchObject({ hash: first.hash, verdict: { tag: "valid" } });
  expect(taker.chain.block(first.hash)).toBeUndefined();
  expect(await taker.adopt(first.hash)).toMatchObject({
    extendsOld: true,
    jobsAdded: [jobOf(paid.hash)],
  });
  expect(taker.chain.account(accountOf(0))).toEqual({ balance: 98n, nonce: 5 });
  expect(taker.chain.snapshot(first.header.ledgerRoot)).toEqual(bytes);
  expect(await taker.apply(second)).toEqual({ tag: "valid" });
  expect(await taker.adopt(second.hash)).toMatchObject({ extendsOld: true, removed: [], returned: [] });
});

test("snapshot: from the genesis block every tip is an extension, though the blocks between are not kept", async () => {
  const giver = openChain(genesis);
  await giver.apply(first);
  await giver.apply(second);
  const taker = openChain(genesis, { received: giver.chain.snapshot });
  const tip = { ...second.header, hash: second.hash };
  await taker.ask("event/snapshotApplied", () => taker.chain.applySnapshot(tip));
  expect(await taker.adopt(second.hash)).toMatchObject({
    extendsOld: true,
    removed: [],
    returned: [],
    jobsAdded: [...second.ledger.jobs.values()],
    lockHeight: 2,
  });
});

test("snapshot: every corruption is refused, and what did not come blames nobody", async () => {
  const bytes = await streamed();
  let given: Uint8Array | null = null;
  const taker = openChain(genesis, { received: () => given });
  const judge = async (received: Uint8Array | null, change: Partial<typeof first.header> = {}) => {
    given = received;
    const tip = { ...first.header, hash: first.hash, ...change };
    return (await taker.ask("event/snapshotApplied", () => taker.chain.applySnapshot(tip))).verdict;
  };
  expect(await judge(null)).toEqual({ tag: "notNow", detail: "the ledger was not received" });
  const wrong = { tag: "invalid", detail: "the ledger root is not that of the snapshot" };
  for (let at = 0; at < bytes.length; at += 7) {
    expect(await judge(bytes.with(at, (bytes[at] ?? 0) ^ (1 << (at % 8))))).toEqual(wrong);
  }
  expect(await judge(bytes.subarray(0, -1))).toEqual(wrong);
  expect(await judge(new Uint8Array())).toEqual(wrong);
  expect(await judge(bytes, { height: 2 })).toMatchObject({ detail: "the hash is not that of the header" });
  expect(taker.chain.keptBlocks).toBe(1);
  expect(await judge(bytes)).toEqual({ tag: "valid" });
  expect(await judge(null)).toEqual({ tag: "valid" });
});

test("snapshot: a header that names a ledger against the rules does not make it one", async () => {
  const bytes = Uint8Array.from({ length: 8 }, () => 0);
  const header = await signedBy(winnerOf(genesis, 1), { ...first.header, ledgerRoot: itemOf(bytes).hash });
  const taker = openChain(genesis, { received: () => bytes });
  const { verdict } = await taker.ask("event/snapshotApplied", () =>
    taker.chain.applySnapshot({ ...header, hash: blockHash(header) }),
  );
  expect(verdict).toEqual({ tag: "invalid", detail: "the balances are 0 together, not 6400" });
});

test("snapshot: the body of such a block may be given before or after it, and only its own", async () => {
  const bytes = await streamed();
  const tip = { ...first.header, hash: first.hash };
  const [before, after] = [
    openChain(genesis, { received: () => bytes }),
    openChain(genesis, { received: () => bytes }),
  ];
  await before.ask("event/blockPrepared", () => before.chain.prepareBlock(first.hash, first.block));
  before.chain.supplyItems(first.hash, [paid]);
  await before.ask("event/snapshotApplied", () => before.chain.applySnapshot(tip));
  expect(before.chain.block(first.hash)).toEqual(first.block);
  expect(before.chain.item(paid.hash)).toEqual(paid.bytes);

  await after.ask("event/snapshotApplied", () => after.chain.applySnapshot(tip));
  const empty = { header: first.header, body: { transactions: [], snarks: [] } };
  await after.ask("event/blockPrepared", () => after.chain.prepareBlock(first.hash, empty));
  expect(after.chain.block(first.hash)).toBeUndefined();
  const { missing } = await after.ask("event/blockPrepared", () =>
    after.chain.prepareBlock(first.hash, first.block),
  );
  expect(missing).toEqual([{ pool: "transaction", hash: paid.hash }]);
  after.chain.supplyItems(first.hash, [paid]);
  expect(after.chain.block(first.hash)).toEqual(first.block);
  expect(after.chain.item(paid.hash)).toEqual(paid.bytes);
  for (const { chain } of [before, after]) {
    chain.forgetBlocks([first.hash]);
    expect(chain.keptItems).toBe(0);
    expect(chain.snapshot(first.header.ledgerRoot)).toBeNull();
  }
});

test("snapshot: every kept block's ledger is given, and no other; a ledger that is asked for again is not made again", async () => {
  const { chain, apply } = openChain(genesis);
  await apply(first);
  await apply(second);
  for (const { ledger, header } of [genesisOf(genesis), first, second]) {
    const bytes = chain.snapshot(header.ledgerRoot);
    expect(itemOf(bytes ?? new Uint8Array()).hash).toBe(ledgerRoot(ledger));
    expect(chain.snapshot(header.ledgerRoot)).toBe(bytes);
  }
  expect(chain.snapshot(first.hash)).toBeNull();
});
