import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { type BanSubject, parseSubject } from "../../core/bans.ts";
import { parsePeerId } from "../../core/identity.ts";
import type { Hash, PeerId } from "../../core/ids.ts";
import { BAN_MS } from "../../core/limits.ts";
import { parseJson, parseValue } from "../json-input.ts";
import { Problem } from "./problem.ts";

// What a request says: every function throws a Problem for what it does not understand.

/** Answers with more would be megabytes. */
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
const HEADERS_DEFAULT = 20;

/** A hundred years: what is meant to last longer is meant for ever. */
export const BAN_FOR_MS_MAX = 100 * 365 * 86_400_000;

/** Decimal digits only: no sign, space, exponent or fraction. */
const count = (most: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, "expected a whole number")
    .transform(Number)
    .pipe(z.int().max(most));

const limit = (byDefault: number) => count(PAGE_MAX).pipe(z.int().min(1)).default(byDefault);

export const pageQuery = z.strictObject({
  limit: limit(PAGE_DEFAULT),
  after: count(Number.MAX_SAFE_INTEGER).default(-1),
});
export const blocksQuery = z.strictObject({ limit: limit(HEADERS_DEFAULT) });

export const addressBody = z.strictObject({ address: z.string() });
/** How long a ban runs: a day unless said otherwise, null for ever. */
export const banBody = z.strictObject({
  id: z.string(),
  forMs: z.int().min(1).max(BAN_FOR_MS_MAX).nullable().default(BAN_MS),
});
/** Of a list in the order of texts. */
export const textPageQuery = z.strictObject({ limit: limit(PAGE_DEFAULT), after: z.string().default("") });
export const enabledBody = z.strictObject({ enabled: z.boolean() });
export const bytesBody = z.strictObject({
  bytes: z
    .string()
    .regex(/^(?:[0-9a-f]{2})*$/i, "expected an even number of hexadecimal digits")
    .toLowerCase(),
});

export function body<T>(request: FastifyRequest, schema: z.ZodType<T>): T {
  const parsed = parseJson(schema, typeof request.body === "string" ? request.body : "");
  if (parsed.tag === "failed") throw new Problem("malformed", parsed.details.join("; "));
  return parsed.value;
}

export function query<T>(request: FastifyRequest, schema: z.ZodType<T>): T {
  const parsed = parseValue(schema, { ...(request.query as object) });
  if (parsed.tag === "failed") throw new Problem("malformed", `query: ${parsed.details.join("; ")}`);
  return parsed.value;
}

export function hexParameter(request: FastifyRequest, name: string, meaning: string): string {
  const text = parameter(request, name).toLowerCase();
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new Problem("malformed", `${meaning} must have 64 hexadecimal digits`);
}

export const hashParameter = (request: FastifyRequest): Hash =>
  hexParameter(request, "hash", "a hash") as Hash;

export function peerIdParameter(request: FastifyRequest): PeerId {
  const peerId = parsePeerId(parameter(request, "id"));
  if (peerId === undefined) {
    throw new Problem("malformed", "not the peer id of an ed25519 key (12D3KooW...)");
  }
  return peerId;
}

/** Of a ban: a peer id or an address group. */
export function subjectOf(id: string): BanSubject {
  const subject = parseSubject(id);
  if (subject.tag === "malformed") throw new Problem("malformed", `id: ${subject.detail}`);
  return subject;
}

export const parameter = ({ params }: FastifyRequest, name: string): string =>
  (params as Readonly<Record<string, string>>)[name] ?? "";
