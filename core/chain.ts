import type { Commitment, SnarkInfo, Tip } from "./block.ts";
import type { Hex } from "./bytes.ts";
import type { Hash, JobId } from "./ids.ts";

/**
 * What the core knows of a blockchain: hashes, an order of tips, and verdicts. Any chain that keeps the promises
 * written here and at `Chain` (services.ts) runs without a change in core, reducers or effects; fuzz/ has a second one.
 */

/**
 * What peers tell each other of a transaction before anybody fetches it (7.4). `sender` and `nonce` name the
 * slot in which only the transaction of the greatest priority stays; `fee` decides the priority (section 6).
 */
export interface TransactionInfo {
  readonly hash: Hash;
  readonly fee: bigint;
  readonly sender: Hex;
  readonly nonce: number;
}

/**
 * What a chain says of a transaction, a piece of SNARK work or a commitment.
 * - `valid`: passes every check; `info` is what the bytes themselves say.
 * - `invalid`: fails a check that needs nothing but the item - no clock, no tip. All its announcers are to blame.
 * - `notNow`: depends on the tip or the clock (nonce, balance, unknown job). Dropped silently, nobody is to blame.
 */
export type ItemVerdict =
  | { readonly tag: "valid"; readonly info: TransactionInfo | SnarkInfo | Commitment }
  | { readonly tag: "invalid"; readonly detail: string }
  | { readonly tag: "notNow"; readonly detail: string };

/** The same of headers and blocks: `notNow` is a slot in the future, or a parent that is not known. */
export type BlockVerdict =
  | { readonly tag: "valid" }
  | { readonly tag: "invalid"; readonly detail: string }
  | { readonly tag: "notNow"; readonly detail: string };

/** An item that a block refers to. */
export interface ItemRef {
  readonly pool: "transaction" | "snark";
  readonly hash: Hash;
}

/** What follows for the pools when another block becomes the best tip. */
export interface TipChange {
  readonly tip: Tip;
  /** The new tip is a descendant of the old one: nothing was undone. */
  readonly extendsOld: boolean;
  /** Transactions of the pool that the new blocks include, or that they make invalid. */
  readonly removed: readonly Hash[];
  /**
   * Still valid transactions of undone blocks, and those that undone blocks had made invalid: they come back into the
   * pool, and the chain has their bytes.
   */
  readonly returned: readonly (TransactionInfo | SnarkInfo)[];
  /** Proofs that are wanted from now on, oldest first, and those that are not any more. */
  readonly jobsAdded: readonly JobId[];
  readonly jobsRemoved: readonly JobId[];
  /** Height of the lock checkpoint: what is below it, and deep enough, may be forgotten. */
  readonly lockHeight: number;
}

/** What both sides of the interface have to agree on; the id of the chain covers it (section 2). */
export interface ChainParameters {
  readonly slotsPerEpoch: number;
  readonly gracePeriodEnd: number;
  /** Start of slot 0, ms since the Unix epoch. */
  readonly genesisMs: number;
  readonly slotMs: number;
  /** The first block, which every node has. */
  readonly genesis: Tip;
}
