import type { Hash } from "../core/ids.ts";
import type { ClusterObserver } from "./simulator.ts";

export interface Delivered {
  /** From the submission until a node that had to fetch the item has it in its pool, ms, shortest first. */
  readonly latenciesMs: readonly number[];
  /** Pairs of an item and a node that never got it. */
  readonly missing: number;
}

export interface Deliveries {
  readonly observer: ClusterObserver;
  readonly submitted: (hash: Hash, by: number, atMs: number) => void;
  readonly delivered: () => Delivered;
}

/** When submitted transactions come to the first so many nodes. */
export function createDeliveries(nodes: number): Deliveries {
  const submissions = new Map<Hash, { readonly atMs: number; readonly by: number }>();
  const gotMs = new Map<string, number>();
  return {
    observer: {
      after: ({ index }, _input, { state, actions }) => {
        if (index >= nodes) return;
        for (const action of actions) {
          if (action.type !== "fetch/conclude" || !state.pools.transaction.entries.has(action.hash)) continue;
          const key = `${index} ${action.hash}`;
          if (!gotMs.has(key)) gotMs.set(key, state.timeMs);
        }
      },
    },
    submitted: (hash, by, atMs) => {
      submissions.set(hash, { atMs, by });
    },
    delivered: () => {
      const latenciesMs: number[] = [];
      let missing = 0;
      for (const [hash, { atMs, by }] of submissions) {
        for (let node = 0; node < nodes; node++) {
          const got = gotMs.get(`${node} ${hash}`);
          if (got === undefined) missing += 1;
          else if (node !== by) latenciesMs.push(got - atMs);
        }
      }
      return { latenciesMs: latenciesMs.sort((a, b) => a - b), missing };
    },
  };
}

export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
