import { hex, type Infer, option, union } from "../codec/schema.ts";
import type { AttemptId, PeerId } from "../ids.ts";
import { envelopeSchema } from "../signals.ts";

/** 7.1: a dialer asks a relay for somebody to connect with, and makes its offer through it. */
export const discoverySchema = union({
  getNext: {},
  discover: {},
  discovered: { target: hex(32) },
  reject: {},
  accept: { offer: envelopeSchema },
  answer: { reply: option(envelopeSchema) },
});

export type DiscoveryMessage = Infer<typeof discoverySchema>;

/** Both directions of the channel with one peer. */
export interface DiscoveryChannel {
  readonly ours: RelayedFlow;
  readonly theirs: SoughtFlow;
  /** When we last asked this relay; null: not on this connection. */
  readonly askedMs: number | null;
}

/** As relay: what has become of the permit that we gave. Each flow ends by one Answer of ours, or a Reject. */
export type RelayedFlow =
  | { readonly tag: "idle"; readonly past: PastFlows }
  | { readonly tag: "permitGiven"; readonly past: PastFlows }
  | {
      /** The dialer was told of this listener, whose exchange permit is kept for it. */
      readonly tag: "discovered";
      readonly listener: PeerId;
      readonly past: PastFlows;
    }
  | {
      /** The offer is with the listener. */
      readonly tag: "offered";
      readonly listener: PeerId;
      readonly past: PastFlows;
    };

export interface PastFlows {
  /** No permit before this time. */
  readonly pausedUntilMs: number;
  /** Our Answer may have crossed one Accept or Reject, which then means nothing. */
  readonly crossed: boolean;
  /** Rejects in a row, and flows in which nothing was said in time. */
  readonly rejects: number;
  /** Listeners that this dialer was told of lately, and when it may be told of them again. */
  readonly offeredUntilMs: readonly (readonly [PeerId, number])[];
}

/** As dialer: what we do with the permit of a relay. */
export type SoughtFlow =
  /** After a Reject of ours one Answer without reply may still come: they have crossed. */
  | { readonly tag: "none"; readonly crossed: boolean }
  | { readonly tag: "permitOpen" }
  | { readonly tag: "asked"; readonly purpose: SeekPurpose }
  /** The offer to the peer that the relay found is being made. */
  | { readonly tag: "offering"; readonly attemptId: AttemptId }
  /** The relay has the offer. The attempt may end before its Answer. */
  | { readonly tag: "accepted"; readonly attemptId: AttemptId };

/** Peers are lacking, or one more is tried: it may be better than the worst that we have. */
export type SeekPurpose = "lack" | "rotation";

const NO_PAST: PastFlows = { pausedUntilMs: 0, crossed: false, rejects: 0, offeredUntilMs: [] };

export const freshDiscovery = (past: PastFlows = NO_PAST): DiscoveryChannel => ({
  ours: { tag: "idle", past },
  theirs: { tag: "none", crossed: false },
  askedMs: null,
});
