import type { Hash } from "../../core/ids.ts";
import type { BlockTree } from "./blocks.ts";
import { ledgerBytes } from "./ledger.ts";

/** Encoded ledgers that are remembered: those of the tip and the lock checkpoint, before and after they change. */
const SNAPSHOTS_MAX = 4;

/** @returns the bytes of the ledger with this root, made on demand; null unless a kept block names it */
export function createSnapshots(blocks: BlockTree): (root: Hash) => Uint8Array | null {
  const made = new Map<Hash, Uint8Array>();
  return (root) => {
    const bytes = made.get(root) ?? encodeLedger(blocks, root);
    if (bytes === null) return null;
    // The one that was asked for last is forgotten last.
    made.delete(root);
    made.set(root, bytes);
    const [oldest] = made.keys();
    if (made.size > SNAPSHOTS_MAX && oldest !== undefined) made.delete(oldest);
    return bytes;
  };
}

function encodeLedger(blocks: BlockTree, root: Hash): Uint8Array | null {
  for (const { header, ledger } of blocks.allApplied()) {
    if (header.ledgerRoot === root) return ledgerBytes(ledger);
  }
  return null;
}
