import type { ChainEvent } from "../../core/actions.ts";
import type { Hex } from "../../core/bytes.ts";
import { fromHex } from "../../core/bytes.ts";
import type { TransactionVerdict } from "../../core/chain.ts";
import type { Hash } from "../../core/ids.ts";
import type { Chain, ItemBytes } from "../../core/services.ts";
import { isCanonicalOfLargeOrder, verifySignature } from "../ed25519.ts";
import type { Account, Genesis } from "./genesis.ts";
import { decodeTransfer, TRANSFER_VERSION, type Transfer, transferDigest, transferInfo } from "./transfer.ts";

export interface EmbeddedChain extends Chain {
  readonly chainId: Hex;
  account(key: Hex): Account | undefined;
  /** The bytes of a kept transaction. */
  transaction(hash: Hash): Uint8Array | undefined;
  readonly keptItems: number;
}

/**
 * The default chain: an account ledger in memory with ed25519-signed payments. It has no blocks yet, so the
 * ledger stays as the genesis block left it. Signatures are checked in the thread pool.
 */
export function createEmbeddedChain(genesis: Genesis, emit: (event: ChainEvent) => void): EmbeddedChain {
  const kept = new Map<Hash, Uint8Array>();
  const emitLater = (event: ChainEvent): void => {
    setImmediate(() => emit(event));
  };

  const verify = async ({ hash, bytes }: ItemBytes): Promise<TransactionVerdict> => {
    const verdict = await verdictOf(genesis, bytes);
    // A copy: the bytes are a view of the message they came in, which may be a hundred times as long.
    if (verdict.tag === "valid") kept.set(hash, bytes.slice());
    return verdict;
  };

  return {
    chainId: genesis.chainId,
    account: (key) => genesis.accounts.get(key),
    transaction: (hash) => kept.get(hash),
    get keptItems() {
      return kept.size;
    },
    verifyTransactions: (batchId, items) => {
      void Promise.all(items.map(verify)).then((verdicts) => {
        emitLater({ type: "event/transactionsVerified", batchId, verdicts });
      });
    },
    loadItems: (attemptId, rpcId, hashes) => {
      const items = hashes.map((hash) => kept.get(hash) ?? null);
      emitLater({ type: "event/itemsLoaded", attemptId, rpcId, items });
    },
    forgetItems: (hashes) => {
      for (const hash of hashes) kept.delete(hash);
    },
  };
}

/** First what the bytes alone prove, then what depends on the ledger and blames nobody. */
async function verdictOf({ chainId, accounts }: Genesis, bytes: Uint8Array): Promise<TransactionVerdict> {
  const decoded = decodeTransfer(bytes);
  if (decoded.tag === "failed") return invalid(`not a transfer: ${decoded.detail}`);
  const transfer = decoded.value;
  const malformed = malformation(transfer);
  if (malformed !== null) return invalid(malformed);
  if (!(await verifySignature(transfer.from, transferDigest(chainId, bytes), transfer.signature))) {
    return invalid("the signature is not the sender's for this chain");
  }
  const account = accounts.get(transfer.from);
  if (account === undefined) return notNow("the sender has no account");
  if (transfer.nonce <= account.nonce)
    return notNow(`nonce ${transfer.nonce} is used; the next is ${account.nonce + 1}`);
  if (transfer.amount + transfer.fee > account.balance) {
    return notNow(`amount and fee exceed the balance of ${account.balance}`);
  }
  return { tag: "valid", info: transferInfo(transfer, bytes) };
}

function malformation({ version, from, to }: Transfer): string | null {
  if (version !== TRANSFER_VERSION) return `version ${version} is not ${TRANSFER_VERSION}`;
  if (!isCanonicalOfLargeOrder(fromHex(from))) return "the sender is not an ed25519 key";
  if (!isCanonicalOfLargeOrder(fromHex(to))) return "the recipient is not an ed25519 key";
  return null;
}

const invalid = (detail: string): TransactionVerdict => ({ tag: "invalid", detail });
const notNow = (detail: string): TransactionVerdict => ({ tag: "notNow", detail });
