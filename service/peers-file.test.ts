import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { hear } from "../core/address-book.ts";
import { formatMultiaddr, parseMultiaddr } from "../core/multiaddr.ts";
import { anchorsOf, withBook } from "../reducers/book/kept.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import { party, type TestNode, testNode } from "../reducers/testing/node.ts";
import { openTransport, readyPeer, sayHello } from "../reducers/testing/peers.ts";
import { effectsOf } from "../reducers/testing/results.ts";
import { addressOf, dialTo } from "../reducers/testing/signals.ts";
import { ephemeralKey } from "./key-file.ts";
import { type RunningNode, startNode } from "./node.ts";
import { admissionPerIp, DEFAULT_SETTINGS, type NodeSettings } from "./node-settings.ts";
import { createPeersFile, PEERS_FILE_NAME, readPeers } from "./peers-file.ts";

const root = mkdtempSync(join(tmpdir(), "pollen-peers-"));
const running: RunningNode[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const freshPath = (): string => join(mkdtempSync(join(root, "data-")), PEERS_FILE_NAME);
const silent = pino({ level: "silent" });

const CHOSEN = ["third", "first", "second"];

/** A node that has dialed four peers one after another, the first for its operator, and heard of others. */
function experienced(): TestNode {
  const node = testNode({ peersMin: 8 }, "us", undefined, (state) => {
    let { addresses } = state.book;
    for (let number = 0; number < 40; number++) {
      const address = { ...addressOf(party(`somebody ${number}`)), host: `50.0.${number}.1` };
      addresses = hear(addresses, address, {
        peerId: party(`teller ${number % 3}`).peerId,
        remoteAddress: "60.0.0.1",
      });
    }
    return { ...state, book: { ...state.book, addresses } };
  });
  for (const name of ["operator's", ...CHOSEN]) {
    const { attemptId } = dialTo(node, party(name));
    openTransport(node, attemptId);
    sayHello(node, attemptId);
    node.freeze(1_000);
  }
  readyPeer(node, "came by itself");
  // As if the node had found the others itself.
  let { targets } = node.state;
  for (const name of CHOSEN) targets = targets.delete(formatMultiaddr(addressOf(party(name))));
  return node.at({ ...node.state, targets });
}

/** What a process leaves that knew this. */
async function left(node: TestNode): Promise<string> {
  const path = freshPath();
  const file = createPeersFile(path, testNode().state, silent);
  file.observe(node.state);
  node.feed({ type: "command/stop" });
  file.observe(node.state);
  node.pass(20_000);
  file.observe(node.state);
  await file.close();
  return path;
}

describe("addresses of others", () => {
  test("survive a restart: the same addresses, the same sources and failures", async () => {
    const node = experienced();
    const { book } = node.state;
    const kept = readPeers(await left(node), silent);
    if (kept === null) throw new Error("something is kept");
    const next = withBook(testNode({ peersMin: 8 }).state, kept);
    const plain = (of: typeof book) =>
      [...of.addresses.entries.values()].map(({ place: _, ...entry }) => entry);
    expect(plain(next.book)).toEqual(plain(book));
    expect(brokenInvariants(next)).toEqual([]);
  });

  test("P25: after a restart the two oldest peers of our own choice are dialed first", async () => {
    const node = experienced();
    const anchors = [addressOf(party("third")), addressOf(party("first"))];
    expect(anchorsOf(node.state)).toEqual(anchors);
    const kept = readPeers(await left(node), silent);
    if (kept === null) throw new Error("something is kept");
    const begun = testNode({ peersMin: 8 });
    const next = begun.at(withBook(begun.state, kept));
    const dialed = effectsOf(next.pass(1_500), "effect/createOffer").map(
      ({ attemptId }) => next.state.attempts.get(attemptId)?.target,
    );
    expect(dialed).toEqual(anchors);
    expect(next.state.book.anchors).toEqual([]);
  });

  test("a node that asks for no peers keeps them and dials nobody", async () => {
    const kept = readPeers(await left(experienced()), silent);
    if (kept === null) throw new Error("something is kept");
    const begun = testNode();
    const next = begun.at(withBook(begun.state, kept));
    expect(next.pass(60_000)).toEqual([]);
    expect(next.state.book.addresses.tried.keys.size).toBe(1 + CHOSEN.length);
  });

  test("a file that cannot be read is set aside, and said to be", async () => {
    const path = await left(experienced());
    const [text, said] = [readFileSync(path, "utf8"), [] as string[]];
    const log = pino({ level: "warn" }, { write: (line: string) => said.push(line) });
    for (const broken of [
      text.slice(0, 100),
      text.replace('"tried"', '"trusted"'),
      text.replace(/12D3Koo/, "Qm"),
      text.replace('"version":1', '"version":2'),
    ]) {
      writeFileSync(path, broken);
      expect(readPeers(path, log)).toBeNull();
      expect(existsSync(path)).toBe(false);
    }
    expect(said.length).toBe(4);
    expect(readPeers(path, log)).toBeNull();
    expect(said.length).toBe(4);
  });
});

async function start(settings: Partial<NodeSettings>): Promise<RunningNode> {
  const node = await startNode({
    ...DEFAULT_SETTINGS,
    key: ephemeralKey(),
    listen: { host: "127.0.0.1", port: 0 },
    admission: admissionPerIp(10_000),
    ...settings,
    log: silent,
  });
  running.push(node);
  return node;
}

test("P25: a node that is started again finds its peer by itself, over real WebRTC", {
  timeout: 30_000,
}, async () => {
  const addresses = freshPath();
  const friend = await start({});
  const parsed = parseMultiaddr(friend.address ?? "");
  if (parsed.tag !== "address") throw new Error(parsed.detail);
  const isLive = (node: RunningNode): boolean => node.state().peers.get(friend.peerId)?.live != null;
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const before = await start({ addresses, peers: [parsed.address] });
  await until(() => isLive(before));
  await before.stop();
  expect(readFileSync(addresses, "utf8")).toContain(formatMultiaddr(parsed.address));
  const after = await start({ addresses });
  await until(() => isLive(after));
  expect(after.state().targets.size).toBe(0);
});
