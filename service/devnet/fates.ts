/**
 * What became of every transaction that was submitted. It is done if it is in all pools, in the chain, or if the
 * chain has made it invalid: a block has a greater nonce of its sender. Holds what is not in a final block yet, and of
 * the rest only counts.
 */
export interface Fates {
  readonly submitted: (submission: Submission) => void;
  /** In a block so deep that it will not be undone. */
  readonly finalized: (hash: string) => void;
  /** In final blocks so far. */
  readonly included: () => number;
  /** @param world what the nodes, which agree by now, have said */
  readonly conclude: (world: World) => FateCounts;
}

export interface Submission {
  readonly hash: string;
  /** Public key. */
  readonly sender: string;
  readonly nonce: number;
}

/** Where a submitted transaction may be. */
export interface World {
  readonly pool: ReadonlySet<string>;
  /** Transactions of the blocks that are not final. */
  readonly chain: ReadonlySet<string>;
  /** The last applied nonce of each sender. */
  readonly nonces: ReadonlyMap<string, number>;
}

export interface FateCounts {
  readonly everywhere: number;
  readonly included: number;
  readonly invalidated: number;
  /** None of these: refused, lost, or kept aside by a node whose pool is full. */
  readonly others: readonly string[];
}

export function createFates(): Fates {
  const open = new Map<string, Submission>();
  /** By sender, what is open under each nonce. */
  const queues = new Map<string, Map<number, string>>();
  let included = 0;
  let invalidated = 0;

  const close = ({ hash, sender, nonce }: Submission): void => {
    open.delete(hash);
    queues.get(sender)?.delete(nonce);
  };

  return {
    submitted: (submission) => {
      const { hash, sender, nonce } = submission;
      open.set(hash, submission);
      const queue = queues.get(sender) ?? new Map<number, string>();
      queues.set(sender, queue.set(nonce, hash));
    },
    finalized: (hash) => {
      const submission = open.get(hash);
      if (submission === undefined) return;
      close(submission);
      included += 1;
      for (const [nonce, overtaken] of queues.get(submission.sender) ?? []) {
        if (nonce > submission.nonce) continue;
        close({ ...submission, hash: overtaken, nonce });
        invalidated += 1;
      }
    },
    included: () => included,
    conclude: ({ pool, chain, nonces }) => {
      const counts = { everywhere: 0, included, invalidated, others: [] as string[] };
      for (const { hash, sender, nonce } of open.values()) {
        if (chain.has(hash)) counts.included += 1;
        else if (pool.has(hash)) counts.everywhere += 1;
        else if (nonce <= (nonces.get(sender) ?? 0)) counts.invalidated += 1;
        else counts.others.push(hash);
      }
      return counts;
    },
  };
}
