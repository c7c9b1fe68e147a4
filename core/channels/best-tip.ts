import { headerSchema, type Tip } from "../block.ts";
import { type Infer, union } from "../codec/schema.ts";
import type { Hash } from "../ids.ts";

/** 7.3: headers only; bodies are asked for by rpc. */
export const bestTipSchema = union({ getNext: {}, bestTip: { header: headerSchema } });

export type BestTipMessage = Infer<typeof bestTipSchema>;

/** Both directions of the channel with one peer. */
export interface BestTipChannel {
  /** The permit we gave; law 2 lets the next one out when what it brought was processed. */
  readonly ours:
    | { readonly tag: "idle" }
    | { readonly tag: "permitGiven" }
    /** What becomes of the received header is not known yet. */
    | { readonly tag: "processing"; readonly hash: Hash };
  /** The peer may be sent our next tip. */
  readonly theirs: "none" | "open";
  /** The last header received from this peer, whatever became of it. */
  readonly received: Tip | null;
  /** The last tip we announced to this peer. */
  readonly announced: Tip | null;
}

export const freshBestTip = (): BestTipChannel => ({
  ours: { tag: "idle" },
  theirs: "none",
  received: null,
  announced: null,
});
