import { beforeAll, expect, test } from "vitest";
import type { Commitment } from "../../core/block.ts";
import { concatBytes } from "../../core/bytes.ts";
import type { JobId } from "../../core/ids.ts";
import { commitmentBytes, commitmentHash } from "../../core/pools.ts";
import {
  accountOf,
  flip,
  forge,
  genesisOf,
  LATE_MS,
  type OpenChain,
  openChain,
  transfer,
} from "./chain.fixture.ts";
import { signCommitment } from "./commitment.ts";
import { testAccountKey, testGenesis } from "./genesis.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis();
const KEY = testAccountKey(0);
const NOW = BigInt(LATE_MS);
let open: OpenChain;
let jobId: JobId;

beforeAll(async () => {
  open = openChain(genesis, { account: KEY });
  const item = await transfer(genesis, 0, 1, { nonce: 1 });
  jobId = jobOf(item.hash);
  const block = await forge(genesis, genesisOf(genesis), { slot: 1, transfers: [item] });
  await open.apply(block);
  await open.adopt(block.hash);
});

const signed = (change: Partial<Commitment> = {}): Promise<Commitment> =>
  signCommitment(KEY, { jobId, fee: 3n, snarker: accountOf(0), issuedAt: NOW, ...change });

async function judge(commitment: Commitment, bytes = commitmentBytes(commitment)) {
  const [verdict] = await open.verify("snark-job-commitment", [{ hash: commitmentHash(commitment), bytes }]);
  return verdict;
}

test("commitment: what the chain signs for a pending job is valid, and nothing of it is kept", async () => {
  const kept = open.chain.keptItems;
  const { commitment } = await open.ask("event/commitmentSigned", (chain) =>
    chain.signCommitment(jobId, 3n, NOW),
  );
  expect(commitment).toMatchObject({ jobId, fee: 3n, snarker: accountOf(0), issuedAt: NOW });
  expect(await judge(commitment)).toEqual({ tag: "valid", info: commitment });
  expect(open.chain.keptItems).toBe(kept);
});

test("commitment: whatever is changed after signing makes it invalid", async () => {
  const commitment = await signed();
  const forged: Partial<Commitment>[] = [
    { jobId: flip(jobId) },
    { fee: 4n },
    { snarker: accountOf(1) },
    { issuedAt: NOW - 1n },
    { signature: flip(commitment.signature) },
  ];
  const verdicts = await Promise.all(forged.map((change) => judge({ ...commitment, ...change })));
  for (const verdict of verdicts) {
    expect(verdict).toEqual({ tag: "invalid", detail: "the signature is not the snarker's" });
  }
});

test("commitment: a snarker whose key is of small order proves nothing, and is invalid", async () => {
  const small = "01".padEnd(64, "0");
  expect(await judge({ ...(await signed()), snarker: small, signature: "00".repeat(64) })).toMatchObject({
    tag: "invalid",
  });
});

test("commitment: bytes that are cut or extended are invalid", async () => {
  const commitment = await signed();
  const bytes = commitmentBytes(commitment);
  for (const broken of [bytes.subarray(1), bytes.subarray(0, -1), concatBytes(bytes, Uint8Array.of(0))]) {
    expect(await judge(commitment, broken)).toMatchObject({ tag: "invalid" });
  }
});

test("commitment: it is good from 60 s ahead to 10 min past, and outside blames nobody", async () => {
  const ages = [-60_001n, -60_000n, 0n, 600_000n, 600_001n];
  const verdicts = await Promise.all(ages.map(async (age) => judge(await signed({ issuedAt: NOW - age }))));
  expect(verdicts).toMatchObject([
    { tag: "notNow", detail: "it was issued in the future" },
    { tag: "valid" },
    { tag: "valid" },
    { tag: "valid" },
    { tag: "notNow", detail: "it was issued too long ago" },
  ]);
  expect(await judge(await signed({ issuedAt: 2n ** 64n - 1n }))).toMatchObject({ tag: "notNow" });
});

test("commitment: a job that is not pending at the best tip blames nobody", async () => {
  expect(await judge(await signed({ jobId: flip(jobId) }))).toEqual({
    tag: "notNow",
    detail: "the job is not pending",
  });
});
