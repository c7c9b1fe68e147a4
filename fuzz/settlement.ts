import type { Hash } from "../core/ids.ts";
import { RPC_TIMEOUT_MS, SETTLE_TIMEOUT_MS } from "../core/limits.ts";
import { entryFor, hashOf, type PoolInfo, type PoolName } from "../core/pools.ts";
import type { State } from "../core/state.ts";
import { isWanted } from "../reducers/pools.ts";
import type { Problems } from "./invariants.ts";

/** What one message announced to a node, and what its announcer did not serve of it. */
export interface Announced {
  readonly pool: PoolName;
  readonly infos: readonly PoolInfo[];
  readonly atMs: number;
  readonly failed: Set<Hash>;
}

/** Only what the node had a use for when it was announced has to be fetched before the next permit. */
export function announcedNow(
  state: State,
  { pool, infos }: { readonly pool: PoolName; readonly infos: readonly PoolInfo[] },
): Announced {
  const wanted = infos.filter((info) => isWanted(state, pool, entryFor(info, state.timeMs)));
  return { pool, infos: wanted, atMs: state.timeMs, failed: new Set() };
}

/**
 * Law 2: the next permit goes out when everything that the last message announced is in the pool or was dropped for
 * one of these reasons: something greater has its slot, the pool is full of greater ones, the chain has judged it, its
 * announcer did not serve it, or it took too long.
 */
export function unsettled(
  { pool, infos, atMs, failed }: Announced,
  asked: readonly { readonly hashes: readonly Hash[]; readonly atMs: number }[],
  state: State,
  judged: ReadonlyMap<Hash, { readonly atMs: number }>,
): Problems {
  const nowMs = state.timeMs;
  if (nowMs >= atMs + SETTLE_TIMEOUT_MS) return [];
  const isLate = (hash: Hash): boolean =>
    asked.some((request) => nowMs >= request.atMs + RPC_TIMEOUT_MS && request.hashes.includes(hash));
  return infos
    .filter((info) => {
      const hash = hashOf(info);
      const wasJudged = (judged.get(hash)?.atMs ?? Number.NEGATIVE_INFINITY) >= atMs;
      if (failed.has(hash) || wasJudged || isLate(hash)) return false;
      return isWanted(state, pool, entryFor(info, nowMs));
    })
    .map((info) => `GetNext on ${pool} while ${hashOf(info)} is neither in the pool nor settled`);
}
