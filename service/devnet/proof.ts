import { type AdminClient, AdminError, API_POOLS, type ApiPool, type NodeStatus } from "../admin-client.ts";
import { type DevnetNode, pause } from "./network.ts";

/** What all nodes said at about the same time; null for one that did not answer. */
export type Round = readonly (NodeStatus | null)[];

export const askAll = (nodes: readonly DevnetNode[]): Promise<Round> =>
  Promise.all(
    nodes.map(({ client }) =>
      client.status().catch((error: unknown) => {
        if (error instanceof AdminError) return null;
        throw error;
      }),
    ),
  );

/** The same block, and so the same chain down to the first one; and the same accounts after it. */
export const areTipsEqual = (round: Round): boolean =>
  allEqual(round, ({ bestTip }) => `${bestTip.hash} ${bestTip.ledgerRoot}`);

export const isPoolEqual = (round: Round, pool: ApiPool): boolean =>
  allEqual(round, ({ pools }) => pools[pool].digest);

export const arePoolsEqual = (round: Round): boolean => API_POOLS.every((pool) => isPoolEqual(round, pool));

function allEqual(round: Round, said: (status: NodeStatus) => string): boolean {
  const [first] = round;
  if (first === undefined) return false;
  return first !== null && round.every((status) => status !== null && said(status) === said(first));
}

/**
 * Waits until all nodes say the same, twice in a row: nothing is made any more, so what is equal stays so.
 * @param deadlineMs by `performance.now`, asked again and again: an impatient operator may bring it forward
 * @returns the last round, whether it is equal or not
 */
export async function untilEqual(
  nodes: readonly DevnetNode[],
  deadlineMs: () => number,
  signal: AbortSignal,
): Promise<Round> {
  let equalRounds = 0;
  for (;;) {
    const round = await askAll(nodes);
    equalRounds = areTipsEqual(round) && arePoolsEqual(round) ? equalRounds + 1 : 0;
    if (equalRounds === EQUAL_ROUNDS || performance.now() > deadlineMs()) return round;
    await pause(POLL_MS, signal);
  }
}

const EQUAL_ROUNDS = 2;
const POLL_MS = 300;
const PAGE = 1_000;

/** All hashes of a pool. */
export async function hashesIn(client: Pick<AdminClient, "pool">, pool: ApiPool): Promise<readonly string[]> {
  const hashes: string[] = [];
  for (let after = -1; ; ) {
    const { items, next } = await client.pool(pool, PAGE, after);
    hashes.push(...items.map(({ hash }) => hash));
    if (next === null) return hashes;
    after = next;
  }
}

/** What somebody has and a node lacks, for each pool that is not equal, in lines for people. */
export async function differences(nodes: readonly DevnetNode[], round: Round): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const pool of API_POOLS) {
    if (isPoolEqual(round, pool)) continue;
    const held = await Promise.all(nodes.map(({ client }) => hashesIn(client, pool).catch(() => [])));
    const all = new Set(held.flat());
    for (const [index, { name }] of nodes.entries()) {
      const own = new Set(held[index]);
      const lacking = [...all].filter((hash) => !own.has(hash));
      const shown = lacking.slice(0, SHOWN_MAX).map((hash) => hash.slice(0, SHOWN_CHARACTERS));
      const lacks = lacking.length === 0 ? "lacks none" : `lacks ${lacking.length} (${shown.join(", ")})`;
      lines.push(`${name}: ${own.size} ${pool}, ${lacks}`);
    }
  }
  return lines;
}

const SHOWN_MAX = 3;
const SHOWN_CHARACTERS = 8;
