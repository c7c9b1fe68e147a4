import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { Logger } from "pino";
import { DEFAULT_ADMISSION } from "../../core/state.ts";
import { type Api, startApi } from "../api.ts";
import { BANS_FILE_NAME } from "../bans-file.ts";
import { contradictionIn, type NodeConfig, parseSettings, resolveConfig, type Settings } from "../config.ts";
import { ephemeralKey, loadOrCreateKey } from "../key-file.ts";
import type { ListenAddress } from "../listen.ts";
import { createLogger } from "../log.ts";
import { type RunningNode, startNode } from "../node.ts";
import { admissionPerIp } from "../node-settings.ts";
import { PEERS_FILE_NAME } from "../peers-file.ts";
import { RecordingError } from "../recorder.ts";
import { StateFileError } from "../state-file.ts";
import { within } from "../within.ts";
import { announce } from "./banner.ts";
import { EXIT_BUG, EXIT_USER_ERROR, listenError, systemCode, UserError, userErrorOf } from "./errors.ts";
import { freePort } from "./free-port.ts";
import { keyFrom } from "./key.ts";
import { type End, untilEnd } from "./lifetime.ts";
import { addNodeOptions } from "./node-flags.ts";

/** In the data directory: ledgers on their way to this node. */
const STREAMS_DIRECTORY = "streams";
/** Everything has ended by then, whatever happens (P33). */
const EXIT_TIMEOUT_MS = 4_800;

type Flags = Omit<Settings, "produce"> & {
  readonly config?: string;
  /** Without its argument it is true. */
  readonly produce?: Settings["produce"] | true;
};

/** @param start what is done with the configuration */
export function nodeCommand(start: (config: NodeConfig) => Promise<void> = run): Command {
  return addNodeOptions(new Command("node").description("run one node"))
    .addHelpText("after", EXAMPLES)
    .action(async ({ config, produce, ...others }: Flags) => {
      const flags: Settings = { ...others, produce: produce === true ? "drawn" : produce };
      const settings = config === undefined ? {} : readSettings(config);
      const contradiction = contradictionIn(flags, settings);
      if (contradiction !== null) throw userErrorOf(new Error(contradiction));
      await start(resolveConfig(flags, settings));
    });
}

const EXAMPLES = `
Examples:
  $ pollen node
  $ pollen node --listen 0.0.0.0:7300 --data alice --max-peers 500
  $ pollen node --listen 127.0.0.1:7301 --admin 127.0.0.1:7381 \\
      --peer /ip4/127.0.0.1/tcp/7300/http/p2p/12D3KooW...
  $ pollen node --listen none --admin [::1]:0 --config node.json
  $ pollen node --produce 5 --slot 2s --genesis-time 2026-11-22T12:00:00Z
  $ pollen node --snark-worker --fee 3 --pool-size 10000

The operator API has no password: whoever reaches --admin controls the node.
Everybody can compute the keys of the test accounts: what they earn is worth nothing.`;

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
  throw new UserError(`${path} is not a valid configuration file: ${parsed.details.join("; ")}`);
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
  if (end.tag === "uncaught") log.fatal({ err: end.error }, "unexpected error, the node stops");
  const isStopped = (await within(EXIT_TIMEOUT_MS, stop(node, api))) !== "late";
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
    uploadBytesPerSecond: config.maxUpload,
    peersMin: config.minPeers ?? Math.floor(config.maxPeers / 2),
    admission: config.admissionPerIp === null ? DEFAULT_ADMISSION : admissionPerIp(config.admissionPerIp),
    trustedProxies: config.trustedProxy,
    capacity: config.poolSize,
    slotMs: config.slot,
    genesisMs: config.genesisTime,
    produce: config.produce,
    workFee: config.snarkWorker ? config.fee : null,
    streams: data === null ? null : join(data, STREAMS_DIRECTORY),
    bans: data === null ? null : join(data, BANS_FILE_NAME),
    addresses: data === null ? null : join(data, PEERS_FILE_NAME),
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
  if (error instanceof RecordingError || error instanceof StateFileError) return userErrorOf(error);
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
