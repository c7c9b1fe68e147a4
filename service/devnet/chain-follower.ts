import type { AdminClient } from "../admin-client.ts";

/** Reads the chain of a devnet as it grows: what is in it, and what of it will not be undone any more. */
export interface ChainFollower {
  /** Reads the blocks below this tip that are not known yet. */
  readonly follow: (client: Pick<AdminClient, "block">, tip: string) => Promise<void>;
  /** Transactions of the blocks from the last tip down to the last final block, without that one. */
  readonly unfinal: () => ReadonlySet<string>;
}

interface FollowerOptions {
  /** A transaction of a block of the best chain, seen for the first time. */
  readonly onIncluded: (hash: string) => void;
  /** One of a block that is FINAL_DEPTH deep, in the order of the chain. */
  readonly onFinal: (hash: string) => void;
  readonly finalDepth?: number;
}

interface FollowedBlock {
  readonly parent: string;
  readonly height: number;
  readonly transactions: readonly string[];
}

/** Nodes that are all connected never undo so much; less would be guessing, more only memory. */
const FINAL_DEPTH = 64;

export function createChainFollower({
  onIncluded,
  onFinal,
  finalDepth = FINAL_DEPTH,
}: FollowerOptions): ChainFollower {
  const blocks = new Map<string, FollowedBlock>();
  let last: string | undefined;
  let finalHeight = 0;

  /** From this block down to where all is final, the highest first. */
  function* branch(tip: string | undefined): Generator<readonly [string, FollowedBlock]> {
    for (let hash = tip; hash !== undefined; ) {
      const block = blocks.get(hash);
      if (block === undefined || block.height <= finalHeight) return;
      yield [hash, block];
      hash = block.parent;
    }
  }

  const read = async (client: Pick<AdminClient, "block">, tip: string): Promise<void> => {
    for (let hash = tip; !blocks.has(hash); ) {
      const { parent, height, body } = await client.block(hash);
      if (height <= finalHeight) return;
      const transactions = body?.transactions ?? [];
      blocks.set(hash, { parent, height, transactions });
      for (const transaction of transactions) onIncluded(transaction);
      hash = parent;
    }
  };

  const finalize = (tip: string): void => {
    const [, top] = [...branch(tip)][0] ?? [];
    if (top === undefined) return;
    const final = [...branch(tip)].filter(([, { height }]) => height <= top.height - finalDepth);
    for (const [, { transactions, height }] of final.reverse()) {
      for (const transaction of transactions) onFinal(transaction);
      finalHeight = height;
    }
    for (const [hash, { height }] of blocks) if (height <= finalHeight) blocks.delete(hash);
  };

  return {
    follow: async (client, tip) => {
      await read(client, tip);
      last = tip;
      finalize(tip);
    },
    unfinal: () => new Set([...branch(last)].flatMap(([, { transactions }]) => transactions)),
  };
}
