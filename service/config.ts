import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { PEERS_MAX_DEFAULT } from "../core/limits.ts";
import { type DialAddress, parseMultiaddr } from "../core/multiaddr.ts";
import { type Parsed, parseJson } from "./json-input.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import type { ListenAddress } from "./signaling-server.ts";

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
const ADMISSION_PER_IP_MAX = 1_000_000;

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

/** One schema per setting, for flags and files alike. */
export const settingSchemas = {
  listen: listenSchema,
  admin: listenSchema,
  peer: z.array(dialAddressSchema),
  data: z.string().min(1),
  record: z.string().min(1),
  maxPeers: z.int().min(1).max(PEERS_MAX_MAX),
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
  maxPeers: PEERS_MAX_DEFAULT,
  admissionPerIp: null,
  trustedProxy: [],
  logLevel: "info",
  jsonLogs: false,
};

/** @param text a configuration file: JSON, any of the keys */
export const parseSettings = (text: string): Parsed<Settings> => parseJson(settingsSchema, text);

/** Flags win over the file, the file over the defaults. */
export function resolveConfig(flags: Settings, file: Settings): NodeConfig {
  const { listen, admin, ...others } = { ...given(file), ...given(flags) };
  return {
    ...DEFAULT_CONFIG,
    ...others,
    listen: listen === NONE ? null : (listen ?? DEFAULT_CONFIG.listen),
    admin: admin === NONE ? null : (admin ?? DEFAULT_CONFIG.admin),
  };
}

type Given = { readonly [Key in keyof Settings]?: Exclude<Settings[Key], undefined> };

const given = (settings: Settings): Given =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));

/** Address literals and names; what the system makes of a name is seen when it listens. */
const HOST = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const PORT_MAX = 65_535;

const message = (text: string, detail: string): string => `${JSON.stringify(text.slice(0, 256))} ${detail}`;

const custom = (input: string, detail: string) => ({
  code: "custom" as const,
  input,
  message: detail.startsWith("expected") ? `${detail}, got ${JSON.stringify(input)}` : message(input, detail),
});
