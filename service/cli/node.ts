import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Command } from "commander";
import type { Logger } from "pino";
import { DEFAULT_ADMISSION } from "../../core/state.ts";
import { type Api, startApi } from "../api.ts";
import {
  DEFAULT_CONFIG,
  type NodeConfig,
  parseSettings,
  resolveConfig,
  type Settings,
  settingSchemas,
} from "../config.ts";
import { ephemeralKey, loadOrCreateKey } from "../key-file.ts";
import { createLogger, LOG_LEVELS } from "../log.ts";
import { admissionPerIp, type RunningNode, startNode } from "../node.ts";
import { RecordingError } from "../recorder.ts";
import type { ListenAddress } from "../signaling-server.ts";
import {
  EXIT_BUG,
  EXIT_USER_ERROR,
  formatListen,
  listenError,
  systemCode,
  UserError,
  userErrorOf,
} from "./errors.ts";
import { freePort } from "./free-port.ts";
import { keyFrom } from "./key.ts";
import { type End, inTime, untilEnd } from "./lifetime.ts";
import { listParserOf, numberParserOf, parserOf } from "./options.ts";

/** What a node that was started as a child process sends its parent once it can be reached. */
export interface ReadyMessage {
  readonly type: "ready";
  readonly peerId: string;
  /** Null for a node that only dials. */
  readonly address: string | null;
  /** The URL of the operator API, if it has one. */
  readonly admin: string | null;
}

/** Everything has ended by then, whatever happens (P33). */
const EXIT_TIMEOUT_MS = 4_800;

type Flags = Settings & { readonly config?: string };

/** @param start what is done with the configuration */
export function nodeCommand(start: (config: NodeConfig) => Promise<void> = run): Command {
  const { listen, admin, peer, maxPeers, admissionPerIp: perIp, trustedProxy, logLevel } = settingSchemas;
  return new Command("node")
    .description("run one node")
    .option(
      "--listen <host:port>",
      `where others dial this node, or none (default: ${shown("listen")})`,
      parserOf(listen),
    )
    .option("--admin <host:port>", `the operator API, or none (default: ${shown("admin")})`, parserOf(admin))
    .option("--peer <multiaddr>", "keep connected to this node; repeatable", listParserOf(peer))
    .option("--data <dir>", "keep the identity here (default: a new one at each start)")
    .option("--record <dir>", "record all inputs of this run in a new directory, for `pollen replay`")
    .option("--config <file>", "JSON with these options in camelCase; the command line wins")
    .option(
      "--max-peers <n>",
      `connections, half-open ones included (default: ${DEFAULT_CONFIG.maxPeers})`,
      numberParserOf(maxPeers),
    )
    .option("--admission-per-ip <n>", "offers one address may make at once", numberParserOf(perIp))
    .option("--trusted-proxy <cidr>", "believe X-Forwarded-For of it; repeatable", listParserOf(trustedProxy))
    .option(
      "--log-level <level>",
      `${LOG_LEVELS.join(", ")} (default: ${DEFAULT_CONFIG.logLevel})`,
      parserOf(logLevel),
    )
    .option("--json-logs", "the log, and what is printed at the start, as lines of JSON")
    .addHelpText("after", EXAMPLES)
    .action(async ({ config, ...flags }: Flags) => {
      const settings = config === undefined ? {} : readSettings(config);
      await start(resolveConfig(flags, settings));
    });
}

const shown = (setting: "listen" | "admin"): string => {
  const address = DEFAULT_CONFIG[setting];
  return address === null ? "none" : formatListen(address);
};

const EXAMPLES = `
Examples:
  $ pollen node
  $ pollen node --listen 0.0.0.0:7300 --data alice --max-peers 500
  $ pollen node --listen 127.0.0.1:7301 --admin 127.0.0.1:7381 \\
      --peer /ip4/127.0.0.1/tcp/7300/http/p2p/12D3KooW...
  $ pollen node --listen none --admin [::1]:0 --config node.json

The operator API has no password: whoever reaches --admin controls the node.`;

/** @throws UserError */
export function readSettings(path: string): Settings {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UserError(
      `cannot read the configuration ${path} (${systemCode(error)}): check the path after --config`,
    );
  }
  const parsed = parseSettings(text);
  if (parsed.tag === "parsed") return parsed.value;
  throw new UserError(`${path} is no valid configuration: ${parsed.details.join("; ")}`);
}

/** Runs a node until a signal, the end of the parent or a bug. Ends the process. */
async function run(config: NodeConfig): Promise<void> {
  // A reader that has gone must not end the node.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const ending = untilEnd(process, () => performance.now());
  const log = createLogger(config.logLevel, config.jsonLogs);
  const { node, api } = await start(config, log);
  const bug = node.ended.then((error): End => ({ tag: "bug", error }));
  const failure = announce(config, node, api).then(
    () => new Promise<never>(() => undefined),
    (error: unknown): End => ({ tag: "uncaught", error }),
  );
  const end = await Promise.race([ending, bug, failure]);
  if (end.tag === "signal") log.info({ signal: end.signal }, "stopping");
  if (end.tag === "uncaught") log.fatal({ err: end.error }, "an error that nobody expected: the node stops");
  const isStopped = await inTime(EXIT_TIMEOUT_MS, stop(node, api));
  process.exit(exitCode(end, isStopped, config.record));
}

async function start(
  config: NodeConfig,
  log: Logger,
): Promise<{ readonly node: RunningNode; readonly api: Api | null }> {
  const { listen, admin, data, record } = config;
  const node = await startNode({
    key: data === null ? ephemeralKey() : keyFrom(data, loadOrCreateKey),
    listen,
    peers: config.peer,
    peersMax: config.maxPeers,
    admission: config.admissionPerIp === null ? DEFAULT_ADMISSION : admissionPerIp(config.admissionPerIp),
    trustedProxies: config.trustedProxy,
    record,
    log,
  }).catch(async (error: unknown) => {
    throw await startError(error, "--listen", listen);
  });
  if (admin === null) return { node, api: null };
  try {
    return { node, api: await startApi({ node, listen: admin, log }) };
  } catch (error) {
    await node.stop();
    throw await startError(error, "--admin", admin);
  }
}

/** What the user can change becomes a UserError, everything else stays the bug it is. */
async function startError(error: unknown, flag: string, address: ListenAddress | null): Promise<unknown> {
  if (error instanceof RecordingError) return userErrorOf(error);
  const code = systemCode(error);
  if (code === undefined || address === null) return error;
  const free = code === "EADDRINUSE" ? await freePort(address.host, address.port + 1) : undefined;
  return listenError(flag, address, code, free);
}

/** The API answers as long as the node says Goodbye; commands are refused then. */
async function stop(node: RunningNode, api: Api | null): Promise<void> {
  await node.stop();
  await api?.close();
}

function exitCode(end: End, isStopped: boolean, record: string | null): number {
  if (end.tag === "bug" || end.tag === "uncaught") {
    const message = end.error instanceof Error ? end.error.message : String(end.error);
    const evidence =
      record === null ? "run the node with --record to have a recording" : `the recording ${record}`;
    complain(`a bug stopped the node (${message}): please report it with ${evidence}`);
    return EXIT_BUG;
  }
  if (isStopped) return 0;
  complain(`the node did not stop within ${EXIT_TIMEOUT_MS / 1_000} s: it was ended`);
  return EXIT_USER_ERROR;
}

const complain = (text: string): void => {
  process.stderr.write(`pollen: ${text.replace(/\s*\n\s*/g, " ")}\n`);
};

/** Tells the user, and the parent if there is one, how the node is reached. */
async function announce(config: NodeConfig, node: RunningNode, api: Api | null): Promise<void> {
  const { peerId, address } = node;
  const admin = api?.url ?? null;
  const joining = address === null ? null : await joinCommand(address, config, api);
  if (config.jsonLogs) {
    const addresses = address === null ? [] : [address];
    process.stdout.write(
      `${JSON.stringify({ peerId, addresses, admin, data: config.data, record: config.record, join: joining })}\n`,
    );
  } else {
    process.stdout.write(banner(config, { peerId, address, admin, join: joining }));
  }
  const ready: ReadyMessage = { type: "ready", peerId, address, admin };
  process.send?.(ready);
}

interface Reached {
  readonly peerId: string;
  readonly address: string | null;
  readonly admin: string | null;
  readonly join: string | null;
}

function banner({ data, record }: NodeConfig, { peerId, address, admin, join: joined }: Reached): string {
  const identity =
    data === null
      ? "ephemeral, a new one at each start: keep it with --data DIR"
      : `kept in ${join(data, "key.pem")}`;
  const lines = [
    ["peer id", peerId],
    ["identity", identity],
    ["address", address ?? "none, this node only dials"],
    ["admin", admin === null ? "none" : `${admin}/v1/status`],
    ...(record === null ? [] : [["recording", record]]),
    ...(joined === null ? [] : [["join it", joined]]),
  ];
  return `${lines.map(([name = "", text]) => `${name.padEnd(10)} ${text}`).join("\n")}\n`;
}

/** The command by which a second node on this machine joins this one, with ports that are free now. */
async function joinCommand(address: string, { listen, admin }: NodeConfig, api: Api | null): Promise<string> {
  const host = listen === null || ANY_HOST.includes(listen.host) ? LOOPBACK : listen.host;
  const adminHost = admin === null || ANY_HOST.includes(admin.host) ? LOOPBACK : admin.host;
  const listenPort = (await freePort(host, portOf(address) + 1)) ?? 0;
  const adminFrom = (api?.port ?? DEFAULT_CONFIG.admin?.port ?? 0) + 1;
  const adminPort = (await freePort(adminHost, adminFrom, [listenPort])) ?? 0;
  const isInstalled = basename(process.argv[1] ?? "") === "pollen";
  return [
    isInstalled ? "pollen node" : "npm start -- node",
    `--listen ${formatListen({ host, port: listenPort })}`,
    `--admin ${formatListen({ host: adminHost, port: adminPort })}`,
    `--peer ${address}`,
  ].join(" ");
}

const LOOPBACK = "127.0.0.1";
const ANY_HOST: readonly string[] = ["0.0.0.0", "::"];

const portOf = (address: string): number => Number(/\/tcp\/(\d+)\//.exec(address)?.[1]);
