import type { TransactionInfo, TransactionVerdict } from "../core/chain.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { hex, type Infer, refined, struct, u8, u32, u64 } from "../core/codec/schema.ts";
import { itemHash } from "../core/hash.ts";
import type { Hash } from "../core/ids.ts";
import { ITEM_BYTES_MAX } from "../core/limits.ts";
import type { Chain } from "../core/services.ts";
import type { Give, Later } from "./sim-host.ts";

/** A trivial second chain, independent of the real one: a transaction says itself what is to be thought of it. */
export const VERDICTS = ["valid", "invalid", "notNow"] as const;

const transactionSchema = struct({
  fee: u64,
  sender: hex(32),
  nonce: u32,
  verdict: refined(u8, (verdict) => (verdict < VERDICTS.length ? null : `verdict ${verdict} is unknown`)),
  salt: u32,
});
export type SimTransaction = Omit<Infer<typeof transactionSchema>, "verdict"> & {
  readonly verdict: (typeof VERDICTS)[number];
};

export const encodeTransaction = (transaction: SimTransaction): Uint8Array =>
  encode(transactionSchema, { ...transaction, verdict: VERDICTS.indexOf(transaction.verdict) });

/** What anybody who has the bytes knows of them: the oracle of the tests uses it too. */
export function judge(bytes: Uint8Array): TransactionVerdict {
  const decoded = decode(transactionSchema, bytes, ITEM_BYTES_MAX);
  if (decoded.tag === "failed") return { tag: "invalid", detail: decoded.detail };
  const { fee, sender, nonce, verdict } = decoded.value;
  const tag = VERDICTS[verdict] ?? "invalid";
  if (tag !== "valid") return { tag, detail: `the transaction says that it is ${tag}` };
  const info: TransactionInfo = { hash: itemHash(bytes) as Hash, fee, sender, nonce };
  return { tag, info };
}

export interface SimChain extends Chain {
  /** The bytes it keeps for those who ask: what is in the pool, once all verdicts are in. */
  readonly kept: ReadonlyMap<Hash, Uint8Array>;
  /** Every hash it ever judged. */
  readonly judged: ReadonlyMap<Hash, TransactionVerdict["tag"]>;
}

export function createChain(later: Later, give: Give): SimChain {
  const kept = new Map<Hash, Uint8Array>();
  const judged = new Map<Hash, TransactionVerdict["tag"]>();
  return {
    kept,
    judged,
    verifyTransactions: (batchId, items) => {
      const verdicts = items.map(({ bytes }) => judge(bytes));
      later(() => {
        for (const [index, { hash, bytes }] of items.entries()) {
          const tag = verdicts[index]?.tag ?? "invalid";
          judged.set(hash, tag);
          if (tag === "valid") kept.set(hash, bytes);
        }
        give({ type: "event/transactionsVerified", batchId, verdicts });
      });
    },
    loadItems: (attemptId, rpcId, hashes) => {
      later(() => {
        const items = hashes.map((hash) => kept.get(hash) ?? null);
        give({ type: "event/itemsLoaded", attemptId, rpcId, items });
      });
    },
    forgetItems: (hashes) => {
      for (const hash of hashes) kept.delete(hash);
    },
  };
}
