import { assert } from "../../core/assert.ts";
import type { SnarkInfo } from "../../core/block.ts";
import type { TipChange, TransactionInfo } from "../../core/chain.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { type AppliedBlock, type BlockTree, itemsOf, type Path } from "./blocks.ts";
import { type Content, infoOf, refusalAt } from "./content.ts";
import { isPending, type Ledger } from "./ledger.ts";
import type { Parts } from "./parts.ts";

/**
 * Makes an applied block the best tip. What is not valid after it leaves the pool and lies aside, with the items of
 * the blocks that are undone; what lies aside and is valid after it comes back, whoever drove it out. So the pool holds
 * all items that were ever in it, or in a block of the best chain, as far as they are valid at the tip - whatever way
 * led there.
 */
export function adopt(parts: Parts, hash: Hash): TipChange {
  const { blocks, aside } = parts;
  const [old, next] = [blocks.best(), blocks.applied(hash)];
  assert(next !== undefined, "the best tip is an applied block");
  const path = blocks.path(old.hash, hash);
  const included = new Set(path.done.flatMap(({ body }) => [...itemsOf(body)]));

  putUndone(parts, path);
  const removed = putInvalid(parts, path, old, next);
  const returned = takeBack(parts, path, next, included);
  aside.trim();
  blocks.adopt(hash);
  return {
    tip: { ...next.header, hash },
    extendsOld: path.undone.length === 0,
    removed,
    returned,
    jobsAdded: missingIn(old.ledger, next.ledger),
    jobsRemoved: missingIn(next.ledger, old.ledger),
    lockHeight: lockHeight(blocks, next),
  };
}

/** All of them for now: which are valid is found out with the others. */
function putUndone({ items, aside }: Parts, { undone }: Path): void {
  for (const { hash: block, body } of undone) {
    for (const hash of itemsOf(body)) if (items.get(hash)?.content) aside.put(hash, block);
  }
}

/**
 * A transaction that the chain drives out is not held any more. A snark stays until it is forgotten: that its job is
 * not pending says the change itself.
 */
function putInvalid(
  { items, aside }: Parts,
  path: Path,
  old: AppliedBlock,
  next: AppliedBlock,
): readonly Hash[] {
  const removed: Hash[] = [];
  for (const [hash, content] of items.held()) {
    const wasValid = refusalAt(old.ledger, content) === null;
    if (!wasValid || refusalAt(next.ledger, content) === null) continue;
    aside.put(hash, invalidSince(path, next, content));
    if (content.tag === "transaction") removed.push(hash);
  }
  for (const hash of removed) items.release(hash);
  return removed;
}

/** What the new chain includes does not lie aside: its block keeps it, and puts it there if it is undone. */
function takeBack(
  { items, aside }: Parts,
  path: Path,
  next: AppliedBlock,
  included: ReadonlySet<Hash>,
): readonly (TransactionInfo | SnarkInfo)[] {
  const returned: (TransactionInfo | SnarkInfo)[] = [];
  const undone = new Set(path.undone.map(({ hash }) => hash));
  for (const [hash, since] of aside.entries()) {
    const item = items.get(hash);
    if (item === undefined || item.content === null) continue;
    const { bytes, content } = item;
    if (refusalAt(next.ledger, content) === null) {
      items.hold({ hash, bytes }, content);
      returned.push(infoOf(content));
      aside.take(hash);
    } else if (included.has(hash)) {
      aside.take(hash);
    } else if (undone.has(since)) {
      aside.put(hash, invalidSince(path, next, content));
    }
  }
  return returned;
}

/** The first block of the new chain from which on the item is not valid any more. */
function invalidSince({ done }: Path, next: AppliedBlock, content: Content): Hash {
  let since = next.hash;
  for (const { hash, ledger } of done.toReversed()) {
    if (refusalAt(ledger, content) === null) break;
    since = hash;
  }
  return since;
}

/** Jobs that are pending in the second ledger and not in the first, oldest first. */
const missingIn = (first: Ledger, second: Ledger): readonly JobId[] =>
  Array.from(second.jobs.values()).filter((jobId) => !isPending(first, jobId));

/** Of a checkpoint that is not kept is known only that it is below everything that is. */
function lockHeight(blocks: BlockTree, tip: AppliedBlock): number {
  const lock = blocks.applied(tip.header.consensus.stakingLock);
  if (lock !== undefined) return lock.header.height;
  let lowest = tip.header.height;
  for (const { header } of blocks.chainOf(tip.hash)) lowest = header.height;
  return lowest;
}
