import { hex, type Infer, option, union } from "../codec/schema.ts";
import type { AttemptId, PeerId } from "../ids.ts";
import { envelopeSchema } from "../signals.ts";

/** 7.2: a relay brings a listener the offer of a dialer, and takes the reply back. */
export const exchangeSchema = union({
  getNext: {},
  offer: { from: hex(32), offer: envelopeSchema },
  answer: { reply: option(envelopeSchema) },
});

export type ExchangeMessage = Infer<typeof exchangeSchema>;

/** Both directions of the channel with one peer. */
export interface ExchangeChannel {
  readonly ours: BroughtFlow;
  readonly theirs: ListenerFlow;
}

/** As listener: what has become of the permit that we gave to a relay. */
export type BroughtFlow =
  | { readonly tag: "idle" }
  | { readonly tag: "permitGiven" }
  /** The permit is too old, and counts all the same: an offer that was under way is answered None. */
  | { readonly tag: "lapsed" }
  /**
   * It counts no more and may be given again; until then one offer that comes late all the same is answered None. Of many
   * the oldest is forgotten.
   */
  | { readonly tag: "void"; readonly sinceMs: number }
  /** Every offer is answered in time, by the attempt that it started or by None. */
  | { readonly tag: "answering"; readonly attemptId: AttemptId };

/** As relay: what we do with the permit of a listener, which came at `sinceMs`. */
export type ListenerFlow =
  | { readonly tag: "none" }
  | { readonly tag: "permitOpen"; readonly sinceMs: number }
  /** A dialer was told of it and may accept. */
  | { readonly tag: "kept"; readonly sinceMs: number; readonly dialer: PeerId }
  /** Null: nobody waits for the Answer any more. */
  | { readonly tag: "offered"; readonly sinceMs: number; readonly dialer: PeerId | null };

export const freshExchange = (): ExchangeChannel => ({ ours: { tag: "idle" }, theirs: { tag: "none" } });
