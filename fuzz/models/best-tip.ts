import type { Tip } from "../../core/block.ts";
import { isBetterTip } from "../../core/consensus.ts";
import { TIP_SETTLE_MS } from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";
import { CHAIN } from "../../reducers/testing/chain.ts";

// 7.3 with one peer: who may say a tip when, and when the next may come. Which tip becomes ours is not its business.

export interface BestTipModel {
  nowMs: number;
  tip: Tip;
  /** The peer's permit, and the last tip it was used for. */
  isPermitted: boolean;
  announced: Tip | null;
  /** Ours: open, or what came for it is being judged. */
  judging: { readonly tip: Tip; readonly sinceMs: number } | null;
  received: Tip | null;
}

export const freshBestTip = () => ({ isPermitted: false, announced: null, judging: null, received: null });

const isBetter = (one: Tip, other: Tip | null): boolean => other === null || isBetterTip(one, other, CHAIN);

export function takeGetNext(model: BestTipModel): Reason | null {
  if (model.isPermitted) return "overLimit";
  model.isPermitted = true;
  return null;
}

export function takeTip(model: BestTipModel, tip: Tip): Reason | null {
  if (model.judging !== null) return "noPermit";
  if (!isBetter(tip, model.received)) return "inferiorTip";
  model.received = tip;
  model.judging = { tip, sinceMs: model.nowMs };
  return null;
}

/** It is our best tip and better than the last one that this peer was told. */
export const hasNews = ({ isPermitted, tip, announced }: BestTipModel): boolean =>
  isPermitted && isBetter(tip, announced);

/** We say this. @returns whether we may */
export function say(model: BestTipModel, tip: Tip): boolean {
  const may = model.isPermitted && isBetter(tip, model.announced);
  model.isPermitted = false;
  model.announced = tip;
  return may;
}

/** Law 2: not better than ours, or applied, or judged for 10 s. */
export const isJudged = ({ judging, tip, nowMs }: BestTipModel): boolean =>
  judging !== null && (!isBetter(judging.tip, tip) || nowMs >= judging.sinceMs + TIP_SETTLE_MS);

/** We give a permit. @returns whether we may, with what is known of tips that were given up */
export function permit(model: BestTipModel, isGivenUp: (tip: Tip) => boolean): boolean {
  const { judging } = model;
  const may = judging !== null && (isJudged(model) || isGivenUp(judging.tip));
  model.judging = null;
  return may;
}
