import { basename, join } from "node:path";
import type { Api } from "../api.ts";
import { DEFAULT_CONFIG, type NodeConfig } from "../config.ts";
import type { RunningNode } from "../node.ts";
import { formatListen } from "./errors.ts";
import { freePort } from "./free-port.ts";

/** What a node that was started as a child process sends its parent once it can be reached. */
export interface ReadyMessage {
  readonly type: "ready";
  readonly peerId: string;
  /** Null for a node that only dials. */
  readonly address: string | null;
  /** The URL of the operator API, if it has one. */
  readonly admin: string | null;
}

/** Tells the user, and the parent if there is one, how the node is reached. */
export async function announce(config: NodeConfig, node: RunningNode, api: Api | null): Promise<void> {
  const { peerId, address } = node;
  const admin = api?.url ?? null;
  const joining = address === null ? null : await joinCommand(address, config, api);
  if (config.jsonLogs) {
    const addresses = address === null ? [] : [address];
    const { data, record } = config;
    const told = {
      peerId,
      addresses,
      admin,
      account: node.account?.number ?? null,
      data,
      record,
      join: joining,
    };
    process.stdout.write(`${JSON.stringify(told)}\n`);
  } else {
    process.stdout.write(
      banner(config, { peerId, address, admin, account: node.account?.number ?? null, join: joining }),
    );
  }
  const ready: ReadyMessage = { type: "ready", peerId, address, admin };
  process.send?.(ready);
}

interface Reached {
  readonly peerId: string;
  readonly address: string | null;
  readonly admin: string | null;
  readonly account: number | null;
  readonly join: string | null;
}

function banner(config: NodeConfig, { peerId, address, admin, account, join: joined }: Reached): string {
  const { data, record } = config;
  const identity =
    data === null
      ? "ephemeral, a new one at each start: keep it with --data DIR"
      : `kept in ${join(data, "key.pem")}`;
  const lines = [
    ["peer id", peerId],
    ["identity", identity],
    ["address", address ?? "none, this node only dials"],
    ["admin", admin === null ? "none" : `${admin}/v1/status`],
    ...(account === null ? [] : [["account", accountText(config, account)]]),
    ...(record === null ? [] : [["recording", record]]),
    ...(joined === null ? [] : [["join it", joined]]),
  ];
  return `${lines.map(([name = "", text]) => `${name.padEnd(10)} ${text}`).join("\n")}\n`;
}

function accountText({ produce, snarkWorker, fee }: NodeConfig, account: number): string {
  const roles = [
    ...(produce === null ? [] : ["makes blocks"]),
    ...(snarkWorker ? [`makes SNARK work for ${fee} each`] : []),
  ];
  return `test account ${account} ${roles.join(" and ")}; everybody can compute its key`;
}

/** The command by which a second node on this machine joins this one, with ports that are free now. */
async function joinCommand(address: string, config: NodeConfig, api: Api | null): Promise<string> {
  const { listen, admin, slot, genesisTime } = config;
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
    // Without these it would be on another chain.
    ...(slot === DEFAULT_CONFIG.slot ? [] : [`--slot ${slot}ms`]),
    ...(genesisTime === DEFAULT_CONFIG.genesisTime ? [] : [`--genesis-time ${genesisTime}`]),
  ].join(" ");
}

const LOOPBACK = "127.0.0.1";
const ANY_HOST: readonly string[] = ["0.0.0.0", "::"];

const portOf = (address: string): number => Number(/\/tcp\/(\d+)\//.exec(address)?.[1]);
