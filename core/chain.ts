import type { Hex } from "./bytes.ts";
import type { Hash } from "./ids.ts";

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
 * What a chain says of a transaction.
 * - `valid`: passes every check; `info` is what the bytes themselves say.
 * - `invalid`: fails a check that needs nothing but the item - no clock, no tip. All its announcers are to blame.
 * - `notNow`: depends on the tip or the clock (nonce, balance). Dropped silently, nobody is to blame.
 */
export type TransactionVerdict =
  | { readonly tag: "valid"; readonly info: TransactionInfo }
  | { readonly tag: "invalid"; readonly detail: string }
  | { readonly tag: "notNow"; readonly detail: string };
