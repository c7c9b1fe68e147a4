import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { fromHex, toHex } from "../../core/bytes.ts";
import { parsePeerId } from "../../core/identity.ts";
import type { Hash, PeerId } from "../../core/ids.ts";
import { parseMultiaddr } from "../../core/multiaddr.ts";
import type { CommandResult } from "../../core/services.ts";
import type { Clock } from "../clock.ts";
import { parseJson, parseValue } from "../json-input.ts";
import type { CommandOf, RunningNode } from "../node.ts";
import { Problem } from "./problem.ts";
import { accountView, peersView, statusView, transactionsView, transactionView } from "./views.ts";

/** A page of transactions: more would make answers of megabytes. */
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
/** No command takes longer; an answer that comes later is lost. */
const COMMAND_TIMEOUT_MS = 10_000;

/** Which methods a path of the API has. */
export const RESOURCES: readonly { readonly path: RegExp; readonly allow: string }[] = [
  { path: /^\/v1\/status$/, allow: "GET, HEAD" },
  { path: /^\/v1\/peers$/, allow: "GET, HEAD, POST" },
  { path: /^\/v1\/peers\/[^/]+$/, allow: "DELETE" },
  { path: /^\/v1\/transactions$/, allow: "GET, HEAD, POST" },
  { path: /^\/v1\/transactions\/[^/]+$/, allow: "GET, HEAD" },
  { path: /^\/v1\/accounts\/[^/]+$/, allow: "GET, HEAD" },
];

/** Handlers throw a Problem for everything they refuse. */
export function addRoutes(app: FastifyInstance, node: RunningNode, clock: Clock): void {
  const command = (given: CommandOf): Promise<CommandResult> =>
    within(COMMAND_TIMEOUT_MS, node.command(given));

  app.get("/v1/status", () => statusView(node, node.state(), clock()));

  app.get("/v1/peers", () => ({ peers: peersView(node.state(), node.traffic) }));

  app.post("/v1/peers", async (request, reply) => {
    const { address: text } = body(request, addressBody);
    const parsed = parseMultiaddr(text);
    if (parsed.tag === "malformed") throw new Problem("malformed", `address ${parsed.detail}`);
    const result = await command({ type: "command/dial", address: parsed.address });
    if (result.tag !== "dialing") throw problemOf(result, "invalidAddress");
    return reply.code(202).send({ peerId: result.peerId });
  });

  app.delete("/v1/peers/:id", async (request, reply) => {
    const peerId = peerIdParameter(request);
    const result = await command({ type: "command/disconnect", peerId });
    if (result.tag !== "disconnected") throw problemOf(result, "malformed");
    return reply.code(204).send();
  });

  app.get("/v1/transactions", (request) => {
    const { limit, after } = query(request, pageQuery);
    return transactionsView(node.state(), after, limit);
  });

  app.get("/v1/transactions/:hash", (request) => {
    const hash = hexParameter(request, "hash", "a hash") as Hash;
    const entry = node.state().transactions.entries.get(hash);
    const bytes = node.chain.transaction(hash);
    if (entry === undefined || bytes === undefined) {
      throw new Problem("notFound", `no transaction ${hash} is in the pool`);
    }
    return { ...transactionView(entry), bytes: toHex(bytes) };
  });

  app.post("/v1/transactions", async (request, reply) => {
    const bytes = fromHex(body(request, transactionBody).bytes);
    const result = await command({ type: "command/submitTransaction", bytes });
    if (result.tag !== "submitted") throw problemOf(result, "invalidTransaction");
    return created(reply, result.hash);
  });

  app.get("/v1/accounts/:key", (request) => {
    const key = hexParameter(request, "key", "a public key");
    const account = node.chain.account(key);
    if (account === undefined) throw new Problem("notFound", `the ledger has no account ${key}`);
    return accountView(node.state(), key, account);
  });
}

const created = (reply: FastifyReply, hash: Hash): FastifyReply =>
  reply.code(201).header("location", `/v1/transactions/${hash}`).send({ hash });

const addressBody = z.strictObject({ address: z.string() });
const transactionBody = z.strictObject({
  bytes: z
    .string()
    .regex(/^(?:[0-9a-f]{2})*$/i, "expected an even number of hexadecimal digits")
    .toLowerCase(),
});

/** Decimal digits only: no sign, space, exponent or fraction. */
const count = (most: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, "expected a whole number")
    .transform(Number)
    .pipe(z.int().max(most));

const pageQuery = z.strictObject({
  limit: count(PAGE_MAX).pipe(z.int().min(1)).default(PAGE_DEFAULT),
  after: count(Number.MAX_SAFE_INTEGER).default(-1),
});

function body<T>(request: FastifyRequest, schema: z.ZodType<T>): T {
  const parsed = parseJson(schema, typeof request.body === "string" ? request.body : "");
  if (parsed.tag === "failed") throw new Problem("malformed", parsed.details.join("; "));
  return parsed.value;
}

function query<T>(request: FastifyRequest, schema: z.ZodType<T>): T {
  const parsed = parseValue(schema, { ...(request.query as object) });
  if (parsed.tag === "failed") throw new Problem("malformed", `query: ${parsed.details.join("; ")}`);
  return parsed.value;
}

function hexParameter(request: FastifyRequest, name: string, meaning: string): string {
  const text = parameter(request, name).toLowerCase();
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new Problem("malformed", `${meaning} has 64 hexadecimal digits`);
}

function peerIdParameter(request: FastifyRequest): PeerId {
  const peerId = parsePeerId(parameter(request, "id"));
  if (peerId === undefined) {
    throw new Problem("malformed", "not the peer id of an ed25519 key (12D3KooW...)");
  }
  return peerId;
}

const parameter = ({ params }: FastifyRequest, name: string): string =>
  (params as Readonly<Record<string, string>>)[name] ?? "";

/** @param invalid what an `invalid` result is a problem of */
function problemOf(
  result: CommandResult,
  invalid: "invalidTransaction" | "invalidAddress" | "malformed",
): Error {
  switch (result.tag) {
    case "invalid":
      return new Problem(invalid, result.detail);
    case "conflict":
    case "notFound":
    case "unavailable":
      return new Problem(result.tag, result.detail);
    default:
      return new Error(`the command was answered by ${result.tag}`);
  }
}

function within(timeoutMs: number, result: Promise<CommandResult>): Promise<CommandResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<CommandResult>((resolve) => {
    timer = setTimeout(
      () => resolve({ tag: "unavailable", detail: `no outcome within ${timeoutMs / 1_000} s` }),
      timeoutMs,
    );
  });
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}
