import type { SnarkInfo } from "../../core/block.ts";
import type { Hex } from "../../core/bytes.ts";
import { BLOCK_SNARKS_MAX, BLOCK_TRANSACTIONS_MAX } from "../../core/limits.ts";
import type { LedgerDraft } from "./ledger-draft.ts";
import type { Payment } from "./transfer.ts";

/** Takes proofs into the draft as long as they are wanted, affordable and few enough. @param given the best first */
export function chooseSnarks(draft: LedgerDraft, given: readonly SnarkInfo[]): readonly SnarkInfo[] {
  const chosen: SnarkInfo[] = [];
  for (const snark of given) {
    if (chosen.length === BLOCK_SNARKS_MAX) break;
    if (draft.takeSnark(snark) === null) chosen.push(snark);
  }
  return chosen;
}

/**
 * Takes payments into the draft: the most important ones that their senders can afford by themselves, each sender's
 * in the order of nonces - an applied nonce would invalidate the lower ones -, and then those for which this block
 * brings the money, as far as one look at each finds them.
 * @param given the most important first
 */
export function choosePayments(
  draft: LedgerDraft,
  given: readonly Payment[],
  pendingJobsMax: number,
): readonly Payment[] {
  const room = Math.min(BLOCK_TRANSACTIONS_MAX, pendingJobsMax - draft.pendingJobs);
  const affordable = chooseAffordable(draft, given);
  const chosen = [...inNonceOrder(affordable), ...given.filter((payment) => !affordable.has(payment))];
  const taken: Payment[] = [];
  for (const payment of chosen) {
    if (taken.length >= room) break;
    if (draft.pay(payment) === null) taken.push(payment);
  }
  return taken;
}

/**
 * Leaves out a payment whose sender's payment before it is still to come, and those after it: nonces may have gaps,
 * but a block with the higher nonce makes a lower one that is on its way invalid.
 * @param given the most important first, also of what is returned
 * @param hasWaited nobody expects the payment before it any more
 */
export function withoutOvertaking(
  draft: LedgerDraft,
  given: readonly Payment[],
  hasWaited: (payment: Payment) => boolean,
): readonly Payment[] {
  const kept = new Set<Payment>();
  const nextNonces = new Map<Hex, number>();
  for (const payment of [...given].sort((a, b) => a.nonce - b.nonce)) {
    const { from, nonce } = payment;
    const next = nextNonces.get(from) ?? (draft.account(from)?.nonce ?? 0) + 1;
    if (nonce > next && !hasWaited(payment)) continue;
    kept.add(payment);
    nextNonces.set(from, Math.max(next, nonce + 1));
  }
  return given.filter((payment) => kept.has(payment));
}

/** In the order of importance. What a sender spends must be there before the block: then every order is possible. */
function chooseAffordable(draft: LedgerDraft, given: readonly Payment[]): ReadonlySet<Payment> {
  const chosen = new Set<Payment>();
  const senders = new Map<Hex, { left: bigint; readonly nonces: Set<number> }>();
  for (const payment of given) {
    const { from, amount, fee, nonce } = payment;
    const account = draft.account(from);
    if (account === undefined || nonce <= account.nonce) continue;
    const sender = senders.get(from) ?? { left: account.balance, nonces: new Set() };
    senders.set(from, sender);
    if (sender.nonces.has(nonce) || amount + fee > sender.left) continue;
    sender.left -= amount + fee;
    sender.nonces.add(nonce);
    chosen.add(payment);
  }
  return chosen;
}

/** Every place in the order of importance stays with its sender, who fills his places by nonce. */
function inNonceOrder(payments: ReadonlySet<Payment>): readonly Payment[] {
  const bySender = new Map<Hex, Payment[]>();
  for (const payment of payments) {
    const own = bySender.get(payment.from);
    if (own === undefined) bySender.set(payment.from, [payment]);
    else own.push(payment);
  }
  for (const own of bySender.values()) own.sort((a, b) => b.nonce - a.nonce);
  return Array.from(payments).flatMap(({ from }) => bySender.get(from)?.pop() ?? []);
}
