import { type BlockBody, type BlockHeader, blockHash, bodyRoot, headerDigest } from "../../core/block.ts";
import { toHex } from "../../core/bytes.ts";
import type { Hash } from "../../core/ids.ts";
import { sign } from "../ed25519.ts";
import { type AppliedBlock, itemsOf } from "./blocks.ts";
import { choosePayments, chooseSnarks, withoutOvertaking } from "./choice.ts";
import type { Content } from "./content.ts";
import type { Genesis } from "./genesis.ts";
import { headerAfter } from "./header.ts";
import { type Ledger, ledgerRoot } from "./ledger.ts";
import { openDraft } from "./ledger-draft.ts";
import { mayProduce } from "./lottery.ts";
import type { Parts, Producer } from "./parts.ts";

/** What a producer would like to include, the most important first; only hashes of checked items count. */
export interface Offered {
  readonly transactions: readonly Hash[];
  readonly snarks: readonly Hash[];
}

/** @returns the header of the block, which is applied by then; null: this node may not, or has not the parent */
export async function produce(
  parts: Parts,
  parentHash: Hash,
  slot: number,
  offered: Offered,
): Promise<BlockHeader | null> {
  const { genesis, blocks, items, account } = parts;
  const parent = blocks.applied(parentHash);
  if (account === null || parent === undefined || slot <= parent.header.slot) return null;
  if (!mayProduce(genesis, slot, account.publicKey)) return null;
  const { body, ledger } = fill(parts, parent, account, offered);
  const pinned = itemsOf(body);
  items.pin(pinned);
  const header = await signHeader(genesis, parent, slot, account, bodyRoot(body), ledgerRoot(ledger));
  blocks.add({ hash: blockHash(header), header, body, ledger });
  items.unpin(pinned);
  return header;
}

async function signHeader(
  genesis: Genesis,
  parent: AppliedBlock,
  slot: number,
  { key, publicKey }: Producer,
  body: string,
  ledger: Hash,
): Promise<BlockHeader> {
  const derived = headerAfter(genesis, parent, slot, publicKey);
  const unsigned = { ...derived, bodyRoot: body, ledgerRoot: ledger };
  return { ...unsigned, signature: toHex(await sign(key, headerDigest(unsigned))) };
}

/** So long a producer waits for the nonce before one that it has. */
const NONCE_PATIENCE_MS = 10_000;

/** Snarks first: they make room for the jobs of the transactions. */
function fill(
  { genesis, items, clock }: Parts,
  parent: AppliedBlock,
  { publicKey }: Producer,
  offered: Offered,
): { readonly body: BlockBody; readonly ledger: Ledger } {
  const contentsOf = (hashes: readonly Hash[]): readonly Content[] =>
    hashes.flatMap((hash) => items.get(hash)?.content ?? []);
  const { pendingJobsMax } = genesis;
  const draft = openDraft(parent.ledger, publicKey, pendingJobsMax);
  const snarks = chooseSnarks(
    draft,
    contentsOf(offered.snarks).flatMap((content) => (content.tag === "snark" ? [content.snark] : [])),
  );
  const given = contentsOf(offered.transactions).flatMap((content) =>
    content.tag === "transaction" ? [content.payment] : [],
  );
  const waitedSinceMs = clock() - NONCE_PATIENCE_MS;
  const inOrder = withoutOvertaking(
    draft,
    given,
    ({ hash }) => (items.heldSinceMs(hash) ?? 0) <= waitedSinceMs,
  );
  const payments = choosePayments(draft, inOrder, pendingJobsMax);
  return { body: { transactions: payments.map(({ hash }) => hash), snarks }, ledger: draft.finish() };
}
