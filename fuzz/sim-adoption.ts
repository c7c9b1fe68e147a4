import { assert } from "../core/assert.ts";
import type { SnarkInfo } from "../core/block.ts";
import type { TipChange, TransactionInfo } from "../core/chain.ts";
import type { Hash, JobId } from "../core/ids.ts";
import { type Ledger, refusalAt } from "./sim-ledger.ts";
import { bestBlock, contentOf, type Parts } from "./sim-parts.ts";
import { chainOf, itemsOf, pathBetween } from "./sim-tree.ts";

/** Claimants of the store: what the pool may hold, and what it held until a block came and may hold again. */
export const POOL = "pool";
const ASIDE = "aside";

/**
 * The change from the best tip to another, and what it does to the store. What was valid and is not any more lies
 * aside, with the items of undone blocks; whatever lies aside and is valid comes back.
 */
export function adopt(parts: Parts, to: Hash): TipChange {
  const { tree, store } = parts;
  const [old, next] = [bestBlock(parts), tree.get(to)];
  assert(next !== undefined, "the new tip is an applied block that is kept");
  const { undone, done } = pathBetween(tree, parts.best, to);
  const isValid = (hash: Hash): boolean => {
    const content = contentOf(parts, hash);
    return content !== null && refusalAt(next.ledger, content) === null;
  };
  for (const { body } of undone) for (const hash of itemsOf(body)) store.claim(ASIDE, hash);
  const removed: Hash[] = [];
  for (const hash of store.claimedBy(POOL)) {
    const tag = contentOf(parts, hash)?.tag;
    if (tag === "commitment" || isValid(hash)) continue;
    store.claim(ASIDE, hash);
    if (tag !== "transaction") continue;
    removed.push(hash);
    store.release(POOL, hash);
  }
  const returned: (TransactionInfo | SnarkInfo)[] = [];
  for (const hash of store.claimedBy(ASIDE).filter(isValid)) {
    const content = contentOf(parts, hash);
    if (content === null || content.tag === "commitment") continue;
    returned.push(content.info);
    store.claim(POOL, hash);
    store.release(ASIDE, hash);
  }
  // Of what a block of the new chain has the block keeps the bytes, and puts it back here if it is undone.
  for (const { body } of done) for (const hash of itemsOf(body)) store.release(ASIDE, hash);
  const lock = tree.get(next.tip.consensus.stakingLock);
  const lowest = chainOf(tree, to).at(-1);
  return {
    tip: next.tip,
    extendsOld: undone.length === 0,
    removed,
    returned,
    jobsAdded: missingIn(old.ledger, next.ledger),
    jobsRemoved: missingIn(next.ledger, old.ledger),
    lockHeight: lock?.ledger.height ?? lowest?.ledger.height ?? 0,
  };
}

/** Jobs of the second ledger that the first does not have, oldest first. */
const missingIn = (first: Ledger, second: Ledger): readonly JobId[] =>
  [...second.jobs].filter((jobId) => !first.jobs.has(jobId));
