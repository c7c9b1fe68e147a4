import type { Cursor } from "../../core/channels/permits.ts";
import type { Hash } from "../../core/ids.ts";
import {
  BAND_INTERVAL_MS,
  INFOS_MAX,
  REFLOOR_INTERVAL_MS,
  RESUME_MS,
  RPC_TIMEOUT_MS,
  SETTLE_TIMEOUT_MS,
} from "../../core/limits.ts";
import { GREATEST_PRIORITY, type Priority } from "../../core/priority.ts";
import type { Reason } from "../../core/reasons.ts";
import type { Item } from "../../reducers/testing/items.ts";
import { add, floorOf, greatest, isAbove, type PoolModel, priorityIn, wants } from "./pool-model.ts";

// 7.4 to 7.6, the side that gives the permit: when it does, what it asks for, and what it tolerates.

export interface Window {
  readonly seq: number;
  readonly floor: Priority | null;
  readonly band: Priority | null;
  /** How many floors the pool had had when it was sent. */
  readonly since: number;
}

/** What we may lack of what the peer has: the greater of `base` and every floor since. */
export interface High {
  readonly base: Priority | null;
  readonly since: number;
}

export interface GiverModel {
  readonly pool: PoolModel;
  nowMs: number;
  /** Law 1: open, or what the last message announced is being processed, and never both. */
  phase:
    | { readonly tag: "open"; readonly windows: readonly Window[] }
    | {
        readonly tag: "processing";
        /** Not settled yet. */
        items: readonly Item[];
        readonly cursor: Cursor;
        readonly highBefore: High;
        readonly sinceMs: number;
        askedMs: number;
      };
  high: High;
  lastBand: { readonly band: Priority; readonly atMs: number } | null;
  windowMs: number;
  nextSeq: number;
  settled: Cursor | null;
  /** Items that did not come: too many of them end the connection (doesNotHave). */
  withheld: number;
  remembered: { readonly settled: Cursor; readonly high: High; readonly endedMs: number } | null;
}

/** What is sent: a permit or a Refloor with this window. */
export interface Given {
  readonly tag: "getNext" | "refloor";
  readonly limit: number | null;
  readonly resume: Cursor | null;
  readonly window: Omit<Window, "since">;
}

/** A connection begins, with the first permit. */
export function connected(model: GiverModel): Given {
  const { remembered, nowMs } = model;
  const found = remembered !== null && nowMs < remembered.endedMs + RESUME_MS ? remembered : null;
  model.settled = found?.settled ?? null;
  model.high = found?.high ?? { base: null, since: model.pool.floors.length - 1 };
  model.lastBand = null;
  model.nextSeq = 0;
  model.withheld = 0;
  model.remembered = null;
  return permit(model, model.settled);
}

/** A band that is being processed when it ends was not served. */
export function ended(model: GiverModel): void {
  const { settled, phase, high, nowMs } = model;
  if (settled === null) return;
  const before = phase.tag === "processing" ? phase.highBefore : high;
  const base = greatest([before.base, high.base]);
  const since = Math.min(before.since, high.since);
  model.remembered = { settled, high: { base, since }, endedMs: nowMs };
}

export interface Announced {
  readonly seq: number;
  readonly items: readonly Item[];
  readonly rest: Priority | null;
  readonly cursor: Cursor;
}

/** @returns why it is a violation, or the next permit if everything is settled already, or null */
export function announced(model: GiverModel, { seq, items, rest, cursor }: Announced): Reason | Given | null {
  const { phase, high, nowMs, pool } = model;
  if (phase.tag !== "open") return "noPermit";
  const window = phase.windows.find((given) => given.seq === seq);
  if (window === undefined) return "badState";
  if (items.length === 0 && window.band === null) return "badState";
  if (window.band !== null) model.high = { base: rest, since: window.since };
  for (const item of items) if (pool.refused.get(item.hash) === "notNow") raise(model, item);
  const wanted = items.filter((item) => wants(pool, item));
  model.phase = {
    tag: "processing",
    items: wanted,
    cursor,
    highBefore: high,
    sinceMs: nowMs,
    askedMs: nowMs,
  };
  return settle(model, []);
}

export type Outcome = "valid" | "notNow" | "none";

/** These came, or did not. What the answer left out is asked for again. */
export function served(model: GiverModel, outcomes: readonly (readonly [Item, Outcome])[]): Given | null {
  const { phase, pool } = model;
  if (phase.tag !== "processing") return null;
  for (const [item, outcome] of outcomes) {
    if (outcome === "valid") add(pool, item);
    else raise(model, item);
    if (outcome === "notNow") pool.refused.set(item.hash, "notNow");
    if (outcome === "none") model.withheld += 1;
  }
  phase.askedMs = model.nowMs;
  return settle(
    model,
    outcomes.map(([{ hash }]) => hash),
  );
}

/** Law 2: the next permit leaves when all are settled. */
function settle(model: GiverModel, hashes: readonly Hash[]): Given | null {
  const { phase } = model;
  if (phase.tag !== "processing") return null;
  phase.items = phase.items.filter(({ hash }) => !hashes.includes(hash));
  if (phase.items.length > 0) return null;
  model.settled = phase.cursor;
  return permit(model, null);
}

/** When time alone does something next. */
export function dueMs(model: GiverModel): number {
  const { phase } = model;
  if (phase.tag === "open") return outdatedMs(model) ?? Number.POSITIVE_INFINITY;
  const requestMs = isAsked(model) ? phase.askedMs + RPC_TIMEOUT_MS : Number.POSITIVE_INFINITY;
  return Math.min(phase.sinceMs + SETTLE_TIMEOUT_MS, requestMs);
}

/** What time does: a Refloor, or giving up what does not come. */
export function due(model: GiverModel): Given | null {
  const { phase } = model;
  if (dueMs(model) > model.nowMs) return null;
  if (phase.tag === "processing") {
    const isWithheld = model.nowMs < phase.sinceMs + SETTLE_TIMEOUT_MS;
    if (isWithheld) model.withheld += phase.items.length;
    for (const item of phase.items) raise(model, item);
    return settle(
      model,
      phase.items.map(({ hash }) => hash),
    );
  }
  const window = nextWindow(model);
  model.phase = { tag: "open", windows: [...phase.windows, window] };
  return given("refloor", window, null);
}

/** Commitments are complete in themselves: nothing is asked for. */
export const isAsked = ({ pool }: GiverModel): boolean => pool.name !== "snark-job-commitment";

export const highOf = ({ high, pool }: GiverModel): Priority | null =>
  greatest([high.base, ...pool.floors.slice(high.since)]);

/** Without a floor the band is everything. */
function raise(model: GiverModel, item: Item): void {
  const priority = model.pool.name === "transaction" ? priorityIn(item) : GREATEST_PRIORITY;
  model.high = { ...model.high, base: greatest([model.high.base, priority]) };
}

function permit(model: GiverModel, resume: Cursor | null): Given {
  const window = nextWindow(model);
  model.phase = { tag: "open", windows: [window] };
  return given("getNext", window, resume);
}

function nextWindow(model: GiverModel): Window {
  const { pool, nextSeq, nowMs } = model;
  const [high, floor] = [highOf(model), floorOf(pool)];
  const band = isAbove(high, floor) && bandMs(model) <= nowMs ? high : null;
  if (band !== null) model.lastBand = { band, atMs: nowMs };
  model.windowMs = nowMs;
  model.nextSeq += 1;
  return { seq: nextSeq, floor, band, since: pool.floors.length - 1 };
}

/** At once if it is lower than the last band asked for, else after 10 s. */
function bandMs(model: GiverModel): number {
  const { lastBand } = model;
  return lastBand === null || isAbove(lastBand.band, highOf(model)) ? 0 : lastBand.atMs + BAND_INTERVAL_MS;
}

/** When the open window is not right any more: it holds back what there is room for, or does not ask for what lacks. */
function outdatedMs(model: GiverModel): number | null {
  const window = model.phase.tag === "open" ? model.phase.windows.at(-1) : undefined;
  if (window === undefined) return null;
  const [high, floor] = [highOf(model), floorOf(model.pool)];
  const spacedMs = model.windowMs + REFLOOR_INTERVAL_MS;
  if (isAbove(window.floor, floor)) return spacedMs;
  const lacks = isAbove(high, floor) && isAbove(high, window.band);
  return lacks ? Math.max(spacedMs, bandMs(model)) : null;
}

const given = (tag: Given["tag"], { seq, floor, band }: Window, resume: Cursor | null): Given => ({
  tag,
  limit: tag === "getNext" ? INFOS_MAX : null,
  resume,
  window: { seq, floor, band },
});
