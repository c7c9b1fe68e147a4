import {
  type BlockBody,
  type BlockHeader,
  bodyRoot,
  headerDigest,
  type Tip,
  tipOf,
  type UnsignedHeader,
} from "../../core/block.ts";
import type { Hash } from "../../core/ids.ts";
import { headerAfter, slotAt } from "../sim-consensus.ts";
import { type SimVerdict, signatureOf } from "../sim-items.ts";
import type { Line } from "./behaviour.ts";
import { randomHex } from "./messages.ts";

/** Blocks that nobody had the right to make. The simulated chain believes any signature of a header that calls itself valid. */

export const EMPTY_BODY: BlockBody = { transactions: [], snarks: [] };

export interface Forgery {
  readonly parent?: Tip;
  readonly verdict?: SimVerdict;
  readonly changes?: Partial<UnsignedHeader>;
}

/**
 * Better than the tip of the honest side, by its header; its ledger is another than its body makes. Liars know what
 * others have: a forgery that is not better would not even be looked at.
 */
export function forgedTip({ liar, to }: Line, forgery: Forgery = {}): Tip {
  const { random, identity, cluster } = liar;
  const { config } = liar.node().state;
  const { chain } = cluster.node(to).state;
  const { parent = chain.tip, verdict = "valid", changes = {} } = forgery;
  const made = {
    // Not after its parent's, if that is of this slot: what a header proves by itself does not depend on its parent.
    slot: slotAt(config.chain, cluster.clock.nowMs),
    creator: identity.publicKey,
    bodyRoot: bodyRoot(EMPTY_BODY),
    ledgerRoot: randomHex(random) as Hash,
  };
  const { signature: _signature, ...header } = headerAfter(config.chain, parent, made);
  const unsigned = { ...header, ...changes };
  return tipOf({ ...unsigned, signature: signatureOf(headerDigest(unsigned), verdict) });
}

export const headerOf = ({ hash: _hash, ...header }: Tip): BlockHeader => header;

/**
 * A branch that begins nowhere, so long that its ledger has to be streamed.
 *
 * @param ledgerRoot of all its blocks
 * @returns the highest block first
 */
export function forgedBranch(line: Line, length: number, ledgerRoot: Hash): readonly Tip[] {
  const { tip } = line.liar.cluster.node(line.to).state.chain;
  const { slot } = forgedTip(line);
  const branch: Tip[] = [];
  let parent = randomHex(line.liar.random) as Hash;
  for (let count = 1; count <= length; count++) {
    const height = tip.height + count;
    const block = forgedTip(line, { changes: { parent, height, ledgerRoot, slot } });
    branch.push(block);
    parent = block.hash;
  }
  return branch.reverse();
}
