import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, expect, test } from "vitest";
import { FOREVER_MS } from "../core/bans.ts";
import { toPeerId } from "../core/identity.ts";
import { BAN_MS } from "../core/limits.ts";
import { parseMultiaddr } from "../core/multiaddr.ts";
import { listBans, withBans } from "../reducers/bans.ts";
import { getNext, say } from "../reducers/testing/messages.ts";
import { freshRequestId, party, type TestNode, testNode } from "../reducers/testing/node.ts";
import { readyPeer } from "../reducers/testing/peers.ts";
import { offerFrom } from "../reducers/testing/signals.ts";
import { BANS_FILE_NAME, createBansFile, readBans } from "./bans-file.ts";
import { rawPublicKey } from "./ed25519.ts";
import { ephemeralKey } from "./key-file.ts";
import { type NodeOptions, type RunningNode, startNode } from "./node.ts";
import { admissionPerIp, DEFAULT_SETTINGS } from "./node-settings.ts";

const root = mkdtempSync(join(tmpdir(), "pollen-bans-"));
const running: RunningNode[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const freshPath = (): string => join(mkdtempSync(join(root, "data-")), BANS_FILE_NAME);
const silent = pino({ level: "silent" });

/** A logger, and what was said on it. */
function listening() {
  const said: { readonly level: number; readonly msg: string; readonly movedTo?: string }[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => said.push(JSON.parse(line)) });
  return { log, said };
}

/** What is left of the bans of a node by a process that ends, and what another begins with. */
async function restarted(node: TestNode, begun: TestNode): Promise<TestNode> {
  const path = freshPath();
  const file = createBansFile(path, begun.state, silent);
  file.observe(node.state);
  await file.close();
  const next = testNode();
  next.freeze(node.nowMs - next.nowMs);
  next.feed({ type: "tick" });
  return next.at(withBans(next.state, readBans(path, silent)));
}

test("P24: a violation bans the key for 24 h, across a restart", async () => {
  const node = testNode();
  const begun = node.at(node.state);
  const peer = readyPeer(node, "peer");
  say(node, peer.attemptId, getNext(0));
  say(node, peer.attemptId, getNext(0));
  node.pass(1_000);
  const next = await restarted(node, begun);
  const untilMs = node.nowMs + BAN_MS - 1_000;
  expect(listBans(next.state)).toEqual([
    { subject: { tag: "key", peerId: peer.peerId }, untilMs, reason: "overLimit" },
  ]);
  offerFrom(next, peer);
  expect(next.state.peers.size).toBe(0);
  next.pass(untilMs - next.nowMs);
  readyPeer(next, "peer");
});

test("P24: bans of groups and those for ever come back, what has ended while stopped does not", async () => {
  const node = testNode();
  const begun = node.at(node.state);
  const ban = (group: string, forMs: number | null) =>
    node.feed({ type: "command/ban", requestId: freshRequestId(), subject: { tag: "group", group }, forMs });
  ban("20.30.40.0/24", null);
  ban("20.30.41.0/24", 5_000);
  ban("20.30.42.0/24", 60_000);
  const path = freshPath();
  const file = createBansFile(path, begun.state, silent);
  file.observe(node.state);
  await file.close();
  const next = testNode();
  next.freeze(10_000);
  next.feed({ type: "tick" });
  const groups = listBans(withBans(next.state, readBans(path, silent)));
  expect(groups.map(({ subject, untilMs }) => [subject, untilMs])).toEqual([
    [{ tag: "group", group: "20.30.40.0/24" }, FOREVER_MS],
    [{ tag: "group", group: "20.30.42.0/24" }, node.nowMs + 60_000],
  ]);
});

test("bans: a lifted one is gone from the file, and a strike alone makes none", async () => {
  const path = freshPath();
  const node = testNode();
  const file = createBansFile(path, node.state, silent, { intervalMs: 1 });
  const subject = { tag: "key", peerId: party("peer").peerId } as const;
  node.feed({ type: "command/ban", requestId: freshRequestId(), subject, forMs: null });
  file.observe(node.state);
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(readBans(path, silent)).toHaveLength(1);
  node.feed({ type: "command/unban", requestId: freshRequestId(), subject });
  file.observe(node.state);
  await file.close();
  expect(readBans(path, silent)).toEqual([]);
});

const start = async (options: Partial<NodeOptions> = {}): Promise<RunningNode> => {
  const node = await startNode({
    ...DEFAULT_SETTINGS,
    key: ephemeralKey(),
    listen: { host: "127.0.0.1", port: 0 },
    admission: admissionPerIp(10_000),
    log: silent,
    ...options,
  });
  running.push(node);
  return node;
};

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("P24: who was banned does not come back when the node has restarted", async () => {
  const [bans, key] = [freshPath(), ephemeralKey()];
  const first = await start({ bans, key });
  const parsed = parseMultiaddr(first.address ?? "");
  if (parsed.tag !== "address") throw new Error(parsed.detail);
  const { address } = parsed;
  const peer = await start({ peers: [address], listen: null });
  await until(() => first.state().peers.get(peer.peerId)?.live != null);
  const subject = { tag: "key", peerId: peer.peerId } as const;
  expect((await first.command({ type: "command/ban", subject, forMs: BAN_MS })).tag).toBe("banned");
  await until(() => first.state().attempts.size === 0);
  expect(peer.state().endings).toEqual({ "them operator": 1 });
  await first.stop();
  const second = await start({ bans, key, listen: { host: "127.0.0.1", port: address.port } });
  expect(listBans(second.state())).toMatchObject([{ subject, reason: "operator" }]);
  const again = await start({ key: ephemeralKey(), peers: [address], listen: null });
  await until(() => second.state().peers.get(again.peerId)?.live != null);
  await peer.command({ type: "command/disconnect", peerId: second.peerId });
  await peer.command({ type: "command/dial", address });
  await until(() =>
    [...peer.state().targets.values()].some(({ nextMs }) => nextMs > Date.now() + BAN_MS / 2),
  );
  expect(second.state().peers.has(peer.peerId)).toBe(false);
});

test("bans: with a damaged or newer file the node starts without them, says so and keeps the file", async () => {
  const { peerId } = { peerId: toPeerId(rawPublicKey(ephemeralKey())) };
  const entry = { id: peerId, untilMs: null, reason: "operator" };
  const contents = [
    `{"version":1,"content":[{"id":"${peerId}"`,
    JSON.stringify({ version: 2, content: [] }),
    JSON.stringify({ version: 1, content: [{ ...entry, id: "bob" }] }),
    JSON.stringify({ version: 1, content: [{ ...entry, reason: "whim" }] }),
    JSON.stringify({ version: 1, content: [{ ...entry, untilMs: -1 }] }),
    JSON.stringify({ version: 1, content: [{ ...entry, more: 1 }] }),
  ];
  for (const text of contents) {
    const bans = freshPath();
    writeFileSync(bans, text);
    const { log, said } = listening();
    const node = await start({ bans, log, listen: null });
    expect(listBans(node.state())).toEqual([]);
    expect(said).toMatchObject([{ level: 40, msg: expect.stringContaining("starts without them") }]);
    expect(readFileSync(said[0]?.movedTo ?? "", "utf8")).toBe(text);
    expect(readdirSync(join(bans, ".."))).toHaveLength(1);
  }
});
