import type { RpcRequest } from "../../core/channels/rpc.ts";
import {
  RPC_BLOCK_TIMEOUT_MS,
  RPC_BLOCKED_MS,
  RPC_OPEN_MAX,
  RPC_RATES,
  RPC_TIMEOUT_MS,
} from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";

// 7.7 with one peer, both directions: how many requests are open, and what becomes of each.

export interface Asked {
  readonly id: number;
  readonly body: RpcRequest;
}

export interface RpcModel {
  nowMs: number;
  /** Ours: given up after a while, but the slot is free only with the response. */
  ours: readonly (Asked & { readonly sentMs: number })[];
  nextId: number;
  /** When the last of four slots was given up. */
  blockedMs: number | null;
  /** Theirs: unanswered, in order. */
  theirs: readonly Asked[];
  theirNextId: number;
  /** Nothing can be written: what arrives waits, and is answered when there is room. */
  isBlocked: boolean;
  waiting: readonly Asked[];
  buckets: Map<RpcRequest["tag"], { readonly tokens: number; readonly atMs: number }>;
}

export const freshRpc = () => ({
  ours: [],
  nextId: 0,
  blockedMs: null,
  theirs: [],
  theirNextId: 0,
  isBlocked: false,
  waiting: [],
  buckets: new Map(),
});

// Ours

/** @returns the id with which it is sent, or null: no slot is free, or nothing can be written */
export function ask(model: RpcModel, body: RpcRequest): number | null {
  if (model.ours.length >= RPC_OPEN_MAX || model.isBlocked) return null;
  const id = model.nextId;
  model.ours = [...model.ours, { id, body, sentMs: model.nowMs }];
  model.nextId += 1;
  return id;
}

/** @param fits it is of the kind that was asked for, with no more entries */
export function takeResponse(model: RpcModel, id: number, fits: boolean): Reason | null {
  const request = model.ours.find((open) => open.id === id);
  if (request === undefined || !fits) return "responseMismatch";
  model.ours = model.ours.filter((open) => open !== request);
  model.blockedMs = null;
  return null;
}

/** When the last of our requests is given up, or all are for too long. */
export function dueMs({ ours, blockedMs }: RpcModel): number {
  if (ours.length < RPC_OPEN_MAX) return Number.POSITIVE_INFINITY;
  return blockedMs === null ? Math.max(...ours.map(givenUpMs)) : blockedMs + RPC_BLOCKED_MS;
}

export function tick(model: RpcModel): Reason | null {
  if (dueMs(model) > model.nowMs) return null;
  if (model.blockedMs !== null) return "timeout";
  model.blockedMs = model.nowMs;
  return null;
}

const givenUpMs = ({ body, sentMs }: RpcModel["ours"][number]): number =>
  sentMs + (body.tag === "block" || body.tag === "ancestry" ? RPC_BLOCK_TIMEOUT_MS : RPC_TIMEOUT_MS);

// Theirs

/** What is to be done with a request: answer it at once, so, or load what it is about first. */
export type Doing = "busy" | "answer" | "load";

export function takeRequest(model: RpcModel, id: number, body: RpcRequest): Reason | Doing | "wait" {
  if (model.theirs.length >= RPC_OPEN_MAX) return "overLimit";
  if (id !== model.theirNextId) return "badState";
  model.theirNextId += 1;
  const asked = { id, body };
  model.theirs = [...model.theirs, asked];
  if (!model.isBlocked) return serve(model, asked);
  model.waiting = [...model.waiting, asked];
  return "wait";
}

/** There is room again. @returns what becomes of each that waited */
export function drained(model: RpcModel): readonly (readonly [Asked, Doing])[] {
  const { waiting } = model;
  model.isBlocked = false;
  model.waiting = [];
  return waiting.map((asked) => [asked, serve(model, asked)]);
}

function serve(model: RpcModel, { id, body }: Asked): Doing {
  const { burst, perSecond } = RPC_RATES[body.tag];
  const { tokens, atMs } = model.buckets.get(body.tag) ?? { tokens: burst, atMs: model.nowMs };
  const filled = Math.min(burst, tokens + ((model.nowMs - atMs) / 1_000) * perSecond);
  const isEmpty = filled <= 0;
  model.buckets.set(body.tag, { tokens: isEmpty ? filled : filled - 1, atMs: model.nowMs });
  if (!isEmpty && body.tag === "transactions") return "load";
  answered(model, id);
  return isEmpty ? "busy" : "answer";
}

export function answered(model: RpcModel, id: number): void {
  model.theirs = model.theirs.filter((asked) => asked.id !== id);
}
