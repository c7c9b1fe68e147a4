import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { Hash } from "../../core/ids.ts";
import { parseMultiaddr } from "../../core/multiaddr.ts";
import type { FetchedPool } from "../../core/pools.ts";
import type { CommandResult } from "../../core/services.ts";
import type { Clock } from "../clock.ts";
import type { RunningNode } from "../node.ts";
import type { CommandOf } from "../operator.ts";
import { within } from "../within.ts";
import { addressesView } from "./address-views.ts";
import { bansView, banView } from "./ban-views.ts";
import { blocksView, blockView } from "./chain-views.ts";
import { createMetrics } from "./metrics.ts";
import { peersView } from "./peer-views.ts";
import {
  accountView,
  commitmentsView,
  knownSnark,
  knownTransaction,
  snarksView,
  transactionsView,
} from "./pool-views.ts";
import { Problem, type ProblemKind } from "./problem.ts";
import {
  addressBody,
  banBody,
  blocksQuery,
  body,
  bytesBody,
  enabledBody,
  hashParameter,
  hexParameter,
  pageQuery,
  parameter,
  peerIdParameter,
  query,
  subjectOf,
  textPageQuery,
} from "./requests.ts";
import { statusView } from "./views.ts";

/** No command takes longer; an answer that comes later is lost. */
const COMMAND_TIMEOUT_MS = 10_000;
const NO_OUTCOME: CommandResult = {
  tag: "unavailable",
  detail: `no outcome within ${COMMAND_TIMEOUT_MS / 1_000} s`,
};

/** Which methods a path of the API has. */
export const RESOURCES: readonly { readonly path: RegExp; readonly allow: string }[] = [
  { path: /^\/metrics$/, allow: "GET, HEAD" },
  { path: /^\/v1\/status$/, allow: "GET, HEAD" },
  { path: /^\/v1\/peers$/, allow: "GET, HEAD, POST" },
  { path: /^\/v1\/peers\/[^/]+$/, allow: "DELETE" },
  { path: /^\/v1\/addresses$/, allow: "GET, HEAD" },
  { path: /^\/v1\/bans$/, allow: "GET, HEAD, POST" },
  { path: /^\/v1\/bans\/[^/]+$/, allow: "DELETE" },
  { path: /^\/v1\/(transactions|snarks)$/, allow: "GET, HEAD, POST" },
  { path: /^\/v1\/(transactions|snarks)\/[^/]+$/, allow: "GET, HEAD" },
  { path: /^\/v1\/commitments$/, allow: "GET, HEAD" },
  { path: /^\/v1\/blocks$/, allow: "GET, HEAD" },
  { path: /^\/v1\/blocks\/[^/]+$/, allow: "GET, HEAD" },
  { path: /^\/v1\/accounts\/[^/]+$/, allow: "GET, HEAD" },
  { path: /^\/v1\/(producer|worker)$/, allow: "POST" },
];

type RunCommand = (command: CommandOf) => Promise<CommandResult>;

/** Handlers throw a Problem for everything they refuse. */
export function addRoutes(app: FastifyInstance, node: RunningNode, clock: Clock): void {
  const command: RunCommand = async (given) => {
    const result = await within(COMMAND_TIMEOUT_MS, node.command(given));
    return result === "late" ? NO_OUTCOME : result;
  };
  const metrics = createMetrics(node);
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  app.get("/v1/status", () => statusView(node, node.state(), clock()));
  addPeerRoutes(app, node, command);
  addBanRoutes(app, node, command);
  addPoolRoutes(app, node, command);
  addChainRoutes(app, node);
  addWorkRoutes(app, node, command);
}

function addPeerRoutes(app: FastifyInstance, node: RunningNode, command: RunCommand): void {
  app.get("/v1/addresses", (request) => addressesView(node.state(), query(request, textPageQuery)));

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
}

/** Bans are named by what they are of: a peer id, or an address group, whose slash is escaped in a path. */
function addBanRoutes(app: FastifyInstance, node: RunningNode, command: RunCommand): void {
  app.get("/v1/bans", (request) => bansView(node.state(), query(request, textPageQuery)));

  app.post("/v1/bans", async (request, reply) => {
    const { id, forMs } = body(request, banBody);
    const result = await command({ type: "command/ban", subject: subjectOf(id), forMs });
    if (result.tag !== "banned") throw problemOf(result, "invalidBan");
    const view = banView(result.ban);
    reply.header("location", `/v1/bans/${encodeURIComponent(view.id)}`);
    return reply.code(201).send(view);
  });

  app.delete("/v1/bans/:id", async (request, reply) => {
    const subject = subjectOf(parameter(request, "id"));
    const result = await command({ type: "command/unban", subject });
    if (result.tag !== "unbanned") throw problemOf(result, "malformed");
    return reply.code(204).send();
  });
}

function addPoolRoutes(app: FastifyInstance, node: RunningNode, command: RunCommand): void {
  const { chain, state } = node;
  app.get("/v1/transactions", (request) => transactionsView(state(), query(request, pageQuery)));
  app.get("/v1/snarks", (request) => snarksView(state(), query(request, pageQuery)));
  app.get("/v1/commitments", (request) => commitmentsView(state(), query(request, pageQuery)));

  app.get("/v1/transactions/:hash", (request) => {
    const hash = hashParameter(request);
    return withBytes(`transaction ${hash}`, knownTransaction(state(), hash), chain.item(hash));
  });
  app.get("/v1/snarks/:hash", (request) => {
    const hash = hashParameter(request);
    return withBytes(`SNARK work ${hash}`, knownSnark(state(), hash), chain.item(hash));
  });

  const submit = async (request: FastifyRequest, reply: FastifyReply, pool: FetchedPool) => {
    const bytes = fromHex(body(request, bytesBody).bytes);
    const { path, invalid } = SUBMITTED[pool];
    const result = await command({ type: "command/submit", pool, bytes });
    if (result.tag !== "submitted" && result.tag !== "keptAside") throw problemOf(result, invalid);
    const { hash } = result;
    reply.header("location", `${path}/${hash}`);
    if (result.tag === "submitted") return reply.code(201).send({ hash });
    return reply.code(202).send({ hash, detail: KEPT_ASIDE });
  };
  app.post("/v1/transactions", (request, reply) => submit(request, reply, "transaction"));
  app.post("/v1/snarks", (request, reply) => submit(request, reply, "snark"));
}

const SUBMITTED: {
  readonly [Pool in FetchedPool]: { readonly path: string; readonly invalid: ProblemKind };
} = {
  transaction: { path: "/v1/transactions", invalid: "invalidTransaction" },
  snark: { path: "/v1/snarks", invalid: "invalidSnark" },
};

const KEPT_ASIDE =
  "the pool is full of better paid ones; it is kept here and offered again when there is room";

function withBytes<View extends object>(what: string, view: View | undefined, bytes: Uint8Array | undefined) {
  if (view === undefined || bytes === undefined) throw new Problem("notFound", `no ${what} is in the pool`);
  return { ...view, bytes: toHex(bytes) };
}

function addChainRoutes(app: FastifyInstance, { chain, state }: RunningNode): void {
  app.get("/v1/blocks", (request) => blocksView(state(), chain, query(request, blocksQuery).limit));

  app.get("/v1/blocks/:hash", (request) => {
    const isTip = parameter(request, "hash") === "tip";
    const hash: Hash = isTip ? state().chain.tip.hash : hashParameter(request);
    const view = blockView(state(), chain, hash);
    if (view === undefined) throw new Problem("notFound", `no block ${hash} is kept here`);
    return view;
  });

  app.get("/v1/accounts/:key", (request) => {
    const key = hexParameter(request, "key", "a public key");
    const account = chain.account(key);
    if (account === undefined) throw new Problem("notFound", `the ledger has no account ${key}`);
    return accountView(state(), key, account);
  });
}

/** Production and work can be stopped and go on again, on a node that was started for them. */
function addWorkRoutes(app: FastifyInstance, node: RunningNode, command: RunCommand): void {
  const { config } = node.state();
  const switchTo = (isRole: boolean, flag: string, type: "command/produce" | "command/work") => {
    return async (request: FastifyRequest) => {
      const { enabled } = body(request, enabledBody);
      if (enabled && !isRole) throw new Problem("notConfigured", `the node was started without ${flag}`);
      const result = await command({ type, isOn: enabled });
      if (result.tag !== "producing" && result.tag !== "working") throw problemOf(result, "malformed");
      return { enabled: result.isOn };
    };
  };
  app.post("/v1/producer", switchTo(config.produces, "--produce", "command/produce"));
  app.post("/v1/worker", switchTo(config.workFee !== null, "--snark-worker", "command/work"));
}

/** @param invalid what an `invalid` result is a problem of */
function problemOf(result: CommandResult, invalid: ProblemKind): Error {
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
