import type { Tip } from "./block.ts";
import type { ItemRef } from "./chain.ts";
import type { CheckId, Hash, PeerId } from "./ids.ts";
import { SortedMap } from "./sorted-map.ts";

/** What stands between the best tip that others announced and our own (7.3). */
export interface Sync {
  readonly nextCheckId: number;
  /** The announced tip that we try to make ours: one at a time. */
  readonly pursuit: Pursuit | null;
  /** The block that the chain is applying, also if the pursuit that wanted it has ended. */
  readonly applying: (PathBlock & { readonly height: number }) | null;
  /** The applied block that the chain is making its best tip. */
  readonly adopting: Hash | null;
  /** Made here while the chain was adopting another tip: compared with that one afterwards. */
  readonly produced: Tip | null;
  /** The last tips that were ours until another branch was better: not gone back to, in case they form a circle. */
  readonly left: readonly Hash[];
  /** Blocks below this height may be forgotten. */
  readonly keptHeight: number;
  /** Tips of live peers that could not be had. */
  readonly givenUp: SortedMap<Hash, GivenUp>;
  /** Blocks against the rules of the chain, with numbers that grow: the oldest makes room for a new one. */
  readonly invalid: SortedMap<Hash, number>;
}

export interface GivenUp {
  readonly failures: number;
  /** No new try before this time. */
  readonly untilMs: number;
}

export interface Pursuit {
  readonly tip: Tip;
  /** Height of our best tip at its start; of the block that both have in common once that is found. */
  readonly fromHeight: number;
  /** Blocks applied so far. */
  readonly applied: number;
  /** When it last came nearer to its end. */
  readonly progressMs: number;
  /** Peers that answered Busy, and when they may be asked again. */
  readonly busy: SortedMap<PeerId, number>;
  readonly stage: Stage;
}

export type Stage =
  /** The chain checks what the announced header proves by itself. */
  | { readonly tag: "checking"; readonly checkId: CheckId }
  | HeadersStage
  | SnapshotStage
  | BlocksStage
  /** All of it is applied: it is to become our best tip. */
  | { readonly tag: "applied" };

/** From the tip down to a block that we have. */
export interface HeadersStage {
  readonly tag: "headers";
  /** Of blocks that we do not have, by height, without a gap, the announced one on top. */
  readonly path: Path;
  /** The header at SNAPSHOT_DEPTH, or the lowest so far. */
  readonly anchor: Tip;
  /** The headers that came last are being checked by the chain; null: more are asked for. */
  readonly checking: { readonly checkId: CheckId; readonly outcome: WalkOutcome } | null;
  /** Peers that did not answer for the next headers. */
  readonly failed: readonly PeerId[];
}

/** Where the headers lead: further down, to a block that we have, or so deep that a snapshot takes less. */
export type WalkOutcome = "goOn" | "known" | "tooDeep";

/** The ledger of an ancestor is streamed: without it nothing can be applied. */
export interface SnapshotStage {
  readonly tag: "snapshot";
  readonly anchor: Tip;
  /** What is above it. */
  readonly path: Path;
  /** Chunks that have been stored so far. */
  readonly stored: number;
  /** The ledger is here and the chain is checking it. */
  readonly isFetched: boolean;
}

export interface BlocksStage {
  readonly tag: "blocks";
  /** Those to be applied, by height, without a gap; only the SYNC_AHEAD_MAX lowest are more than wanted. */
  readonly blocks: SortedMap<number, SyncBlock>;
}

export interface PathBlock {
  readonly hash: Hash;
  readonly parent: Hash;
}

export type Path = SortedMap<number, PathBlock>;

export interface SyncBlock extends PathBlock {
  /** Peers that did not serve what is wanted of it now: its body, or its items. */
  readonly failed: readonly PeerId[];
  readonly body:
    | { readonly tag: "wanted" }
    /** The chain looks up which items it does not have. */
    | { readonly tag: "preparing" }
    | {
        readonly tag: "lacking";
        readonly missing: SortedMap<Hash, ItemRef["pool"]>;
        /** How many were missing when that last counted as progress. */
        readonly counted: number;
      }
    | { readonly tag: "complete" };
}

export const freshSync: Sync = {
  nextCheckId: 1,
  pursuit: null,
  applying: null,
  adopting: null,
  produced: null,
  left: [],
  keptHeight: 0,
  givenUp: SortedMap.empty(),
  invalid: SortedMap.empty(),
};
