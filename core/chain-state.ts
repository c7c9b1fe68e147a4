import type { Tip } from "./block.ts";
import type { ChainParameters } from "./chain.ts";
import type { Hash, JobId } from "./ids.ts";
import { SortedMap } from "./sorted-map.ts";

/** What a node knows of the chain: its best tip, the blocks it has applied, the proofs that are wanted. */
export interface ChainState {
  readonly tip: Tip;
  /** Applied blocks, from the tip down to what may be forgotten, on all branches. */
  readonly blocks: SortedMap<Hash, KnownBlock>;
  /** Proofs that are wanted, oldest first, under a number that grows. */
  readonly jobs: SortedMap<number, JobId>;
  /** The number of each. */
  readonly jobNumbers: SortedMap<JobId, number>;
  readonly nextJob: number;
}

export interface KnownBlock {
  readonly parent: Hash;
  readonly height: number;
}

export function genesisState({ genesis }: ChainParameters): ChainState {
  const { hash, parent, height } = genesis;
  return {
    tip: genesis,
    blocks: SortedMap.from([[hash, { parent, height }]]),
    jobs: SortedMap.empty(),
    jobNumbers: SortedMap.empty(),
    nextJob: 0,
  };
}
