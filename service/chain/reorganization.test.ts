import fc from "fast-check";
import { expect, test } from "vitest";
import type { TipChange } from "../../core/chain.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import {
  type ForgedBlock,
  forge,
  genesisOf,
  type OpenChain,
  openChain,
  paymentOf,
  transfer,
  work,
} from "./chain.fixture.ts";
import { choosePayments } from "./choice.ts";
import { testGenesis } from "./genesis.ts";
import { openDraft } from "./ledger-draft.ts";
import { jobOf } from "./work.ts";

const genesis = testGenesis({ workBits: 2, proofBytes: 32, pendingJobsMax: 6, balance: 100n });
const GENESIS = genesisOf(genesis);

/** A universe of transactions that know and hinder each other: few accounts, little money, the same nonces. */
const universe: readonly ItemBytes[] = await Promise.all(
  [0, 1, 2].flatMap((from) =>
    [1, 2, 3, 4].flatMap((nonce) =>
      [1n, 45n].map((amount) => transfer(genesis, from, (from + 1) % 3, { nonce, amount })),
    ),
  ),
);
/** Two provers for each job. */
const proofs = new Map<JobId, readonly ItemBytes[]>(
  universe.map(({ hash }) => [
    jobOf(hash),
    [1n, 2n].map((fee) => work(genesis, jobOf(hash), fee, 30 + Number(fee))),
  ]),
);

/** Uniform, unlike the small numbers that fast-check likes best: a tip that is picked is often on another branch. */
const pick = fc.noBias(fc.nat({ max: 2 ** 20 }));
const picks = (maxLength: number) => fc.array(pick, { minLength: 1, maxLength, size: "max" });

const tree = fc.array(fc.record({ parent: pick, transfers: picks(4), works: picks(3) }), {
  minLength: 4,
  maxLength: 9,
  size: "max",
});
const script = fc.array(
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({ tag: fc.constant("adopt" as const), block: pick }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ tag: fc.constant("submit" as const), transfers: picks(6), works: picks(3) }),
    },
  ),
  { minLength: 4, maxLength: 14, size: "max" },
);

/** What the core makes of the events: its pools and its jobs. */
interface Follower {
  readonly pool: Set<Hash>;
  jobs: readonly JobId[];
}

/** Everything that was ever in the pool or in the best chain. */
type Known = Map<Hash, { readonly pool: "transaction" | "snark"; readonly item: ItemBytes }>;

const at = <T>(list: readonly T[], index: number): T => {
  const found = list[index % list.length];
  if (found === undefined) throw new RangeError("nothing to pick from");
  return found;
};

/** A second for each run, on a machine that is shared: it takes a fifth of that. */
const TIMEOUT_MS = 60_000;

test(
  "reorganisation: whatever way led to a tip, ledger, jobs and pool are those of its chain alone",
  async () => {
    await fc.assert(
      fc.asyncProperty(tree, script, async (grown, steps) => {
        const open = openChain(genesis);
        const blocks: ForgedBlock[] = [GENESIS];
        for (const { parent, transfers, works } of grown) {
          // On one of the latest: few branches, but long ones.
          const block = await randomBlock(at(blocks.slice(-3), parent), blocks.length, transfers, works);
          expect(await open.apply(block)).toEqual({ tag: "valid" });
          blocks.push(block);
        }
        const follower: Follower = { pool: new Set(), jobs: [] };
        const known: Known = new Map();
        let tip = GENESIS;
        for (const step of steps) {
          if (step.tag === "submit") {
            await submit(open, follower, known, tip, step.transfers, step.works);
            continue;
          }
          tip = at(blocks, step.block);
          follow(open, follower, await open.adopt(tip.hash));
          const chain = ancestry(blocks, tip);
          for (const { body, items } of chain) {
            for (const item of items) {
              known.set(item.hash, {
                pool: body.transactions.includes(item.hash) ? "transaction" : "snark",
                item,
              });
            }
          }
          await compareWithFresh(open, follower, known, chain, tip);
        }
        await forgetEverything(open, follower, blocks, tip);
      }),
      { numRuns: 30 },
    );
  },
  TIMEOUT_MS,
);

/** A valid block of these picks, as far as they fit. */
async function randomBlock(
  parent: ForgedBlock,
  index: number,
  transferPicks: readonly number[],
  workPicks: readonly number[],
): Promise<ForgedBlock> {
  const slot = parent.header.slot + index;
  const draft = openDraft(parent.ledger, "", genesis.pendingJobsMax);
  const wanted = await Promise.all(transferPicks.map((one) => paymentOf(genesis, at(universe, one))));
  const chosen = choosePayments(draft, wanted, genesis.pendingJobsMax);
  const pending = [...parent.ledger.jobs.values()];
  const works = new Map<JobId, ItemBytes>();
  for (const one of pending.length === 0 ? [] : workPicks) {
    const jobId = at(pending, one);
    works.set(jobId, at(proofs.get(jobId) ?? [], one >> 8));
  }
  const transfers = chosen.flatMap(({ hash }) => universe.find((item) => item.hash === hash) ?? []);
  return forge(genesis, parent, { slot, transfers, works: [...works.values()] });
}

async function submit(
  open: OpenChain,
  { pool }: Follower,
  known: Known,
  tip: ForgedBlock,
  transferPicks: readonly number[],
  workPicks: readonly number[],
): Promise<void> {
  const pending = [...tip.ledger.jobs.values()];
  const batches = {
    transaction: transferPicks.map((one) => at(universe, one)),
    snark:
      pending.length === 0 ? [] : workPicks.map((one) => at(proofs.get(at(pending, one)) ?? [], one >> 8)),
  };
  for (const name of ["transaction", "snark"] as const) {
    const verdicts = await open.verify(name, batches[name]);
    for (const [index, verdict] of verdicts.entries()) {
      const item = at(batches[name], index);
      expect(verdict.tag).not.toBe("invalid");
      if (verdict.tag !== "valid") continue;
      pool.add(item.hash);
      known.set(item.hash, { pool: name, item });
    }
  }
}

function follow({ chain }: OpenChain, follower: Follower, change: TipChange): void {
  for (const hash of change.removed) {
    expect(follower.pool.has(hash)).toBe(true);
    follower.pool.delete(hash);
  }
  for (const jobId of change.jobsRemoved) {
    expect(follower.jobs).toContain(jobId);
    const dropped = (proofs.get(jobId) ?? [])
      .map(({ hash }) => hash)
      .filter((hash) => follower.pool.has(hash));
    for (const hash of dropped) follower.pool.delete(hash);
    chain.forgetItems(dropped);
  }
  for (const { hash } of change.returned) {
    expect(follower.pool.has(hash)).toBe(false);
    follower.pool.add(hash);
  }
  for (const jobId of change.jobsAdded) expect(follower.jobs).not.toContain(jobId);
  const removed = new Set(change.jobsRemoved);
  follower.jobs = [...follower.jobs.filter((jobId) => !removed.has(jobId)), ...change.jobsAdded];
}

/** Genesis excluded, oldest first. */
function ancestry(blocks: readonly ForgedBlock[], tip: ForgedBlock): readonly ForgedBlock[] {
  if (tip === GENESIS) return [];
  const parent = blocks.find(({ hash }) => hash === tip.header.parent) ?? GENESIS;
  return [...ancestry(blocks, parent), tip];
}

/** The slow oracle: a chain that has never seen anything else. */
async function compareWithFresh(
  open: OpenChain,
  follower: Follower,
  known: Known,
  chain: readonly ForgedBlock[],
  tip: ForgedBlock,
): Promise<void> {
  const fresh = openChain(genesis);
  for (const block of chain) expect(await fresh.apply(block)).toEqual({ tag: "valid" });
  const { jobsAdded } = await fresh.adopt(tip.hash);
  expect(open.chain.snapshot(tip.header.ledgerRoot)).toEqual(fresh.chain.snapshot(tip.header.ledgerRoot));
  expect(new Set(follower.jobs)).toEqual(new Set(jobsAdded));
  for (const key of genesis.accounts.keys())
    expect(open.chain.account(key)).toEqual(fresh.chain.account(key));
  const fitting = new Set<Hash>();
  for (const pool of ["transaction", "snark"] as const) {
    const items = Array.from(known.values()).flatMap((entry) => (entry.pool === pool ? [entry.item] : []));
    const verdicts = await fresh.verify(pool, items);
    for (const [index, verdict] of verdicts.entries())
      if (verdict.tag === "valid") fitting.add(at(items, index).hash);
  }
  expect(follower.pool).toEqual(fitting);
  for (const hash of fitting) expect(open.chain.item(hash)).toEqual(known.get(hash)?.item.bytes);
}

/** When only the tip is left and the pool is empty, only the items of the tip are kept. */
async function forgetEverything(
  { chain }: OpenChain,
  { pool }: Follower,
  blocks: readonly ForgedBlock[],
  tip: ForgedBlock,
): Promise<void> {
  chain.forgetItems([...pool]);
  chain.forgetBlocks(blocks.map(({ hash }) => hash));
  expect(chain.keptItems).toBe(tip.items.length);
  expect(chain.keptBlocks).toBe(tip === GENESIS ? 1 : 2);
}
