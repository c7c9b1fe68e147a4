import { type Block, blockHash, bodyRoot, type SnarkInfo, type Tip } from "../../core/block.ts";
import type { BlockVerdict, ItemRef } from "../../core/chain.ts";
import { itemHash } from "../../core/hash.ts";
import type { Hash } from "../../core/ids.ts";
import type { ItemBytes } from "../../core/services.ts";
import { type AppliedBlock, itemsOf } from "./blocks.ts";
import { type Content, checkContents, type Unchecked } from "./content.ts";
import { supplyOf } from "./genesis.ts";
import { descentFault, headerFault, isSigned, NOT_SIGNED } from "./header.ts";
import { type Ledger, ledgerRoot, readLedger } from "./ledger.ts";
import { openDraft } from "./ledger-draft.ts";
import type { Parts } from "./parts.ts";
import { type Checked, invalid, notNow, sound, VALID } from "./verdicts.ts";

/** @returns what a block refers to and this node does not have */
export function prepare({ blocks, items }: Parts, hash: Hash, block: Block): readonly ItemRef[] {
  // An applied block without body takes its own one only: nothing checks it later.
  if (blocks.applied(hash) === undefined || hasItsBody(block)) blocks.prepare(hash, block);
  const missing = refsOf(block).filter((ref) => items.get(ref.hash) === undefined);
  return [...new Map(missing.map((ref) => [ref.hash, ref])).values()];
}

export function supply({ blocks, items }: Parts, hash: Hash, supplied: readonly ItemBytes[]): void {
  const wanted = itemsOf((blocks.prepared(hash) ?? blocks.applied(hash))?.body ?? null);
  for (const item of supplied) if (wanted.has(item.hash)) items.supply(item);
}

/**
 * Applies a prepared block to its applied parent, in the order of costs: what the header shows, signature and items
 * (off the hot path), and then the ledger. Trusts nobody: neither that the header nor that an item was checked before.
 */
export async function apply(parts: Parts, hash: Hash): Promise<BlockVerdict> {
  const { genesis, blocks } = parts;
  if (blocks.applied(hash) !== undefined) return VALID;
  const block = blocks.prepared(hash);
  if (block === undefined) return notNow("the block was not prepared, or was forgotten");
  const parent = blocks.applied(block.header.parent);
  if (parent === undefined) return notNow("the parent is not applied");
  const fault = blockFault(parts, hash, block, parent);
  if (fault !== null) return invalid(fault);
  const unchecked = withBytes(parts, block);
  const missing = refsOf(block).length - unchecked.length;
  if (missing > 0) return notNow(`${missing} items are missing`);
  if (!(await isSigned(genesis, block.header))) return invalid(NOT_SIGNED);
  const contents = await checkBody(parts, unchecked);
  if (contents.tag === "invalid") return contents;
  if (blocks.prepared(hash) === undefined && blocks.applied(hash) === undefined) {
    return notNow("the block was forgotten meanwhile");
  }
  const ledger = execute(parts, parent.ledger, block, contents.value);
  if (ledger.tag === "invalid") return ledger;
  if (ledgerRoot(ledger.value) !== block.header.ledgerRoot) {
    return invalid("the ledger root is not that of the ledger after the block");
  }
  blocks.add({ hash, ...block, ledger: ledger.value });
  return VALID;
}

/** Makes the tip an applied block without parent whose ledger was streamed to this node. */
export function applySnapshot(
  { genesis, blocks }: Parts,
  { hash, ...header }: Tip,
  bytes: Uint8Array | null,
): BlockVerdict {
  if (blocks.applied(hash) !== undefined) return VALID;
  if (bytes === null) return notNow("the ledger was not received");
  if (blockHash(header) !== hash) return invalid(NOT_ITS_HASH);
  if (itemHash(bytes) !== header.ledgerRoot) return invalid("the ledger root is not that of the snapshot");
  const ledger = readLedger(bytes, { pendingJobsMax: genesis.pendingJobsMax, supply: supplyOf(genesis) });
  if (ledger.tag === "invalid") return ledger;
  const block = blocks.prepared(hash);
  const body = block !== undefined && hasItsBody(block) ? block.body : null;
  blocks.add({ hash, header, body, ledger: ledger.value });
  return VALID;
}

function blockFault({ genesis }: Parts, hash: Hash, block: Block, parent: AppliedBlock): string | null {
  if (blockHash(block.header) !== hash) return NOT_ITS_HASH;
  const fault = headerFault(genesis, block.header) ?? descentFault(genesis, parent, block.header);
  if (fault !== null) return fault;
  return hasItsBody(block) ? null : "the body root is not that of the body";
}

const NOT_ITS_HASH = "the hash is not that of the header";

const hasItsBody = ({ header, body }: Block): boolean => bodyRoot(body) === header.bodyRoot;

const refsOf = ({ body }: Block): readonly ItemRef[] => [
  ...body.transactions.map((hash) => ({ pool: "transaction", hash }) as const),
  ...body.snarks.map(({ hash }) => ({ pool: "snark", hash }) as const),
];

const withBytes = ({ items }: Parts, block: Block): readonly Unchecked[] =>
  refsOf(block).flatMap((ref) => {
    const item = items.get(ref.hash);
    return item === undefined ? [] : [{ ...ref, bytes: item.bytes, known: item.content }];
  });

async function checkBody(
  { genesis, items }: Parts,
  unchecked: readonly Unchecked[],
): Promise<Checked<ReadonlyMap<Hash, Content>>> {
  const contents = new Map<Hash, Content>();
  for (const { item, check } of await checkContents(genesis, unchecked)) {
    const { pool, hash } = item;
    if (check.tag === "invalid") return invalid(`${pool} ${hash}: ${check.detail}`);
    items.learn(hash, check.value);
    contents.set(hash, check.value);
  }
  return sound(contents);
}

/** Snarks first: they are of older blocks, and make room for the jobs of the transactions. */
function execute(
  { genesis }: Parts,
  base: Ledger,
  { header, body }: Block,
  contents: ReadonlyMap<Hash, Content>,
): Checked<Ledger> {
  const draft = openDraft(base, header.creator, genesis.pendingJobsMax);
  for (const snark of body.snarks) {
    const content = contents.get(snark.hash);
    if (content?.tag !== "snark" || !isSameSnark(content.snark, snark)) {
      return invalid(`snark ${snark.hash}: the body says something else of it`);
    }
    const refusal = draft.takeSnark(snark);
    if (refusal !== null) return invalid(`snark ${snark.hash}: ${refusal}`);
  }
  for (const hash of body.transactions) {
    const content = contents.get(hash);
    if (content?.tag !== "transaction") return invalid(`transaction ${hash}: not a transaction`);
    const refusal = draft.pay(content.payment);
    if (refusal !== null) return invalid(`transaction ${hash}: ${refusal}`);
  }
  return sound(draft.finish());
}

const isSameSnark = (a: SnarkInfo, b: SnarkInfo): boolean =>
  a.hash === b.hash && a.jobId === b.jobId && a.fee === b.fee && a.prover === b.prover;
