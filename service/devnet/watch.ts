import type { NodeStatus } from "../admin-client.ts";
import { AdminError } from "../admin-client.ts";
import { type DevnetNode, pause } from "./network.ts";
import type { Propagation } from "./propagation.ts";

/** What every node of a devnet said last. */
export interface Watch {
  /** In the order of the nodes; null before the first answer. */
  readonly statuses: () => readonly (NodeStatus | null)[];
  /** All pools held the same when last asked, and everything submitted is in all of them. */
  readonly isSettled: () => boolean;
}

/** Asks each node for its status and for what came into its pool, until the signal. */
export function startWatch(
  nodes: readonly DevnetNode[],
  propagation: Propagation,
  signal: AbortSignal,
): Watch {
  const statuses: (NodeStatus | null)[] = nodes.map(() => null);

  const watchOne = async (node: DevnetNode, index: number): Promise<void> => {
    let after = -1;
    while (!signal.aborted) {
      const startMs = performance.now();
      try {
        after = await readPool(node, index, after, propagation);
        statuses[index] = await node.client.status();
      } catch (error) {
        // A node that hangs is one that lacks transactions in the end; one that died is told by its process.
        if (!(error instanceof AdminError)) throw error;
      }
      const tookMs = performance.now() - startMs;
      await pause(Math.max(POLL_MS, Math.min(POLL_MS_MAX, tookMs * POLL_REST)), signal).catch(
        () => undefined,
      );
    }
  };
  for (const [index, node] of nodes.entries()) void watchOne(node, index);

  return {
    statuses: () => statuses,
    isSettled: () => propagation.open() === 0 && areEqual(statuses),
  };
}

export const areEqual = (statuses: readonly (NodeStatus | null)[]): boolean =>
  statuses[0] !== null &&
  statuses.every((status) => status?.pools.transactions.digest === statuses[0]?.pools.transactions.digest);

const POLL_MS = 250;
/** With large pools, nodes would otherwise spend most of their time on being watched. */
const POLL_REST = 4;
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
    const { transactions, next } = await client.transactions(PAGE, after);
    for (const { hash, addedMs, index: position } of transactions) {
      propagation.added(hash, index, addedMs);
      after = position;
    }
    if (next === null) return after;
  }
}
