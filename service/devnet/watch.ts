import { AdminError, type NodeStatus } from "../admin-client.ts";
import type { ChainFollower } from "./chain-follower.ts";
import { type DevnetNode, pause } from "./network.ts";
import type { Propagation } from "./propagation.ts";

/** What every node of a devnet said last. */
export interface Watch {
  /** In the order of the nodes; null before the first answer. */
  readonly statuses: () => readonly (NodeStatus | null)[];
  /** Watches one more node, whose pool is not measured. */
  readonly add: (node: DevnetNode) => void;
  /** What came into the pool of this node is not read any more: it is another process from now on. */
  readonly stopMeasuring: (index: number) => void;
}

export interface WatchOptions {
  readonly nodes: readonly DevnetNode[];
  readonly propagation: Propagation;
  readonly follower: ChainFollower;
  readonly signal: AbortSignal;
}

/** Asks each node for its status and for what came into its pool, and the first one for new blocks, until the signal. */
export function startWatch({ nodes, propagation, follower, signal }: WatchOptions): Watch {
  const statuses: (NodeStatus | null)[] = [];
  const measured = new Set<number>(nodes.keys());
  let followedTip = "";

  const follow = async ({ client }: DevnetNode, { bestTip }: NodeStatus): Promise<void> => {
    if (bestTip.hash === followedTip) return;
    await follower.follow(client, bestTip.hash);
    followedTip = bestTip.hash;
  };

  const watchOne = async (node: DevnetNode, index: number): Promise<void> => {
    let after = -1;
    while (!signal.aborted) {
      const startMs = performance.now();
      try {
        if (measured.has(index)) after = await readPool(node, index, after, propagation);
        const status = await node.client.status();
        statuses[index] = status;
        if (index === 0) await follow(node, status);
      } catch (error) {
        // A node that hangs is one that differs in the end; one that died is told by its process.
        if (!(error instanceof AdminError)) throw error;
      }
      const tookMs = performance.now() - startMs;
      await pause(Math.max(POLL_MS, Math.min(POLL_MS_MAX, tookMs * POLL_REST)), signal).catch(
        () => undefined,
      );
    }
  };

  const begin = (node: DevnetNode): void => {
    const index = statuses.push(null) - 1;
    void watchOne(node, index);
  };
  for (const node of nodes) begin(node);

  return {
    statuses: () => statuses,
    add: begin,
    stopMeasuring: (index) => {
      measured.delete(index);
      propagation.exclude(index);
    },
  };
}

const POLL_MS = 400;
/** Nodes must not spend their time on being watched. */
const POLL_REST = 20;
const POLL_MS_MAX = 2_000;
const PAGE = 1_000;

/** @returns the index after which the next reading goes on */
async function readPool(
  { client }: DevnetNode,
  index: number,
  from: number,
  propagation: Propagation,
): Promise<number> {
  let after = from;
  for (;;) {
    const { items, next } = await client.pool("transactions", PAGE, after);
    for (const { hash, addedMs, index: position } of items) {
      propagation.added(hash, index, addedMs);
      after = position;
    }
    if (next === null) return after;
  }
}
