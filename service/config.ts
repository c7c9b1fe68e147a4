import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { type DialAddress, parseMultiaddr } from "../core/multiaddr.ts";
import { TEST_ACCOUNTS } from "./chain/genesis.ts";
import { parseBytesPerSecond, RATE_EXAMPLES } from "./data-rate.ts";
import { parseDurationMs } from "./duration.ts";
import { type Parsed, parseJson } from "./json-input.ts";
import type { ListenAddress } from "./listen.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { type AccountChoice, DEFAULT_SETTINGS } from "./node-settings.ts";

/** What an operator can set for a node, by flags or in a file; the keys are the flags in camelCase. */
export type Settings = z.infer<typeof settingsSchema>;

/** All settings of one node. */
export interface NodeConfig {
  /** Null: the node only dials. */
  readonly listen: ListenAddress | null;
  /** Null: no operator API. */
  readonly admin: ListenAddress | null;
  readonly peer: readonly DialAddress[];
  /** Null: nothing is kept, the identity is a new one at each start. */
  readonly data: string | null;
  readonly record: string | null;
  readonly maxPeers: number;
  /** With fewer, the node asks its peers for others; null: half of maxPeers. */
  readonly minPeers: number | null;
  /** What all connections may send together, bytes per second; null: no limit. */
  readonly maxUpload: number | null;
  /** Transactions the pool holds at most. */
  readonly poolSize: number;
  /** Duration of a slot of the chain, ms. */
  readonly slot: number;
  /** Start of slot 0, ms since the Unix epoch. */
  readonly genesisTime: number;
  /** The account that makes blocks; null: this node makes none. */
  readonly produce: AccountChoice | null;
  readonly snarkWorker: boolean;
  /** What a worker asks for each proof. */
  readonly fee: bigint;
  /** Null: the limits of 3.2. */
  readonly admissionPerIp: number | null;
  readonly trustedProxy: readonly string[];
  readonly logLevel: LogLevel;
  readonly jsonLogs: boolean;
}

/** Not null: that is what commander takes for an option without its argument. */
const NONE = "none";

/** More connections than one process can serve. */
const PEERS_MAX_MAX = 10_000;
/** With less, a message of 64 KiB takes longer than peers wait for it. */
const UPLOAD_MIN = 20_000;
const ADMISSION_PER_IP_MAX = 1_000_000;
/** Digesting and reconciling a pool costs time proportional to its size. */
const POOL_SIZE_MAX = 100_000;
/** Shorter than a block takes to spread, every slot is a fork; longer, nobody waits for it. */
const SLOT_MS_MIN = 100;
const SLOT_MS_MAX = 3_600_000;
/** With slots of SLOT_MS_MIN their numbers fit into 32 bits until 2033, with the default for centuries. */
const GENESIS_MS_MIN = Date.UTC(2020, 0, 1);
/** A clock that is further ahead is wrong. */
const GENESIS_MS_MAX = Date.UTC(2100, 0, 1);

/** `HOST:PORT`, `[IPV6]:PORT`, or `none`. */
const listenSchema = z.string().transform((text, context): ListenAddress | typeof NONE => {
  if (text === NONE) return NONE;
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  const isHost = match?.[1] === undefined ? HOST.test(host) : isIP(host) === 6;
  if (isHost && port <= PORT_MAX) return { host, port };
  context.issues.push(custom(text, "expected HOST:PORT, [IPV6]:PORT or none"));
  return z.NEVER;
});

const dialAddressSchema = z.string().transform((text, context): DialAddress => {
  const parsed = parseMultiaddr(text);
  if (parsed.tag === "address") return parsed.address;
  context.issues.push(custom(text, parsed.detail));
  return z.NEVER;
});

const proxySchema = z.string().refine((text) => isIP(text) !== 0 || ipaddr.isValidCIDR(text), {
  error: ({ input }) => message(String(input), "is neither an IP address nor a range such as 10.0.0.0/8"),
});

const slotSchema = z.string().transform((text, context): number => {
  const ms = parseDurationMs(text);
  if (ms !== undefined && Number.isInteger(ms) && ms >= SLOT_MS_MIN && ms <= SLOT_MS_MAX) return ms;
  context.issues.push(custom(text, `expected ${SLOT_MS_MIN}ms to ${SLOT_MS_MAX / 3_600_000}h`));
  return z.NEVER;
});

const uploadSchema = z.string().transform((text, context): number => {
  const rate = parseBytesPerSecond(text);
  if (rate !== undefined && rate >= UPLOAD_MIN) return rate;
  context.issues.push(custom(text, `expected at least ${UPLOAD_MIN / 1_000}kB/s, such as ${RATE_EXAMPLES}`));
  return z.NEVER;
});

/** An ISO time, whose meaning does not depend on where it is read, or ms since the Unix epoch. */
const genesisTimeSchema = z.unknown().transform((given, context): number => {
  const ms = msOf(given);
  if (ms !== undefined && ms >= GENESIS_MS_MIN && ms <= GENESIS_MS_MAX) return ms;
  const expected = "expected an ISO time such as 2026-01-01T00:00:00Z, or ms since 1970, from 2020 to 2100";
  context.issues.push(custom(given, expected));
  return z.NEVER;
});

/** `true` is the flag without a number; `false`, in a file, means the same as no setting. */
const produceSchema = z.unknown().transform((given, context): AccountChoice | typeof NONE => {
  if (given === true) return "drawn";
  if (given === false) return NONE;
  if (Number.isInteger(given) && Number(given) >= 0 && Number(given) < TEST_ACCOUNTS) return Number(given);
  context.issues.push(custom(given, `expected the number of a test account, 0 to ${TEST_ACCOUNTS - 1}`));
  return z.NEVER;
});

/** One schema per setting, for flags and files alike. */
export const settingSchemas = {
  listen: listenSchema,
  admin: listenSchema,
  peer: z.array(dialAddressSchema),
  data: z.string().min(1),
  record: z.string().min(1),
  maxPeers: z.int().min(1).max(PEERS_MAX_MAX),
  minPeers: z.int().min(0).max(PEERS_MAX_MAX),
  maxUpload: uploadSchema,
  poolSize: z.int().min(1).max(POOL_SIZE_MAX),
  slot: slotSchema,
  genesisTime: genesisTimeSchema,
  produce: produceSchema,
  snarkWorker: z.boolean(),
  fee: z.int().min(0).transform(BigInt),
  admissionPerIp: z.int().min(1).max(ADMISSION_PER_IP_MAX),
  trustedProxy: z.array(proxySchema),
  logLevel: z.enum(LOG_LEVELS),
  jsonLogs: z.boolean(),
};

const settingsSchema = z.strictObject(settingSchemas).partial();

export const DEFAULT_CONFIG: NodeConfig = {
  listen: { host: "127.0.0.1", port: 7300 },
  admin: { host: "127.0.0.1", port: 7380 },
  peer: [],
  data: null,
  record: null,
  maxPeers: DEFAULT_SETTINGS.peersMax,
  minPeers: null,
  maxUpload: null,
  poolSize: DEFAULT_SETTINGS.capacity,
  slot: DEFAULT_SETTINGS.slotMs,
  genesisTime: DEFAULT_SETTINGS.genesisMs,
  produce: null,
  snarkWorker: false,
  fee: 1n,
  admissionPerIp: null,
  trustedProxy: [],
  logLevel: "info",
  jsonLogs: false,
};

/** @param text a configuration file: JSON, any of the keys */
export const parseSettings = (text: string): Parsed<Settings> => parseJson(settingsSchema, text);

/** Flags win over the file, the file over the defaults. */
export function resolveConfig(flags: Settings, file: Settings): NodeConfig {
  const { listen, admin, produce, ...others } = { ...given(file), ...given(flags) };
  return {
    ...DEFAULT_CONFIG,
    ...others,
    listen: listen === NONE ? null : (listen ?? DEFAULT_CONFIG.listen),
    admin: admin === NONE ? null : (admin ?? DEFAULT_CONFIG.admin),
    produce: produce === NONE ? null : (produce ?? DEFAULT_CONFIG.produce),
  };
}

/** What contradicts itself in the settings, for the operator; null: nothing. */
export function contradictionIn(flags: Settings, file: Settings): string | null {
  const { fee, snarkWorker } = { ...given(file), ...given(flags) };
  if (fee === undefined || snarkWorker === true) return null;
  return "--fee applies to SNARK workers only; add --snark-worker or remove --fee";
}

type Given = { readonly [Key in keyof Settings]?: Exclude<Settings[Key], undefined> };

const given = (settings: Settings): Given =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));

/** Address literals and names; what the system makes of a name is seen when it listens. */
const HOST = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const PORT_MAX = 65_535;

/** With its offset: it must not mean another time elsewhere. */
const isoTime = z.iso.datetime({ offset: true });

function msOf(given: unknown): number | undefined {
  if (typeof given === "number") return Number.isInteger(given) ? given : undefined;
  if (typeof given !== "string") return undefined;
  if (/^\d{1,15}$/.test(given)) return Number(given);
  return isoTime.safeParse(given).success ? Date.parse(given) : undefined;
}

const message = (text: string, detail: string): string => `${JSON.stringify(text.slice(0, 256))} ${detail}`;

const custom = (input: unknown, detail: string) => ({
  code: "custom" as const,
  input,
  message: detail.startsWith("expected")
    ? `${detail}, got ${JSON.stringify(input)}`
    : message(String(input), detail),
});
