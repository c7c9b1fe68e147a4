import type { Hash } from "../core/ids.ts";

/**
 * The bytes that the simulated chain keeps, each as long as somebody claims it: the pool, a block, a batch that is not
 * judged yet, or what lies aside. A claim may come before the bytes.
 */
export interface Store {
  readonly bytesOf: (hash: Hash) => Uint8Array | null;
  /** With bytes: these are what the hash names. */
  readonly claim: (claimant: string, hash: Hash, bytes?: Uint8Array) => void;
  readonly release: (claimant: string, hash: Hash) => void;
  readonly releaseAll: (claimant: string) => void;
  readonly claimedBy: (claimant: string) => readonly Hash[];
  readonly isClaimedBy: (claimant: string, hash: Hash) => boolean;
  /** Takes bytes that somebody waits for. */
  readonly supply: (hash: Hash, bytes: Uint8Array) => void;
}

export function createStore(): Store {
  const bytesOf = new Map<Hash, Uint8Array>();
  const claims = new Map<Hash, Set<string>>();
  const claimed = new Map<string, Set<Hash>>();

  function release(claimant: string, hash: Hash): void {
    claimed.get(claimant)?.delete(hash);
    const claimants = claims.get(hash);
    claimants?.delete(claimant);
    if (claimants === undefined || claimants.size > 0) return;
    claims.delete(hash);
    bytesOf.delete(hash);
  }

  function supply(hash: Hash, bytes: Uint8Array): void {
    if (claims.has(hash) && !bytesOf.has(hash)) bytesOf.set(hash, bytes);
  }

  return {
    release,
    supply,
    bytesOf: (hash) => bytesOf.get(hash) ?? null,
    claim: (claimant, hash, bytes) => {
      added(claims, hash).add(claimant);
      added(claimed, claimant).add(hash);
      if (bytes !== undefined) supply(hash, bytes);
    },
    releaseAll: (claimant) => {
      for (const hash of [...(claimed.get(claimant) ?? [])]) release(claimant, hash);
      claimed.delete(claimant);
    },
    claimedBy: (claimant) => [...(claimed.get(claimant) ?? [])],
    isClaimedBy: (claimant, hash) => claimed.get(claimant)?.has(hash) ?? false,
  };
}

function added<Key, Value>(sets: Map<Key, Set<Value>>, key: Key): Set<Value> {
  const known = sets.get(key);
  if (known !== undefined) return known;
  const set = new Set<Value>();
  sets.set(key, set);
  return set;
}
