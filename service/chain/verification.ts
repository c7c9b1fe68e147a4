import type { Commitment } from "../../core/block.ts";
import type { ItemVerdict } from "../../core/chain.ts";
import type { BatchId, Hash } from "../../core/ids.ts";
import type { PoolName } from "../../core/pools.ts";
import type { Chain, ItemBytes } from "../../core/services.ts";
import { checkCommitment, untimely } from "./commitment.ts";
import { type Content, checkContents, infoOf, refusalAt } from "./content.ts";
import { judgeHeaders } from "./header.ts";
import { isPending } from "./ledger.ts";
import type { Parts } from "./parts.ts";
import { inSlices } from "./slices.ts";
import { type Checked, notNow, sound } from "./verdicts.ts";

type Verifying = Pick<Chain, "verifyItems" | "verifyAgain" | "forgetItems" | "verifyHeaders">;

/** First what the bytes prove, off the hot path; then, for all items at once, what the best tip has against them. */
export const createVerification = (parts: Parts): Verifying => ({
  verifyItems: (batchId, pool, given) => {
    if (pool === "snark-job-commitment") void verifyCommitments(parts, batchId, given);
    else void verifyContents(parts, batchId, pool, given);
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
});

async function verifyContents(
  parts: Parts,
  batchId: BatchId,
  pool: "transaction" | "snark",
  given: readonly ItemBytes[],
): Promise<void> {
  const { genesis, items, emitLater } = parts;
  const unchecked = given.map((item) => ({ ...item, pool, known: items.get(item.hash)?.content ?? null }));
  const checked = await checkContents(genesis, unchecked);
  const verdicts = checked.map(({ item, check }) => judgeItem(parts, item, check));
  emitLater({ type: "event/itemsVerified", batchId, verdicts });
}

/** Commitments are complete in themselves: nobody asks for their bytes, so none are kept. */
async function verifyCommitments(parts: Parts, batchId: BatchId, given: readonly ItemBytes[]): Promise<void> {
  const checked = await inSlices(given, ({ bytes }) => checkCommitment(bytes));
  const verdicts = checked.map((check) => judgeCommitment(parts, check));
  parts.emitLater({ type: "event/itemsVerified", batchId, verdicts });
}

/** This chain always tells which items of a batch are valid: there is nothing to ask again, but it answers. */
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
