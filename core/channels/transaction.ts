import { hex, type Infer, option, refined, struct, u8, u32, u64, union, vec } from "../codec/schema.ts";
import type { Hash } from "../ids.ts";
import { INFOS_MAX, RATE_BURST } from "../limits.ts";
import { type Priority, prioritySchema } from "../priority.ts";
import type { Budget } from "./control.ts";

/** Where in a peer's log the next announcement begins; the epoch is random per process and pool (7.4). */
export const cursorSchema = struct({ epoch: u64, next: u64 });
export type Cursor = Infer<typeof cursorSchema>;

const windowSchema = struct({ seq: u32, floor: option(prioritySchema), band: option(prioritySchema) });
/** What the giver of a permit wants to be offered. */
export type PermitWindow = Infer<typeof windowSchema>;

export const transactionInfoSchema = struct({ hash: hex<Hash>(32), fee: u64, sender: hex(32), nonce: u32 });

export const transactionSchema = union({
  getNext: {
    limit: refined(u8, (limit) =>
      limit >= 1 && limit <= INFOS_MAX ? null : `limit ${limit} is not in 1..${INFOS_MAX}`,
    ),
    window: windowSchema,
    resume: option(cursorSchema),
  },
  refloor: { window: windowSchema },
  infos: {
    cursor: cursorSchema,
    seq: u32,
    rest: option(prioritySchema),
    items: vec(transactionInfoSchema, INFOS_MAX),
  },
});

export type TransactionMessage = Infer<typeof transactionSchema>;

/** Both directions of the channel with one peer. */
export interface TransactionChannel {
  readonly ours: OurPermit;
  readonly theirs: TheirPermit;
  /**
   * The greatest priority that we may lack from this peer, null if nothing is: it was offered, and fetching it
   * failed. The next windows ask for the band below it.
   */
  readonly high: Priority | null;
  /** The last band we asked for. */
  readonly lastBand: { readonly band: Priority; readonly atMs: number } | null;
  /** `seq` of the next window we give. */
  readonly nextSeq: number;
  /** Greatest `seq` the peer gave; -1 before its first. */
  readonly theirSeq: number;
  /** Index in our log before which everything was offered to this peer, as far as its floor allowed. */
  readonly cursor: number;
  /** Entries that this peer's permits may still make us pass over in vain; null before its first. */
  readonly scanBudget: Budget | null;
  /** Refloors the peer may still send at once (section 4, sending rates). */
  readonly refloorBudget: Budget;
}

/** The permit we gave: law 2 lets the next one out only from `idle`. */
export type OurPermit =
  | { readonly tag: "idle" }
  | {
      readonly tag: "permitGiven";
      readonly limit: number;
      readonly sinceMs: number;
      /** The windows given since the last Infos, oldest first: any of them may be answered. */
      readonly windows: readonly PermitWindow[];
    }
  /** What the last message announced and is not settled yet. */
  | { readonly tag: "processing"; readonly unsettled: readonly Hash[]; readonly sinceMs: number };

/** The permit we hold. */
export type TheirPermit =
  | { readonly tag: "none" }
  | { readonly tag: "open"; readonly limit: number; readonly window: PermitWindow };

export const freshTransaction = (timeMs: number): TransactionChannel => ({
  ours: { tag: "idle" },
  theirs: { tag: "none" },
  high: null,
  lastBand: null,
  nextSeq: 0,
  theirSeq: -1,
  cursor: 0,
  scanBudget: null,
  refloorBudget: { tokens: RATE_BURST, atMs: timeMs },
});

/** What the peer announced and is not settled yet: its next permit depends on it. */
export const unsettledOf = (channel: TransactionChannel | null): readonly Hash[] =>
  channel?.ours.tag === "processing" ? channel.ours.unsettled : [];
