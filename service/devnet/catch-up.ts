import { AdminError, API_POOLS, type NodeStatus } from "../admin-client.ts";
import { type DevnetNode, pause } from "./network.ts";

/** What it took a node that came later to have what the others have. */
export interface CaughtUp {
  /** From the time it could be reached. */
  readonly ms: number;
  /** Received from its peers. */
  readonly bytes: number;
  /** Its height then: a node starts without any block. */
  readonly blocks: number;
}

/**
 * Waits until a node is at the height of the others and its pools are as full as theirs. That it holds the very same is
 * proved at the end, when nothing moves any more.
 *
 * @param others what the others said last
 */
export async function measureCatchUp(
  { client }: Pick<DevnetNode, "client">,
  others: () => readonly NodeStatus[],
  signal: AbortSignal,
): Promise<CaughtUp> {
  const startMs = performance.now();
  for (;;) {
    try {
      const status = await client.status();
      if (hasCaughtUp(status, others())) {
        const ms = Math.round(performance.now() - startMs);
        const peers = await client.peers();
        const bytes = peers.reduce((sum, { bytesIn }) => sum + bytesIn, 0);
        return { ms, bytes, blocks: status.bestTip.height };
      }
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
    }
    await pause(POLL_MS, signal);
  }
}

const POLL_MS = 200;
/** The pools of the others are a moment old, and move. */
const POOL_SHARE = 0.95;

function hasCaughtUp(status: NodeStatus, others: readonly NodeStatus[]): boolean {
  if (others.length === 0 || status.peers.connected === 0 || status.sync !== null) return false;
  if (others.some(({ bestTip }) => bestTip.height > status.bestTip.height)) return false;
  return API_POOLS.every((pool) => {
    const least = Math.min(...others.map(({ pools }) => pools[pool].size));
    return status.pools[pool].size >= POOL_SHARE * least;
  });
}

/** The slowest and the most, of several. */
export const worstOf = (all: readonly CaughtUp[]): CaughtUp | null =>
  all.length === 0
    ? null
    : {
        ms: Math.max(...all.map(({ ms }) => ms)),
        bytes: Math.max(...all.map(({ bytes }) => bytes)),
        blocks: Math.max(...all.map(({ blocks }) => blocks)),
      };
