import type { ItemVerdict } from "../core/chain.ts";
import type { BatchId, Hash } from "../core/ids.ts";
import { COMMITMENT_AGE_MAX_MS } from "../core/limits.ts";
import type { PoolName } from "../core/pools.ts";
import type { Chain } from "../core/services.ts";
import { POOL } from "./sim-adoption.ts";
import { type Reading, readItem } from "./sim-items.ts";
import { refusalAt } from "./sim-ledger.ts";
import { bestBlock, type Parts } from "./sim-parts.ts";

/** The simulated chain's opinion of items, and their bytes. */
type ItemService = Pick<Chain, "verifyItems" | "verifyAgain" | "loadItems" | "forgetItems">;

export const itemService = (parts: Parts): ItemService => ({
  verifyItems: (batchId, pool, items) => {
    for (const { hash, bytes } of items) {
      parts.pools.set(hash, pool);
      parts.store.claim(`batch ${batchId}`, hash, bytes);
    }
    const hashes = items.map(({ hash }) => hash);
    judge(parts, batchId, pool, hashes);
  },
  verifyAgain: (batchId, pool, hashes) => {
    for (const hash of hashes) {
      parts.store.claim(`batch ${batchId}`, hash);
      parts.store.release(HALVED, hash);
    }
    judge(parts, batchId, pool, hashes);
  },
  loadItems: (attemptId, rpcId, hashes) => {
    const { host, store } = parts;
    host.later(() => {
      host.give({ type: "event/itemsLoaded", attemptId, rpcId, items: hashes.map(store.bytesOf) });
    });
  },
  forgetItems: (hashes) => {
    for (const hash of hashes) parts.store.release(POOL, hash);
  },
});

/** Claimant of the items of a batch that was not valid as a whole, until each half of it is asked for. */
const HALVED = "halved";

/** By the tip of the moment at which the verdict is given: the core hears of tips and verdicts in the same order. */
function judge(parts: Parts, batchId: BatchId, pool: PoolName, hashes: readonly Hash[]): void {
  const { host, options, store, judged } = parts;
  host.later(() => {
    const verdicts = hashes.map((hash) =>
      verdictOf(parts, readItem(pool, store.bytesOf(hash) ?? new Uint8Array())),
    );
    const isSound = verdicts.every(({ tag }) => tag === "valid");
    const isHalved = options.isBatchOnly && hashes.length > 1 && !isSound;
    for (const [index, hash] of hashes.entries()) {
      const tag = verdicts[index]?.tag ?? "invalid";
      if (!isHalved) judged.set(hash, { tag, atMs: host.nowMs() });
      if (isHalved) store.claim(HALVED, hash);
      else if (tag === "valid") store.claim(POOL, hash);
    }
    store.releaseAll(`batch ${batchId}`);
    host.give({ type: "event/itemsVerified", batchId, verdicts: isHalved ? null : verdicts });
  });
}

function verdictOf(parts: Parts, { content, says }: Reading): ItemVerdict {
  if (content === null) return { tag: "invalid", detail: "not an item of this pool" };
  if (says !== "valid" && !parts.isGullible) return { tag: says, detail: `the item says that it is ${says}` };
  const detail = refusalAt(bestBlock(parts).ledger, content) ?? staleness(content.info, parts.host.nowMs());
  return detail === null ? { tag: "valid", info: content.info } : { tag: "notNow", detail };
}

/** The maker's clock may be ahead of ours. */
const AHEAD_MAX_MS = 60_000;

function staleness(info: object, nowMs: number): string | null {
  if (!("issuedAt" in info) || typeof info.issuedAt !== "bigint") return null;
  const ageMs = nowMs - Number(info.issuedAt);
  return ageMs >= -AHEAD_MAX_MS && ageMs < COMMITMENT_AGE_MAX_MS ? null : `issued ${ageMs} ms ago`;
}
