import { randomFillSync } from "node:crypto";
import type { AttemptId, Hash } from "../core/ids.ts";
import { CHUNK_BYTES } from "../core/limits.ts";
import { formatMultiaddr, parseMultiaddr } from "../core/multiaddr.ts";
import type { State } from "../core/state.ts";
import { streamRootOf } from "../core/stream.ts";
import { ephemeralKey } from "../service/key-file.ts";
import { nativeHash } from "../service/stream-tree.ts";
import { type StreamNode, startStreamNode } from "../service/streams.fixture.ts";
import { providerOf } from "../service/streams.ts";
import { withoutCandidates } from "../service/webrtc/loopback.fixture.ts";
import { createWebrtcTransport } from "../service/webrtc.ts";

/**
 * One side of the benchmark of streams, in a process of its own: a node that streams, and a bare transport beside it.
 * Ends with its parent.
 */

export type Order =
  /** Makes up a snapshot, listens, and answers `serving`. */
  | { readonly tag: "serve"; readonly bytes: number }
  /** Connects, fetches, and answers `fetched`. */
  | { readonly tag: "fetch"; readonly address: string; readonly root: Hash; readonly bytes: number }
  /** Begins a bare connection; each side answers `description`, and `open` when it is. */
  | { readonly tag: "offer" }
  | { readonly tag: "description"; readonly sdp: string }
  /** So many bytes come over the bare connection: the dialer answers `expecting`, and `poured` when they have. */
  | { readonly tag: "expect"; readonly bytes: number }
  | { readonly tag: "pour"; readonly bytes: number }
  /** What was used since the last such order, or the start of a download: `usage`. */
  | { readonly tag: "measure" };

export type Report =
  | { readonly tag: "serving"; readonly address: string; readonly root: Hash }
  | { readonly tag: "fetched"; readonly openedMs: number; readonly doneMs: number; readonly isWhole: boolean }
  | { readonly tag: "description"; readonly sdp: string }
  | { readonly tag: "open" }
  | { readonly tag: "expecting" }
  | { readonly tag: "poured"; readonly tookMs: number }
  | { readonly tag: "usage"; readonly growthBytes: number; readonly cpuMs: number };

/** By then the connection is up. */
const FETCH_AFTER_MS = 2_000;
const SAMPLE_MS = 100;

process.on("disconnect", () => process.exit());
process.on("message", (order: Order) => void obey(order));

let measured = measure();

async function obey(order: Order): Promise<void> {
  switch (order.tag) {
    case "serve":
      report(await serve(order.bytes));
      return;
    case "fetch":
      await fetch(order);
      return;
    case "offer":
      bare.offer();
      return;
    case "description":
      bare.describe(order.sdp);
      return;
    case "expect":
      bare.expect(order.bytes);
      report({ tag: "expecting" });
      return;
    case "pour":
      bare.pour(order.bytes);
      return;
    case "measure":
      report({ tag: "usage", ...measured() });
      measured = measure();
  }
}

async function serve(bytes: number): Promise<Report> {
  const snapshot = randomFillSync(Buffer.allocUnsafeSlow(bytes));
  const root = streamRootOf(snapshot, nativeHash);
  const { address } = await startStreamNode({ key: ephemeralKey(), provide: () => providerOf(snapshot) });
  return { tag: "serving", address: formatMultiaddr(address), root };
}

async function fetch({ address, root, bytes }: Extract<Order, { tag: "fetch" }>): Promise<void> {
  const target = parseMultiaddr(address);
  if (target.tag !== "address") throw new Error(target.detail);
  let [startedMs, openedMs] = [Number.NaN, Number.NaN];
  let node: StreamNode | undefined;
  const observe = ({ download }: State): void => {
    if (Number.isNaN(startedMs)) {
      if (download === null) return;
      measured = measure();
      startedMs = performance.now();
    }
    if (Number.isNaN(openedMs) && download?.manifest != null) openedMs = performance.now() - startedMs;
    if (download !== null || node === undefined) return;
    const doneMs = performance.now() - startedMs;
    const isWhole = node.streams.received(root)?.length === bytes;
    node = undefined;
    report({ tag: "fetched", openedMs, doneMs, isWhole });
  };
  node = await startStreamNode({
    key: ephemeralKey(),
    dial: [target.address],
    fetch: { root, afterMs: FETCH_AFTER_MS },
    observe,
  });
}

const bare = createBare();

/** Connections of the transport alone, one after the other. */
function createBare() {
  const message = randomFillSync(new Uint8Array(CHUNK_BYTES));
  let id = 0 as AttemptId;
  let isDialer = false;
  let isBlocked = false;
  let toSend = 0;
  let [expected, startedMs] = [0, Number.NaN];
  const transport = createWebrtcTransport({
    bindAddress: "127.0.0.1",
    emit: (event) => {
      if (event.attemptId !== id) return;
      if (event.type === "event/localDescription") report({ tag: "description", sdp: event.sdp });
      else if (event.type === "event/channelOpened" && event.channel === "streaming-rpc")
        report({ tag: "open" });
      else if (event.type === "event/message") take(event.bytes.length);
      else if (event.type === "event/channelBlocked") isBlocked = true;
      else if (event.type === "event/channelDrained") {
        isBlocked = false;
        pour(0);
      }
    },
  });
  const take = (bytes: number): void => {
    if (Number.isNaN(startedMs)) startedMs = performance.now();
    expected -= bytes;
    if (expected > 0) return;
    report({ tag: "poured", tookMs: performance.now() - startedMs });
  };
  /** As a reducer would that waits for the channel to drain: events come between two messages. */
  const pour = (bytes: number): void => {
    toSend += bytes;
    if (isBlocked || toSend <= 0) return;
    toSend -= CHUNK_BYTES;
    transport.send(id, "streaming-rpc", message);
    queueMicrotask(() => pour(0));
  };
  return {
    offer: (): void => {
      isDialer = true;
      transport.createOffer(id);
    },
    describe: (sdp: string): void => {
      if (isDialer) transport.applyAnswer(id, sdp);
      else {
        id = (id + 1) as AttemptId;
        transport.createAnswer(id, withoutCandidates(sdp));
      }
    },
    expect: (bytes: number): void => {
      [expected, startedMs] = [bytes, Number.NaN];
    },
    pour,
  };
}

function report(about: Report): void {
  process.send?.(about);
}

/** Begins anew; the function that it returns ends it. */
function measure(): () => Omit<Extract<Report, { tag: "usage" }>, "tag"> {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const cpu = process.cpuUsage();
  let most = before;
  const look = (): void => {
    most = Math.max(most, process.memoryUsage.rss());
  };
  const timer = setInterval(look, SAMPLE_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    look();
    const { user, system } = process.cpuUsage(cpu);
    return { growthBytes: most - before, cpuMs: (user + system) / 1_000 };
  };
}
