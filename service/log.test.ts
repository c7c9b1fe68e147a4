import { type Logger, pino } from "pino";
import { expect, test } from "vitest";
import type { TipChange } from "../core/chain.ts";
import type { Hash } from "../core/ids.ts";
import { REASONS, REJECTIONS } from "../core/reasons.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { State } from "../core/state.ts";
import type { Download } from "../core/streams.ts";
import { freshSync, type Stage } from "../core/sync.ts";
import { control, getNext, say } from "../reducers/testing/messages.ts";
import { cause, freshRequestId, party, testNode } from "../reducers/testing/node.ts";
import { openTransport, readyPeer } from "../reducers/testing/peers.ts";
import { dialTo, offerFrom, PUBLIC_IP, rejectionOf } from "../reducers/testing/signals.ts";
import { type ActionContext, logAction, logShutOut } from "./log.ts";
import { initial } from "./recording.fixture.ts";
import { createSyncLog } from "./sync-log.ts";
import { syncProgress } from "./sync-progress.ts";

interface Logged {
  readonly log: Logger;
  readonly lines: Readonly<Record<string, unknown>>[];
}

function logged(): Logged {
  const lines: Logged["lines"] = [];
  const log = pino(
    { level: "info", base: null, timestamp: false },
    {
      write: (text) => {
        lines.push(JSON.parse(text) as Logged["lines"][number]);
      },
    },
  );
  return { log, lines };
}

const { genesis } = initial.config.chain;
const HASH = "ab".repeat(32) as Hash;

test("log: a new best tip is told with its height, its transactions, and what it undid", () => {
  const { log, lines } = logged();
  const change: TipChange = {
    tip: { ...genesis, hash: HASH, height: 7, slot: 19 },
    extendsOld: true,
    removed: [],
    returned: [],
    jobsAdded: [],
    jobsRemoved: [],
    lockHeight: 0,
  };
  const context = (undone: number | null): ActionContext => ({
    state: initial,
    before: initial,
    undone,
    transactionsIn: () => 3,
  });
  for (const undone of [0, 2, null]) logAction(log, { type: "event/tipAdopted", change }, context(undone));
  const tip = { level: 30, height: 7, hash: "abababababab", slot: 19, transactions: 3, msg: "new best tip" };
  expect(lines).toEqual([tip, { ...tip, undone: 2 }, { ...tip, undone: null }]);
});

/** A state on its way to a tip at height 500, and how many blocks of it are applied. */
function syncing(stage: Stage, fromHeight: number, applied: number, download: Download | null = null): State {
  const tip = { ...genesis, hash: HASH, height: 500 };
  const pursuit = { tip, fromHeight, applied, progressMs: 0, busy: SortedMap.empty<never, number>(), stage };
  return { ...initial, sync: { ...freshSync, pursuit }, download };
}

const BLOCKS: Stage = { tag: "blocks", blocks: SortedMap.empty() };
const SNAPSHOT: Stage = {
  tag: "snapshot",
  anchor: genesis,
  path: SortedMap.empty(),
  stored: 0,
  isFetched: false,
};
const DOWNLOAD: Download = {
  root: HASH,
  startedMs: 0,
  isActive: true,
  manifest: { size: 1_000_000n, merkleRoot: "00".repeat(32) },
  chunks: 17,
  missing: SortedMap.empty(),
  storing: SortedMap.empty(),
  stored: 2,
  storedBytes: 120_000,
  sources: SortedMap.empty(),
};

test("sync: progress is what the pursuit and the download say; none without a pursuit", () => {
  expect(syncProgress(initial)).toBeNull();
  expect(syncProgress({ ...initial, download: DOWNLOAD })).toBeNull();
  expect(syncProgress(syncing(BLOCKS, 100, 3))).toEqual({
    phase: "blocks",
    fromHeight: 100,
    toHeight: 500,
    appliedHeight: 103,
    streamedBytes: 0,
    totalBytes: null,
  });
  expect(syncProgress(syncing(SNAPSHOT, 0, 0, DOWNLOAD))).toMatchObject({
    phase: "snapshot",
    streamedBytes: 120_000,
    totalBytes: 1_000_000,
  });
  expect(syncProgress(syncing(SNAPSHOT, 0, 0, { ...DOWNLOAD, manifest: null }))?.totalBytes).toBeNull();
  const failed = syncing(BLOCKS, 0, 0, { ...DOWNLOAD, isActive: false });
  expect(syncProgress(failed)).toMatchObject({ streamedBytes: 0, totalBytes: null });
});

test("log: catching up is told at its begin, every five seconds, and at its end", () => {
  const { log, lines } = logged();
  let nowMs = 0;
  const note = createSyncLog(log, () => nowMs);
  for (let applied = 0; applied <= 100; applied++) {
    note(syncing(applied < 50 ? SNAPSHOT : BLOCKS, 400, applied, DOWNLOAD));
    nowMs += 100;
  }
  note({ ...initial, chain: { ...initial.chain, tip: { ...genesis, height: 500 } } });
  expect(lines.map(({ msg }) => msg)).toEqual(["sync begins", "sync goes on", "sync goes on", "sync ended"]);
  expect(lines[0]).toMatchObject({ fromHeight: 400, toHeight: 500 });
  expect(lines[1]).toMatchObject({ phase: "blocks", appliedHeight: 450, toHeight: 500 });
  expect(lines[3]).toMatchObject({ height: 500, blocks: 100, ms: 10_100 });
});

test("log: the fetching of a snapshot is told with its bytes", () => {
  const { log, lines } = logged();
  let nowMs = 0;
  const note = createSyncLog(log, () => nowMs);
  for (const storedBytes of [0, 60_000, 120_000]) {
    note(syncing(SNAPSHOT, 0, 0, { ...DOWNLOAD, storedBytes }));
    nowMs += 5_000;
  }
  expect(lines.map(({ msg, streamedBytes }) => [msg, streamedBytes])).toEqual([
    ["sync begins", undefined],
    ["snapshot is being fetched", 60_000],
    ["snapshot is being fetched", 120_000],
  ]);
});

test("log: following a tip that is a few blocks ahead is not told", () => {
  const { log, lines } = logged();
  const note = createSyncLog(log, () => 0);
  for (const fromHeight of [499, 498, 493]) {
    note(syncing(BLOCKS, fromHeight, 0));
    note(initial);
  }
  expect(lines).toEqual([]);
});

/** What a node writes of what happens to it, but for the times. */
function loggedNode() {
  const { log, lines } = logged();
  let before: State | undefined;
  const node = testNode({}, "us", (_, { actions, state }) => {
    for (const action of actions)
      logAction(log, action, { state, before: before ?? state, undone: null, transactionsIn: () => null });
    logShutOut(log, before ?? state, state);
    before = state;
  });
  return { node, lines };
}

test("log: every end of a live connection is told once, with who, why and the details", () => {
  for (const [number, reason] of REASONS.entries()) {
    const { node, lines } = loggedNode();
    const [ours, theirs] = [readyPeer(node, "ours"), readyPeer(node, "theirs")];
    lines.length = 0;
    const detail = "because";
    cause(node, { type: "connection/disconnect", attemptId: ours.attemptId, reason, detail });
    say(node, theirs.attemptId, control({ tag: "goodbye", reason: number, banMs: 0 }));
    const told = { level: 30, reason, msg: "peer disconnected" };
    expect(lines).toEqual([
      { ...told, peerId: ours.peerId, by: "us", detail },
      { ...told, peerId: theirs.peerId, by: "them", detail: "Goodbye" },
    ]);
  }
  const { node, lines } = loggedNode();
  const { attemptId, peerId } = readyPeer(node, "lost");
  lines.length = 0;
  node.feed({ type: "event/connectionClosed", attemptId, error: "ICE failed" });
  expect(lines).toMatchObject([{ peerId, reason: "connectionLost", by: "world", detail: "ICE failed" }]);
});

test("log: an attempt that ends before it is ready is told once, with who and why", () => {
  const { node, lines } = loggedNode();
  const { attemptId, peerId } = offerFrom(node, party("peer"));
  openTransport(node, attemptId, ["control"]);
  say(node, attemptId, control({ tag: "pong", n: 0 }));
  expect(lines).toMatchObject([
    { attempt: attemptId, peerId, reason: "badState", by: "us", msg: "connection attempt ended" },
  ]);
  lines.length = 0;
  const dial = dialTo(node, party("other"), "connecting");
  node.feed({ type: "event/connectionClosed", attemptId: dial.attemptId, error: "no route" });
  expect(lines.filter(({ msg }) => msg === "connection attempt failed")).toEqual([
    {
      level: 30,
      attempt: dial.attemptId,
      peerId: dial.peerId,
      direction: "outgoing",
      detail: "no route",
      msg: "connection attempt failed",
    },
  ]);
});

test("log: a refusal is told once, ours with the key and the address, theirs with the key", () => {
  const { node, lines } = loggedNode();
  const peer = offerFrom(node, party("peer"), { isSigned: false });
  expect(lines).toMatchObject([
    { peerId: peer.peerId, address: PUBLIC_IP, rejection: "badSignature", by: "us", msg: "offer refused" },
  ]);
  lines.length = 0;
  const dial = dialTo(node, party("other"), "openingReply");
  const { attemptId } = dial;
  const plaintext = rejectionOf(node, attemptId, REJECTIONS.indexOf("capacity"), 0);
  node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
  node.feed({ type: "event/signatureChecked", attemptId, valid: true });
  expect(lines).toMatchObject([
    { peerId: dial.peerId, rejection: "capacity", by: "them", detail: "refused: capacity" },
  ]);
});

test("log: an address group that is shut out is told once, and what the operator bans", () => {
  const { node, lines } = loggedNode();
  for (const name of ["a", "b", "c", "d"]) {
    const { attemptId } = readyPeer(node, name, { selected: "60.1.1.7" });
    say(node, attemptId, getNext(0));
    say(node, attemptId, getNext(0));
    node.pass(600_000);
  }
  expect(lines.filter(({ msg }) => msg === "address group shut out")).toEqual([]);
  for (const name of ["e", "f", "g"]) {
    const { attemptId } = readyPeer(node, name, { selected: "60.1.1.7" });
    say(node, attemptId, getNext(0));
    say(node, attemptId, getNext(0));
  }
  node.pass(1_000);
  const shutOut = { group: "60.1.1.0/24", reason: "overLimit", forMs: 600_000, level: 30 };
  expect(lines.filter(({ msg }) => msg === "address group shut out")).toEqual([
    { ...shutOut, msg: "address group shut out" },
  ]);
  lines.length = 0;
  const subject = { tag: "group", group: "60.1.1.0/24" } as const;
  node.feed({ type: "command/ban", requestId: freshRequestId(), subject, forMs: null });
  node.feed({ type: "command/unban", requestId: freshRequestId(), subject });
  expect(lines).toMatchObject([
    { id: "60.1.1.0/24", forMs: null, msg: "operator requested a ban" },
    { id: "60.1.1.0/24", msg: "operator requested to lift a ban" },
  ]);
});
