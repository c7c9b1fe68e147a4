import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, expect, test, vi } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { testAccountKey, testGenesis } from "../chain/genesis.ts";
import { rawPublicKey } from "../ed25519.ts";
import type { ReadyMessage } from "./banner.ts";
import { UserError } from "./errors.ts";
import { readSettings } from "./node.ts";

const POLLEN = fileURLToPath(new URL("pollen.mjs", import.meta.url));
const OTHER_PEER = "12D3KooWQy6cLvrYWKEcxh3rbDN2GrH6i3wfqK4cGEqQkMYJjcvF";

// Each process loads everything; on a busy machine that takes long.
vi.setConfig({ testTimeout: 60_000 });

const directory = mkdtempSync(join(tmpdir(), "pollen-"));
const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

interface Run {
  readonly child: ChildProcess;
  /** Fails if the process ends before. */
  readonly ready: Promise<ReadyMessage>;
  readonly exit: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
  readonly output: () => { readonly out: string; readonly err: string };
}

function pollen(args: readonly string[], execArgv: readonly string[] = []): Run {
  const stdio = ["ignore", "pipe", "pipe", "ipc"] as const;
  const child = fork(POLLEN, args, { stdio: [...stdio], execArgv: [...execArgv], cwd: directory });
  children.add(child);
  const outputs = [child.stdout, child.stderr].filter((stream) => stream !== null);
  let out = "";
  let err = "";
  child.stdout?.on("data", (part) => {
    out += String(part);
  });
  child.stderr?.on("data", (part) => {
    err += String(part);
  });
  // Not "close": it never comes once the parent has disconnected.
  const ends = [once(child, "exit"), ...outputs.map((stream) => once(stream, "close"))];
  const exit = Promise.all(ends).then(([[code] = [] as unknown[]]) => {
    children.delete(child);
    return { code: code as number | null, out, err };
  });
  const ready = Promise.race([
    once(child, "message").then(([message]) => message as ReadyMessage),
    exit.then((ended) => Promise.reject(new Error(`ended before it was ready: ${JSON.stringify(ended)}`))),
  ]);
  ready.catch(() => undefined);
  return { child, ready, exit, output: () => ({ out, err }) };
}

const status = async (admin: string | null): Promise<unknown> => (await fetch(`${admin}/v1/status`)).json();

const EPHEMERAL = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

test("P34 config: every key of a file has its effect, a flag wins, and a parent that leaves ends the node", async () => {
  const file = join(directory, "node.json");
  const genesisTime = new Date().toISOString();
  const settings = {
    listen: "[::1]:0",
    admin: "localhost:0",
    peer: [`/ip4/127.0.0.1/tcp/1/http/p2p/${OTHER_PEER}`],
    data: join(directory, "data"),
    record: join(directory, "config-run"),
    maxPeers: 7,
    poolSize: 12,
    slot: "200ms",
    genesisTime,
    produce: 11,
    snarkWorker: true,
    fee: 13,
    admissionPerIp: 1,
    trustedProxy: ["::1"],
    logLevel: "debug",
    jsonLogs: true,
  };
  writeFileSync(file, JSON.stringify(settings));
  const { child, ready, exit, output } = pollen(["node", "--config", file, "--max-peers", "6"]);
  const { type, peerId, address, admin } = await ready;
  expect(type).toBe("ready");
  // listen, admin, jsonLogs
  expect(address).toMatch(/^\/ip6\/::1\/tcp\/\d+\/http\/p2p\/12D3KooW/);
  expect(admin).toMatch(/^http:\/\/localhost:\d+$/);
  const banner = JSON.parse(output().out) as Record<string, unknown>;
  expect(banner).toMatchObject({
    peerId,
    addresses: [address],
    admin,
    data: settings.data,
    record: settings.record,
    account: 11,
  });
  // Whoever joins must be on the same chain.
  const joining = `--peer ${address} --slot 200ms --genesis-time ${Date.parse(genesisTime)}`;
  expect(banner).toMatchObject({ join: expect.stringContaining(joining) });
  // maxPeers, by the flag
  expect(await status(admin)).toMatchObject({ peerId, addresses: [address], peers: { max: 6 } });
  // slot, genesisTime: covered by the id of the chain; poolSize, produce, snarkWorker, fee
  const { chainId } = testGenesis({ slotMs: 200, genesisMs: Date.parse(genesisTime) });
  const account = { number: 11, key: toHex(rawPublicKey(testAccountKey(11))) };
  expect(await status(admin)).toMatchObject({
    chainId,
    pools: { transactions: { capacity: 12 } },
    producer: { enabled: true, account },
    worker: { enabled: true, account, fee: "13" },
  });
  // data
  expect(statSync(join(settings.data, "key.pem")).mode & 0o777).toBe(0o600);
  // admissionPerIp and trustedProxy: one offer per client, and the clients are those behind the proxy
  const port = /\/tcp\/(\d+)\//.exec(address ?? "")?.[1];
  const offer = async (client: string): Promise<number> => {
    const headers = { "content-type": "application/octet-stream", "x-forwarded-for": client };
    return (await fetch(`http://[::1]:${port}/pollen/1/signal`, { method: "POST", body: "x", headers }))
      .status;
  };
  expect([await offer("8.8.8.8"), await offer("8.8.8.8"), await offer("9.9.9.9")]).toEqual([400, 429, 400]);
  child.disconnect();
  const { code, err } = await exit;
  expect(code).toBe(0);
  const lines = err
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  // peer, logLevel
  expect(lines).toContainEqual(
    expect.objectContaining({ msg: "dialing", address: settings.peer[0], level: 20 }),
  );
  // record
  const header = readFileSync(join(settings.record, "000000.ndjson"), "utf8").split("\n", 1)[0] ?? "";
  expect(header).toContain(peerId);
});

test("the banner says how to join; SIGTERM ends cleanly; a port in use is an error that says what to do", async () => {
  const first = pollen(["node", ...EPHEMERAL]);
  const { peerId, address, admin } = await first.ready;
  const { out } = first.output();
  for (const part of [peerId, address, admin, "ephemeral"]) expect(out).toContain(part);
  expect(out).toMatch(
    new RegExp(
      `npm start -- node --listen 127\\.0\\.0\\.1:\\d+ --admin 127\\.0\\.0\\.1:\\d+ --peer ${address}\n`,
    ),
  );
  const port = new URL(admin ?? "").port;
  const second = await pollen(["node", "--listen", "127.0.0.1:0", "--admin", `127.0.0.1:${port}`]).exit;
  expect(second).toMatchObject({ code: 1, out: "" });
  expect(second.err).toMatch(
    new RegExp(`^pollen: port ${port} on 127\\.0\\.0\\.1 is in use: .* --admin 127\\.0\\.0\\.1:\\d+\n$`),
  );
  first.child.kill("SIGTERM");
  expect(await first.exit).toMatchObject({ code: 0 });
});

test("a bug exits with 70, after the recording was closed, and names it", async () => {
  const record = join(directory, "bug-run");
  const plant = "process.on('message', () => { throw new Error('planted') })";
  const { child, ready, exit } = pollen(
    ["node", ...EPHEMERAL, "--record", record],
    ["--import", `data:text/javascript,${encodeURIComponent(plant)}`],
  );
  await ready;
  child.send("now");
  const { code, err } = await exit;
  expect(code).toBe(70);
  expect(err).toContain(
    `pollen: a bug stopped the node (planted): please report it with the recording ${record}\n`,
  );
  for (const name of readdirSync(record)) {
    const bytes = readFileSync(join(record, name));
    expect((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).at(-1)).toBe("\n".charCodeAt(0));
  }
});

test("a configuration that cannot be used is an error of the user, in one line", () => {
  const bad = join(directory, "bad.json");
  writeFileSync(bad, '{ "maxPeer": 5, "listen": 1 }');
  expect(() => readSettings(bad)).toThrow(
    new UserError(
      `${bad} is not a valid configuration file: listen: expected string, got 1; unknown key "maxPeer"; did you mean "maxPeers"?`,
    ),
  );
  const none = join(directory, "none.json");
  expect(() => readSettings(none)).toThrow(
    new UserError(`cannot read the configuration ${none} (ENOENT): check the path after --config`),
  );
});
