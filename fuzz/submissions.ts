import type { RequestId } from "../core/ids.ts";
import { hashOf, type PoolInfo } from "../core/pools.ts";
import { encodeTransaction, readItem, type SimTransaction } from "./sim-items.ts";
import type { Cluster, ClusterObserver } from "./simulator.ts";

/** A transaction that was handed to a process. */
export interface Submitted {
  readonly node: number;
  readonly life: number;
  readonly requestId: RequestId;
  readonly info: PoolInfo;
  /** A block of the process's best chain has included it or made it invalid. */
  wasSpent: boolean;
}

/** Everything that was submitted in a run, and what became of it. */
export interface Submissions {
  readonly all: readonly Submitted[];
  readonly observer: ClusterObserver;
  readonly submit: (cluster: Cluster, node: number, transaction: SimTransaction) => void;
}

export function createSubmissions(): Submissions {
  const all: Submitted[] = [];
  return {
    all,
    observer: {
      after: ({ index, life }, _input, { actions }) => {
        for (const action of actions) {
          if (action.type !== "pool/followTip") continue;
          const removed = new Set(action.change.removed);
          for (const one of all) {
            if (one.node === index && one.life === life && removed.has(hashOf(one.info))) one.wasSpent = true;
          }
        }
      },
    },
    submit: (cluster, node, transaction) => {
      const { requestId } = cluster.submit(node, transaction);
      const info = readItem("transaction", encodeTransaction(transaction)).content?.info;
      const { life } = cluster.node(node);
      if (info !== undefined) all.push({ node, life, requestId, info, wasSpent: false });
    },
  };
}
