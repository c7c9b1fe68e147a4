import type { Commitment, SnarkInfo } from "../../core/block.ts";
import type { Hex } from "../../core/bytes.ts";
import type { TransactionInfo } from "../../core/chain.ts";
import type { Hash } from "../../core/ids.ts";
import type { PoolEntry, PoolLog } from "../../core/pool-log.ts";
import type { State } from "../../core/state.ts";
import { nonceAfterPool } from "../../reducers/status.ts";
import type { Account } from "../chain/genesis.ts";

/** Which part of a pool is wanted: at most `limit` entries, from the one after the log index `after`. */
export interface Page {
  readonly after: number;
  readonly limit: number;
}

interface Shown<View> {
  readonly views: readonly View[];
  /** Index of the last one shown; null at the end of the log. */
  readonly next: number | null;
}

function pageOf<Info, View>(
  { byIndex, entries }: PoolLog<Info>,
  { after, limit }: Page,
  view: (entry: PoolEntry<Info>) => View,
): Shown<View> {
  const views: View[] = [];
  let next: number | null = null;
  for (const hash of byIndex.values(after + 1)) {
    const entry = entries.get(hash);
    if (entry === undefined) continue;
    if (views.length === limit) return { views, next };
    views.push(view(entry));
    next = entry.index;
  }
  return { views, next: null };
}

export function transactionsView({ pools }: State, page: Page) {
  const { views, next } = pageOf(pools.transaction, page, transactionView);
  return { transactions: views, next };
}

export function snarksView({ pools }: State, page: Page) {
  const { views, next } = pageOf(pools.snark, page, snarkView);
  return { snarks: views, next };
}

export function commitmentsView({ pools }: State, page: Page) {
  const { views, next } = pageOf(pools["snark-job-commitment"], page, commitmentView);
  return { commitments: views, next };
}

type Placed = Pick<PoolEntry<unknown>, "index" | "addedMs">;

const transactionView = ({ info, ...placed }: PoolEntry<TransactionInfo>) => showTransaction(info, placed);

const showTransaction = (info: TransactionInfo, placed: Placed | null) => ({
  hash: info.hash,
  fee: info.fee.toString(),
  sender: info.sender,
  nonce: info.nonce,
  addedMs: placed?.addedMs ?? null,
  index: placed?.index ?? null,
});

const snarkView = ({ info, index, addedMs }: PoolEntry<SnarkInfo>) => ({
  hash: info.hash,
  jobId: info.jobId,
  fee: info.fee.toString(),
  prover: info.prover,
  addedMs,
  index,
});

const commitmentView = ({ hash, info, index, addedMs }: PoolEntry<Commitment>) => ({
  hash,
  jobId: info.jobId,
  fee: info.fee.toString(),
  snarker: info.snarker,
  issuedAt: info.issuedAt.toString(),
  addedMs,
  index,
});

/** Of the pool, or kept aside until that has room: then it has no index. Undefined: neither. */
export function knownTransaction({ pools, local }: State, hash: Hash) {
  const entry = pools.transaction.entries.get(hash);
  if (entry !== undefined) return transactionView(entry);
  const aside = local.get(hash);
  return aside !== undefined && "nonce" in aside ? showTransaction(aside, null) : undefined;
}

export function knownSnark({ pools }: State, hash: Hash) {
  const entry = pools.snark.entries.get(hash);
  return entry === undefined ? undefined : snarkView(entry);
}

export const accountView = (state: State, key: Hex, { balance, nonce }: Account) => ({
  key,
  balance: balance.toString(),
  nonce,
  nextNonce: Math.max(nonce + 1, nonceAfterPool(state.pools.transaction, key), nonceAfterAside(state, key)),
});

/** The same of what is kept aside. */
function nonceAfterAside({ local }: State, sender: Hex): number {
  let next = 0;
  for (const info of local.values()) {
    if ("nonce" in info && info.sender === sender) next = Math.max(next, info.nonce + 1);
  }
  return next;
}
