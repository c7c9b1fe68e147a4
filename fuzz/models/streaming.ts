import {
  STREAM_IDLE_MS,
  STREAM_OPEN_TIMEOUT_MS,
  STREAM_OUTSTANDING_MAX,
  STREAM_PATIENCE_MS,
  STREAM_REQUESTS_BURST,
  STREAM_REQUESTS_PER_SECOND,
  STREAM_TIMEOUT_MS,
} from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";

// 7.8: serving a stream, which is exact, and fetching one, where the node decides what to ask of whom.

export interface ServingModel {
  nowMs: number;
  theirNextId: number;
  stream: Served | null;
  /** Streams that the peer might still open at this time. */
  left: number;
  leftMs: number;
}

interface Served {
  readonly id: number;
  /** Null before our Manifest. */
  chunks: number | null;
  permitted: readonly number[];
  activeMs: number;
}

type Said = { readonly words: readonly string[]; readonly reason: Reason | null };

const words = (...said: readonly string[]): Said => ({ words: said, reason: null });
const fault = (reason: Reason): Said => ({ words: [], reason });

export function requested(model: ServingModel, id: number): Said {
  if (model.stream !== null) return fault("overLimit");
  if (id !== model.theirNextId) return fault("badState");
  model.theirNextId += 1;
  const { left, leftMs, nowMs } = model;
  const now = Math.min(STREAM_REQUESTS_BURST, left + ((nowMs - leftMs) / 1_000) * STREAM_REQUESTS_PER_SECOND);
  if (now < 1) return words(`manifest ${id} false`);
  Object.assign(model, { left: now - 1, leftMs: nowMs });
  model.stream = { id, chunks: null, permitted: [], activeMs: model.nowMs };
  return words(`open ${id}`);
}

/** It is known whether we have it. */
export function opened(model: ServingModel, { id }: Served, chunks: number | null): Said {
  if (chunks === null) model.stream = null;
  else model.stream = { id, chunks, permitted: [], activeMs: model.nowMs };
  return words(`manifest ${id} ${chunks !== null}`);
}

export function permitted(model: ServingModel, id: number, from: number, count: number): Said {
  const { stream, nowMs } = model;
  if (id >= model.theirNextId) return fault("badState");
  if (stream?.id !== id) return words();
  if (stream.chunks === null) return fault("badState");
  const isTooMuch = from + count > stream.chunks || stream.permitted.length + count > STREAM_OUTSTANDING_MAX;
  if (isTooMuch) return fault("overLimit");
  const isIdle = stream.permitted.length === 0;
  stream.permitted = [...stream.permitted, ...Array.from({ length: count }, (_, at) => from + at)];
  stream.activeMs = nowMs;
  return isIdle ? words(`load ${id} ${from}`) : words();
}

/** The first permitted chunk is here, or cannot be had any more: one at a time, in the order of the permits. */
export function loaded(model: ServingModel, stream: Served, isHere: boolean): Said {
  const { id } = stream;
  const [index, next] = stream.permitted;
  if (!isHere) return endServing(model, stream, true);
  stream.permitted = stream.permitted.slice(1);
  stream.activeMs = model.nowMs;
  return words(`chunk ${id} ${index}`, ...(next === undefined ? [] : [`load ${id} ${next}`]));
}

export function cancelled(model: ServingModel, id: number): Said {
  if (id >= model.theirNextId) return fault("badState");
  return model.stream?.id === id ? endServing(model, model.stream, false) : words();
}

export function dueMs({ stream }: ServingModel): number {
  if (stream === null || stream.permitted.length > 0) return Number.POSITIVE_INFINITY;
  return stream.activeMs + (stream.chunks === null ? STREAM_OPEN_TIMEOUT_MS : STREAM_IDLE_MS);
}

export function tick(model: ServingModel): Said {
  const { stream } = model;
  if (stream === null || dueMs(model) > model.nowMs) return words();
  if (stream.chunks !== null) return endServing(model, stream, true);
  model.stream = null;
  return words(`manifest ${stream.id} false`, `close ${stream.id}`);
}

function endServing(model: ServingModel, { id }: Served, isOurs: boolean): Said {
  model.stream = null;
  return words(...(isOurs ? [`cancel ${id}`] : []), `close ${id}`);
}

/** A peer that has just come. */
export const freshServing = (nowMs: number): ServingModel => ({
  nowMs,
  theirNextId: 0,
  stream: null,
  left: STREAM_REQUESTS_BURST,
  leftMs: nowMs,
});

// Fetching

export interface FetchingModel {
  nowMs: number;
  readonly chunks: number;
  /** Verified: never asked for again. */
  stored: Set<number>;
  /** Here, and not verified yet, whoever brought it. */
  readonly storing: Set<number>;
  /** It has ended, well or not: whoever is asked is told so. */
  isOver: boolean;
  readonly sources: Source[];
}

export interface Source {
  /** Of the open stream. */
  id: number | null;
  nextId: number;
  isServing: boolean;
  /** Asked for and not here. */
  outstanding: readonly number[];
  permittedMs: number;
  progressMs: number;
}

export const freshSource = (): Source => ({
  id: null,
  nextId: 0,
  isServing: false,
  outstanding: [],
  permittedMs: 0,
  progressMs: 0,
});

export const isComplete = ({ stored, chunks }: FetchingModel): boolean => stored.size === chunks;

/** Nobody has it, nobody is asked for it. */
export const isFree = ({ stored, storing, sources }: FetchingModel, index: number): boolean =>
  !stored.has(index) &&
  !storing.has(index) &&
  !sources.some(({ outstanding }) => outstanding.includes(index));

/** The node asks this peer for the stream. @returns whether it may, as after all of these */
export function asks(model: FetchingModel, source: Source, id: number): boolean {
  const may = source.id === null && id === source.nextId;
  Object.assign(source, { id, nextId: id + 1, isServing: false, outstanding: [], progressMs: model.nowMs });
  return may;
}

export function permits(
  model: FetchingModel,
  source: Source,
  id: number,
  from: number,
  count: number,
): boolean {
  const wanted = Array.from({ length: count }, (_, at) => from + at);
  const isRight = wanted.every((index) => index < model.chunks && isFree(model, index));
  const may = source.id === id && source.isServing && isRight;
  if (source.outstanding.length === 0) source.progressMs = model.nowMs;
  source.permittedMs = model.nowMs;
  source.outstanding = [...source.outstanding, ...wanted];
  return may && source.outstanding.length <= STREAM_OUTSTANDING_MAX;
}

/** With everything here, or one that is slow while another has nothing to do. */
export function cancels(model: FetchingModel, source: Source, id: number): boolean {
  const isSlow = source.outstanding.length > 0 && model.nowMs >= source.permittedMs + STREAM_PATIENCE_MS;
  const may = source.id === id && (model.isOver || isSlow);
  endSource(source);
  return may;
}

export function endSource(source: Source): void {
  source.id = null;
  source.isServing = false;
  source.outstanding = [];
}

/** Nothing came for 30 s of what is expected. */
export const isTimedOut = (
  { nowMs }: FetchingModel,
  { id, isServing, outstanding, progressMs }: Source,
): boolean =>
  id !== null && (!isServing || outstanding.length > 0) && nowMs >= progressMs + STREAM_TIMEOUT_MS;

/** It is over and somebody is still asked, or somebody has nothing to do although something lacks. */
export function isStuck(model: FetchingModel): boolean {
  const { sources, storing, chunks, isOver } = model;
  if (isOver) return sources.some(({ id }) => id !== null);
  const lacks = Array.from({ length: chunks }, (_, at) => at).some((index) => isFree(model, index));
  const isIdle = sources.some(({ isServing, outstanding }) => isServing && outstanding.length === 0);
  return isIdle && lacks && storing.size === 0;
}
