import { z } from "zod";
import { toHex } from "../core/bytes.ts";

/** What a node says of itself. Fields that this client does not use are left out. */
export type NodeStatus = z.infer<typeof statusSchema>;
type AccountStatus = z.infer<typeof accountSchema>;
type BlockStatus = z.infer<typeof blockSchema>;
type PeerStatus = z.infer<typeof peerSchema>;
export type AddressStatus = z.infer<typeof addressSchema>;
export type BanStatus = z.infer<typeof banSchema>;

/** The three pools by their names in the API. */
export const API_POOLS = ["transactions", "snarks", "commitments"] as const;
export type ApiPool = (typeof API_POOLS)[number];

export interface PoolPage {
  readonly items: readonly { readonly hash: string; readonly addedMs: number; readonly index: number }[];
  /** Null on the last page. */
  readonly next: number | null;
}

/** The operator API of one node (docs/operations.md). Every method throws AdminError and nothing else. */
export interface AdminClient {
  /** Base URL, without a slash at its end. */
  readonly url: string;
  readonly status: () => Promise<NodeStatus>;
  /** Up to `limit` items in the order they came, from the one after the index `after`; -1 is before all. */
  readonly pool: (pool: ApiPool, limit: number, after: number) => Promise<PoolPage>;
  /** @returns the hash of the transaction, which is in the node's pool now, or kept aside until that has room */
  readonly submit: (bytes: Uint8Array) => Promise<string>;
  readonly account: (publicKey: string) => Promise<AccountStatus>;
  readonly block: (hash: string) => Promise<BlockStatus>;
  readonly peers: () => Promise<readonly PeerStatus[]>;
  /** Turns making blocks or SNARK work on or off, on a node that was started for it. */
  readonly setRole: (role: "producer" | "worker", enabled: boolean) => Promise<void>;
  /** Keeps the node connected with an address; the connection comes later. */
  readonly dial: (address: string) => Promise<void>;
  /** The whole address book, in the order of the addresses. */
  readonly addresses: () => Promise<readonly AddressStatus[]>;
  /** All bans, in the order of their ids. */
  readonly bans: () => Promise<readonly BanStatus[]>;
  /** @param id a peer id, or an address group as `20.30.40.0/24`; @param forMs null: for ever */
  readonly ban: (id: string, forMs: number | null) => Promise<BanStatus>;
  readonly unban: (id: string) => Promise<void>;
}

export class AdminError extends Error {
  override readonly name = "AdminError";
  /** Status of the response; null if there was none, or none that a node gives. */
  readonly status: number | null;

  constructor(message: string, status: number | null) {
    super(message);
    this.status = status;
  }
}

/** @throws AdminError unless the text is an http URL or HOST:PORT */
export function createAdminClient(admin: string): AdminClient {
  const url = baseUrl(admin);

  const request = async <T>(
    schema: z.ZodType<T>,
    path: string,
    body?: object,
    method = body === undefined ? "GET" : "POST",
  ): Promise<T> => {
    const response = await send(url, path, method, body);
    const json = await jsonOf(response);
    if (!response.ok) throw refusalOf(response, json, url);
    const parsed = schema.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new AdminError(
      `${url}${path} does not answer as a pollen node; is it the --admin address of one?`,
      null,
    );
  };

  return {
    url,
    status: () => request(statusSchema, "/v1/status"),
    pool: async (pool, limit, after) => {
      const query = `limit=${limit}${after < 0 ? "" : `&after=${after}`}`;
      const page = await request(pageSchema, `/v1/${pool}?${query}`);
      return { items: page[pool] ?? [], next: page.next };
    },
    submit: async (bytes) =>
      (await request(submittedSchema, "/v1/transactions", { bytes: toHex(bytes) })).hash,
    account: (publicKey) => request(accountSchema, `/v1/accounts/${publicKey}`),
    block: (hash) => request(blockSchema, `/v1/blocks/${hash}`),
    peers: async () => (await request(peersSchema, "/v1/peers")).peers,
    setRole: async (role, enabled) => {
      await request(z.unknown(), `/v1/${role}`, { enabled });
    },
    dial: async (address) => {
      await request(z.unknown(), "/v1/peers", { address });
    },
    addresses: () =>
      everyPage("/v1/addresses", async (path) => {
        const { addresses, next } = await request(addressesSchema, path);
        return { items: addresses, next };
      }),
    bans: () =>
      everyPage("/v1/bans", async (path) => {
        const { bans, next } = await request(bansSchema, path);
        return { items: bans, next };
      }),
    ban: (id, forMs) => request(banSchema, "/v1/bans", { id, forMs }),
    unban: async (id) => {
      await request(z.unknown(), `/v1/bans/${encodeURIComponent(id)}`, undefined, "DELETE");
    },
  };
}

/** Far longer than a node that works needs; a stopped process is told apart from a slow one. */
const TIMEOUT_MS = 10_000;

const poolSchema = z.object({ size: z.number(), digest: z.string() });

const statusSchema = z.object({
  peerId: z.string(),
  addresses: z.array(z.string()),
  chainId: z.string(),
  peers: z.object({ connected: z.number() }),
  bestTip: z.object({ hash: z.string(), height: z.number(), ledgerRoot: z.string() }),
  reorganisations: z.object({ count: z.number(), deepest: z.number() }),
  /** Null if no better tip is being pursued. */
  sync: z.object({ phase: z.string() }).nullable(),
  pools: z.object({
    transactions: poolSchema.extend({ keptAside: z.number() }),
    snarks: poolSchema,
    commitments: poolSchema,
  }),
  worker: z.object({ made: z.number() }).nullable(),
  bodies: z.object({ transactions: z.number(), snarks: z.number() }),
  /** Connections that ended, by who ended them and why. */
  disconnects: z.record(z.string(), z.number()),
});

const itemsSchema = z.array(z.object({ hash: z.string(), addedMs: z.number(), index: z.number() }));

/** Each page has one of the three lists. */
const pageSchema = z
  .object({ transactions: itemsSchema, snarks: itemsSchema, commitments: itemsSchema })
  .partial()
  .extend({ next: z.number().nullable() });

const blockSchema = z.object({
  hash: z.string(),
  parent: z.string(),
  height: z.number(),
  /** Null for a block that this node has without its body. */
  body: z.object({ transactions: z.array(z.string()) }).nullable(),
});

const peerSchema = z.object({ id: z.string(), bytesIn: z.number() });
const peersSchema = z.object({ peers: z.array(peerSchema) });

const addressSchema = z.object({
  address: z.string(),
  /** Tried: found by a dial of the node's choice. Fresh: the rest, which may have a lastSuccess too: a verified claim. */
  table: z.enum(["fresh", "tried"]),
  source: z.object({ id: z.string(), address: z.string() }),
  lastSuccess: z.string().nullable(),
  failures: z.number(),
  /** Null: now. */
  nextDial: z.string().nullable(),
  anchor: z.boolean(),
});
const addressesSchema = z.object({ addresses: z.array(addressSchema), next: z.string().nullable() });

const banSchema = z.object({
  id: z.string(),
  kind: z.enum(["key", "group"]),
  /** Null: for ever. */
  until: z.string().nullable(),
  reason: z.string(),
});
const bansSchema = z.object({ bans: z.array(banSchema), next: z.string().nullable() });

const submittedSchema = z.object({ hash: z.string() });

const accountSchema = z.object({ nonce: z.number(), nextNonce: z.number() });

const problemSchema = z.object({ title: z.string().optional(), detail: z.string().optional() });

/** The most that one answer has. */
const PAGE = 1_000;

/** @param pageAt fetches one page of a list that is in the order of texts */
async function everyPage<T>(
  path: string,
  pageAt: (path: string) => Promise<{ readonly items: readonly T[]; readonly next: string | null }>,
): Promise<readonly T[]> {
  const all: T[] = [];
  for (let after: string | null = ""; after !== null; ) {
    const page = await pageAt(`${path}?limit=${PAGE}&after=${encodeURIComponent(after)}`);
    all.push(...page.items);
    after = page.next;
  }
  return all;
}

function baseUrl(admin: string): string {
  const text = admin.includes("://") ? admin : `http://${admin}`;
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new AdminError(
      `"${admin}" is not a URL of a node's operator API, such as http://127.0.0.1:7380`,
      null,
    );
  }
  return `${parsed.protocol}//${parsed.host}`;
}

async function send(url: string, path: string, method: string, body: object | undefined): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const content =
    body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  try {
    return await fetch(`${url}${path}`, { method, signal, ...content });
  } catch (error) {
    throw new AdminError(
      `cannot reach a node at ${url}: ${causeOf(error)}; is it running with --admin there?`,
      null,
    );
  }
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

function refusalOf({ status }: Response, json: unknown, url: string): AdminError {
  const { data } = problemSchema.safeParse(json);
  const reason = data?.detail ?? data?.title;
  return new AdminError(reason ?? `${url} answers with HTTP status ${status}`, status);
}

/** `fetch failed` says nothing; its cause does. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${TIMEOUT_MS / 1_000} s`;
  const { cause } = error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: "nothing listens there",
    ENOTFOUND: "the host name is unknown",
    ECONNRESET: "the connection was cut",
    UND_ERR_SOCKET: "the connection was cut",
  };
  if (code !== undefined) return known[code] ?? code;
  return cause instanceof Error ? cause.message : error.message;
}
