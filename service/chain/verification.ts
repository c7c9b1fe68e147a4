import type { Commitment } from "../../core/block.ts";
import type { ItemVerdict } from "../../core/chain.ts";
import type { BatchId, Hash, PeerId } from "../../core/ids.ts";
import type { PoolName } from "../../core/pools.ts";
import type { Chain, ItemBytes } from "../../core/services.ts";
import { createSharedThread, type SharedThread } from "../shared-thread.ts";
import { checkCommitment, untimely } from "./commitment.ts";
import { type Content, checkContent, infoOf, refusalAt } from "./content.ts";
import { judgeHeaders } from "./header.ts";
import { isPending } from "./ledger.ts";
import type { Parts } from "./parts.ts";
import { type Checked, notNow, sound } from "./verdicts.ts";

type Verifying = Pick<Chain, "verifyItems" | "verifyAgain" | "forgetItems" | "verifyHeaders">;

/** A signature takes as long as hashing so much of a proof. */
const CHECK_COST_BYTES = 4_096;
/** Signatures in the thread pool: a millisecond or two of its four threads, so that none waits for this one. */
const CHECKS_AT_ONCE = 64;

/** Checks of items wait here for the turn of the peer who served them, or of the node itself, which is null. */
type Checks = SharedThread<PeerId | null>;

/**
 * First what the bytes prove, off the hot path; then, for all items at once, what the best tip has against them. A header
 * waits for nobody, as an applied block does: each is one signature, and what it lacks holds up the node.
 */
export function createVerification(parts: Parts): Verifying {
  const checks: Checks = createSharedThread({ elsewhereMax: CHECKS_AT_ONCE });
  return {
    verifyItems: (batchId, pool, given, peerId) => {
      const inTurns = inTurnsOf(checks, peerId);
      if (pool === "snark-job-commitment") void verifyCommitments(parts, inTurns, batchId, given);
      else void verifyContents(parts, inTurns, batchId, pool, given);
    },
    verifyAgain: (batchId, pool, hashes) => verifyKept(parts, batchId, pool, hashes),
    forgetItems: (hashes) => {
      for (const hash of hashes) parts.items.release(hash);
    },
    verifyHeaders: (checkId, headers) => {
      void judgeHeaders(parts.genesis, headers, parts.clock).then((verdict) =>
        parts.emitLater({ type: "event/headersVerified", checkId, verdict }),
      );
    },
  };
}

type InTurns = <R>(
  given: readonly ItemBytes[],
  check: (item: ItemBytes) => Promise<R>,
) => Promise<readonly R[]>;

/** All results in order; a check never rejects. */
const inTurnsOf =
  (checks: Checks, peerId: PeerId | null): InTurns =>
  <R>(given: readonly ItemBytes[], check: (item: ItemBytes) => Promise<R>) => {
    const one = (item: ItemBytes): Promise<R> =>
      new Promise((resolve) => {
        checks.add(peerId, CHECK_COST_BYTES + item.bytes.length, () => check(item).then(resolve));
      });
    return Promise.all(given.map(one));
  };

async function verifyContents(
  parts: Parts,
  inTurns: InTurns,
  batchId: BatchId,
  pool: "transaction" | "snark",
  given: readonly ItemBytes[],
): Promise<void> {
  const { genesis, items, emitLater } = parts;
  const checked = await inTurns(given, (item) =>
    checkContent(genesis, { ...item, pool, known: items.get(item.hash)?.content ?? null }),
  );
  const verdicts = checked.map(({ item, check }) => judgeItem(parts, item, check));
  emitLater({ type: "event/itemsVerified", batchId, verdicts });
}

/** Commitments are complete in themselves: nobody asks for their bytes, so none are kept. */
async function verifyCommitments(
  parts: Parts,
  inTurns: InTurns,
  batchId: BatchId,
  given: readonly ItemBytes[],
): Promise<void> {
  const checked = await inTurns(given, ({ bytes }) => checkCommitment(bytes));
  const verdicts = checked.map((check) => judgeCommitment(parts, check));
  parts.emitLater({ type: "event/itemsVerified", batchId, verdicts });
}

/** Never needed, as this chain always tells which items of a batch are valid; answered at once from what it keeps. */
function verifyKept(parts: Parts, batchId: BatchId, pool: PoolName, hashes: readonly Hash[]): void {
  const verdicts = hashes.map((hash) => {
    const item = parts.items.get(hash);
    return item?.content?.tag === pool
      ? judgeItem(parts, { hash, bytes: item.bytes }, sound(item.content))
      : notNow("the item is not kept");
  });
  parts.emitLater({ type: "event/itemsVerified", batchId, verdicts });
}

function judgeItem(
  { items, blocks }: Parts,
  { hash, bytes }: ItemBytes,
  check: Checked<Content>,
): ItemVerdict {
  if (check.tag === "invalid") return check;
  const refusal = refusalAt(blocks.best().ledger, check.value);
  if (refusal !== null) return notNow(refusal);
  items.hold({ hash, bytes }, check.value);
  return { tag: "valid", info: infoOf(check.value) };
}

function judgeCommitment({ blocks, clock }: Parts, check: Checked<Commitment>): ItemVerdict {
  if (check.tag === "invalid") return check;
  const refusal = untimely(check.value, clock());
  if (refusal !== null) return notNow(refusal);
  if (!isPending(blocks.best().ledger, check.value.jobId)) return notNow("the job is not pending");
  return { tag: "valid", info: check.value };
}
