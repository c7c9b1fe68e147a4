import type { SnarkInfo } from "../../core/block.ts";
import type { ItemRef, TransactionInfo } from "../../core/chain.ts";
import type { ItemBytes } from "../../core/services.ts";
import type { Genesis } from "./genesis.ts";
import { isPending, type Ledger } from "./ledger.ts";
import { refusalOf } from "./ledger-draft.ts";
import { inSlices } from "./slices.ts";
import { checkTransfer, type Payment, transactionInfo } from "./transfer.ts";
import { type Checked, invalid, sound } from "./verdicts.ts";
import { checkWork } from "./work.ts";

/** What the bytes of an item say, once every check that needs nothing but the item was passed. */
export type Content =
  | { readonly tag: "transaction"; readonly payment: Payment }
  | { readonly tag: "snark"; readonly snark: SnarkInfo };

/** An item to be checked, with its content if it was checked before: nothing is checked twice (P09). */
export interface Unchecked extends ItemBytes {
  readonly pool: ItemRef["pool"];
  readonly known: Content | null;
}

export interface CheckedItem {
  readonly item: Unchecked;
  readonly check: Checked<Content>;
}

/** Never rejects. */
export const checkContent = async (genesis: Genesis, item: Unchecked): Promise<CheckedItem> => ({
  item,
  check: await checkBytes(genesis, item),
});

/** Signatures in the thread pool, the rest in slices: a full block takes time, but nothing else waits for it. */
export const checkContents = (
  genesis: Genesis,
  items: Iterable<Unchecked>,
): Promise<readonly CheckedItem[]> => inSlices(items, (item) => checkContent(genesis, item));

/** What a ledger has against an item; null: the next block could include it. */
export function refusalAt(ledger: Ledger, content: Content): string | null {
  if (content.tag === "snark")
    return isPending(ledger, content.snark.jobId) ? null : "the job is not pending";
  return refusalOf(ledger.accounts.get(content.payment.from), content.payment);
}

export const infoOf = (content: Content): TransactionInfo | SnarkInfo =>
  content.tag === "snark" ? content.snark : transactionInfo(content.payment);

async function checkBytes(genesis: Genesis, { pool, known, ...item }: Unchecked): Promise<Checked<Content>> {
  if (known !== null) return known.tag === pool ? sound(known) : invalid(`not a ${pool} but a ${known.tag}`);
  if (pool === "snark") {
    const checked = checkWork(genesis, item);
    return checked.tag === "sound" ? sound({ tag: "snark", snark: checked.value }) : checked;
  }
  const checked = await checkTransfer(genesis.chainId, item);
  return checked.tag === "sound" ? sound({ tag: "transaction", payment: checked.value }) : checked;
}
