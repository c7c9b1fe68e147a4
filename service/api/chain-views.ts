import type { BlockBody, BlockHeader } from "../../core/block.ts";
import type { Hash } from "../../core/ids.ts";
import type { State } from "../../core/state.ts";
import type { EmbeddedChain } from "../chain/chain.ts";

/** The last `limit` headers of the best chain, from the tip down; fewer where what is below was not needed here. */
export function blocksView({ chain: { tip } }: State, chain: EmbeddedChain, limit: number) {
  const { hash, ...header } = tip;
  const blocks = [headerView(hash, header)];
  for (let parent = tip.parent; blocks.length < limit; ) {
    const block = chain.block(parent);
    if (block === undefined) break;
    blocks.push(headerView(parent, block.header));
    parent = block.header.parent;
  }
  return { blocks };
}

/** Undefined for a block that is not kept with its body; the best tip is shown without, if it came by a snapshot. */
export function blockView({ chain: { tip } }: State, chain: EmbeddedChain, hash: Hash) {
  const block = chain.block(hash);
  if (block !== undefined) return { ...headerView(hash, block.header), body: bodyView(block.body) };
  if (hash !== tip.hash) return undefined;
  const { hash: _hash, ...header } = tip;
  return { ...headerView(hash, header), body: null };
}

function headerView(hash: Hash, header: BlockHeader) {
  const { parent, height, slot, epoch, timestamp, creator, bodyRoot, ledgerRoot, consensus, signature } =
    header;
  return {
    hash,
    parent,
    height,
    slot,
    epoch,
    timestamp: timestamp.toString(),
    creator,
    bodyRoot,
    ledgerRoot,
    consensus,
    signature,
  };
}

const bodyView = ({ transactions, snarks }: BlockBody) => ({
  transactions,
  snarks: snarks.map(({ fee, ...snark }) => ({ ...snark, fee: fee.toString() })),
});
