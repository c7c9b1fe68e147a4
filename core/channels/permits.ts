import { type Commitment, commitmentSchema, type SnarkInfo, snarkInfoSchema } from "../block.ts";
import type { TransactionInfo } from "../chain.ts";
import type { Schema } from "../codec/schema.ts";
import { hex, type Infer, option, refined, struct, u8, u32, u64, union, vec } from "../codec/schema.ts";
import type { Hash } from "../ids.ts";
import { INFOS_MAX, RATE_BURST } from "../limits.ts";
import type { PoolInfo } from "../pools.ts";
import { type Priority, prioritySchema } from "../priority.ts";
import type { Question } from "../reconcile.ts";
import type { Budget } from "./control.ts";

/** What the channels transaction, snark and snark-job-commitment have in common: everything but their infos. */

/** Where in a peer's log the next announcement begins; the epoch is random per process and pool (7.4). */
export const cursorSchema = struct({ epoch: u64, next: u64 });
export type Cursor = Infer<typeof cursorSchema>;

const windowSchema = struct({ seq: u32, floor: option(prioritySchema), band: option(prioritySchema) });
/** What the giver of a permit wants to be offered. */
export type PermitWindow = Infer<typeof windowSchema>;

export const transactionInfoSchema = struct({ hash: hex<Hash>(32), fee: u64, sender: hex(32), nonce: u32 });

const poolSchema = <Info>(info: Schema<Info>) =>
  union({
    getNext: {
      limit: refined(u8, (limit) =>
        limit >= 1 && limit <= INFOS_MAX ? null : `limit ${limit} is not in 1..${INFOS_MAX}`,
      ),
      window: windowSchema,
      resume: option(cursorSchema),
    },
    refloor: { window: windowSchema },
    infos: { cursor: cursorSchema, seq: u32, rest: option(prioritySchema), items: vec(info, INFOS_MAX) },
  });

export const transactionSchema = poolSchema<TransactionInfo>(transactionInfoSchema);
export const snarkSchema = poolSchema<SnarkInfo>(snarkInfoSchema);
export const snarkJobCommitmentSchema = poolSchema<Commitment>(commitmentSchema);

export type PoolMessage =
  | {
      readonly tag: "getNext";
      readonly limit: number;
      readonly window: PermitWindow;
      readonly resume: Cursor | null;
    }
  | { readonly tag: "refloor"; readonly window: PermitWindow }
  | {
      readonly tag: "infos";
      readonly cursor: Cursor;
      readonly seq: number;
      readonly rest: Priority | null;
      readonly items: readonly PoolInfo[];
    };

/** Both directions of one pool's channel with one peer. */
export interface PermitChannel {
  readonly ours: OurPermit;
  readonly theirs: TheirPermit;
  /** What we may lack of what this peer has; see `Lack`. */
  readonly lack: Lack;
  /** Where in the peer's log everything before was settled here: given back after a reconnect. */
  readonly settled: Cursor | null;
  /** Once for each connection: a peer that keeps changing its epoch must not make us index our pool each time. */
  readonly hasReconciled: boolean;
  /** A cursor that the next GetNext moves the peer to. */
  readonly resume: Cursor | null;
  /** The last band we asked for. */
  readonly lastBand: { readonly band: Priority; readonly atMs: number } | null;
  /** When the last window was sent: Refloors keep a distance (section 4, sending rates). */
  readonly windowMs: number;
  /** `seq` of the next window we give. */
  readonly nextSeq: number;
  /** Greatest `seq` the peer gave; -1 before its first. */
  readonly theirSeq: number;
  /** Index in our log before which everything was offered to this peer, as far as its floor allowed. */
  readonly cursor: number;
  /**
   * What this peer announced since it last asked for a band, oldest first: it is not told of that again. A band means
   * that it may have lost some of it meanwhile.
   */
  readonly heard: readonly Hash[];
  /** Entries that this peer's permits may still cost us, in vain or in bands; null before its first. */
  readonly scanBudget: Budget | null;
  /** Refloors the peer may still send at once (section 4, sending rates). */
  readonly refloorBudget: Budget;
}

/**
 * `high` of 7.4: the greatest priority that we may lack from a peer. Everything above was served and settled. It is
 * the greater of what is written here and the highest floor our pool has had since `sinceMark` - so that a rise of
 * the floor costs nothing for each peer, and is never forgotten all the same.
 */
export interface Lack {
  readonly below: Priority | null;
  /** A mark of the pool's floor history (floors.ts): when the last answered window was sent. */
  readonly sinceMark: number;
}

/** The permit we gave: law 2 lets the next one out only from `idle`. */
export type OurPermit =
  | { readonly tag: "idle" }
  /** Withheld until a reconciliation has found out what we lack. */
  | { readonly tag: "reconciling"; readonly found: Reconciliation }
  | {
      readonly tag: "permitGiven";
      readonly limit: number;
      readonly sinceMs: number;
      /** The windows given since the last Infos, oldest first: any of them may be answered. */
      readonly windows: readonly GivenWindow[];
    }
  /** What the last message announced and is not settled yet. */
  | {
      readonly tag: "processing";
      readonly unsettled: readonly Hash[];
      readonly sinceMs: number;
      /** Where the peer's log stood after that message. */
      readonly cursor: Cursor;
      /** What was lacking before that message: still so, if the connection ends now. */
      readonly lackBefore: Lack;
      /** The infos are part of what a reconciliation has found to be lacking. */
      readonly found: Reconciliation | null;
    };

/** How far it is known what a peer has and we lack (7.7). */
export interface Reconciliation {
  readonly salt: bigint;
  readonly sinceMs: number;
  /** The mark of our floor history at its beginning. */
  readonly mark: number;
  /** Where the peer's log stood in the first round. */
  readonly cursor: Cursor | null;
  readonly questions: readonly Question[];
  readonly rounds: number;
  /** Short ids that we lack and have not asked the infos of. */
  readonly missing: readonly bigint[];
  /** Nothing was given up. */
  readonly isComplete: boolean;
}

export interface GivenWindow extends PermitWindow {
  /** The mark of our floor history when it was sent. */
  readonly mark: number;
}

/** The permit we hold. */
export type TheirPermit =
  | { readonly tag: "none" }
  | { readonly tag: "open"; readonly limit: number; readonly window: PermitWindow };

export const freshPermits = (timeMs: number, mark: number): PermitChannel => ({
  ours: { tag: "idle" },
  theirs: { tag: "none" },
  lack: { below: null, sinceMark: mark },
  settled: null,
  hasReconciled: false,
  resume: null,
  lastBand: null,
  windowMs: timeMs,
  nextSeq: 0,
  theirSeq: -1,
  cursor: 0,
  heard: [],
  scanBudget: null,
  refloorBudget: { tokens: RATE_BURST, atMs: timeMs },
});

/** What the peer announced and is not settled yet: its next permit depends on it. */
export const unsettledOf = (channel: PermitChannel | null): readonly Hash[] =>
  channel?.ours.tag === "processing" ? channel.ours.unsettled : [];
