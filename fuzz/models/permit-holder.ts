import type { Cursor, PermitWindow } from "../../core/channels/permits.ts";
import { RATE_BURST, REFLOORS_PER_SECOND } from "../../core/limits.ts";
import { comparePriority, type Priority } from "../../core/priority.ts";
import type { Reason } from "../../core/reasons.ts";
import type { Item } from "../../reducers/testing/items.ts";
import { isAbove, type PoolModel, priorityIn } from "./pool-model.ts";

// 7.4 to 7.6, the side that has the permit: what it says of its pool, and what it tolerates.

export interface HolderModel {
  readonly pool: PoolModel;
  nowMs: number;
  permit: { readonly limit: number; readonly window: PermitWindow } | null;
  theirSeq: number;
  cursor: number;
  /** What the peer has told of since its last window with a band: no news to it. */
  heard: readonly Item[];
  /** Gate: the peer's last announced tip is ours or better. */
  isGateOpen: boolean;
  refloors: { tokens: number; atMs: number };
}

/** What the peer may be told with one permit. */
export interface Answer {
  readonly seq: number;
  readonly items: readonly Item[];
  readonly cursor: number;
  readonly window: PermitWindow;
  /** What was asked for again, the greatest first. */
  readonly band: { readonly served: readonly Item[]; readonly left: readonly Item[] } | null;
}

export const freshHolder = (nowMs: number, hasGate: boolean): Omit<HolderModel, "pool" | "nowMs"> => ({
  permit: null,
  theirSeq: -1,
  cursor: 0,
  heard: [],
  isGateOpen: !hasGate,
  refloors: { tokens: RATE_BURST, atMs: nowMs },
});

export function takeGetNext(
  model: HolderModel,
  limit: number,
  window: PermitWindow,
  resume: Cursor | null,
  epoch: bigint,
): Reason | null {
  if (model.permit !== null) return "overLimit";
  const wrong = windowFault(model, window);
  if (wrong !== null) return wrong;
  model.permit = { limit, window };
  takeWindow(model, window);
  if (resume !== null) {
    const isOurs = resume.epoch === epoch && resume.next <= BigInt(model.pool.next);
    model.cursor = isOurs ? Number(resume.next) : 0;
  }
  return null;
}

export function takeRefloor(model: HolderModel, window: PermitWindow): Reason | null {
  const wrong = windowFault(model, window);
  if (wrong !== null) return wrong;
  const { tokens, atMs } = model.refloors;
  const refilled = Math.min(RATE_BURST, tokens + ((model.nowMs - atMs) / 1_000) * REFLOORS_PER_SECOND);
  if (refilled < 1) return "overLimit";
  model.refloors = { tokens: refilled - 1, atMs: model.nowMs };
  takeWindow(model, window);
  if (model.permit !== null) model.permit = { ...model.permit, window };
  return null;
}

function takeWindow(model: HolderModel, { seq, band }: PermitWindow): void {
  model.theirSeq = seq;
  if (band !== null) model.heard = [];
}

function windowFault({ pool, theirSeq }: HolderModel, { seq, floor }: PermitWindow): Reason | null {
  const isFlooredAmiss = floor !== null && pool.name !== "transaction";
  return isFlooredAmiss || seq <= theirSeq ? "badState" : null;
}

/** The permit is used as soon as there is something to say, and stays open else. */
export function answer(model: HolderModel): Answer | null {
  const { permit, pool, heard, isGateOpen } = model;
  if (permit === null || !isGateOpen) return null;
  const { limit, window } = permit;
  const before = model.cursor;
  const isOffered = ({ item }: { item: Item }): boolean => isAbove(priorityIn(item), window.floor);
  const isNews = ({ index, item }: { index: number; item: Item }): boolean =>
    index >= before && !heard.includes(item);
  const news = pool.log.filter((entry) => isNews(entry) && isOffered(entry));
  const items = news.slice(0, limit).map(({ item }) => item);
  const last = news[limit - 1];
  model.cursor = last === undefined ? pool.next : last.index + 1;
  if (items.length === 0 && window.band === null) return null;
  model.permit = null;
  const { band, seq } = window;
  if (band === null) return { seq, items, cursor: model.cursor, window, band: null };
  const inBand = pool.log
    .filter((entry) => entry.index < before && isOffered(entry) && !isAbove(priorityIn(entry.item), band))
    .map(({ item }) => item)
    .sort((a, b) => comparePriority(priorityIn(a), priorityIn(b)));
  const served = inBand.slice(0, limit - items.length);
  const left = inBand.slice(served.length);
  return { seq, items: [...items, ...served], cursor: model.cursor, window, band: { served, left } };
}

/** Everything before the cursor in (rest, band] was served, and nothing that was is asked for again. */
export function isRestRight({ band, window }: Answer, rest: Priority | null): boolean {
  const [last, next] = [band?.served.at(-1), band?.left[0]];
  if (next === undefined) return samePriority(rest, window.floor);
  const least = last === undefined ? window.band : priorityIn(last);
  return !isAbove(priorityIn(next), rest) && !isAbove(rest, least);
}

const samePriority = (a: Priority | null, b: Priority | null): boolean =>
  a === null || b === null ? a === b : comparePriority(a, b) === 0;
