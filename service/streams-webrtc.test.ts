import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { CHUNK_BYTES } from "../core/limits.ts";
import type { Provider } from "../core/services.ts";
import type { State } from "../core/state.ts";
import { chunkCount, streamRootOf } from "../core/stream.ts";
import { ephemeralKey } from "./key-file.ts";
import { nativeHash } from "./stream-tree.ts";
import { type StreamNode, type StreamNodeOptions, startStreamNode } from "./streams.fixture.ts";
import { providerOf } from "./streams.ts";

const DATA = randomBytes(6_000_001);
const ROOT = streamRootOf(DATA, nativeHash);
/** Both connections are up long before. */
const AFTER_MS = 1_500;

/** Runs until the download that begins later has ended. */
async function receive(servers: readonly StreamNode[], watch: (state: State) => void = () => undefined) {
  let hasBegun = false;
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const options: StreamNodeOptions = {
    key: ephemeralKey(),
    dial: servers.map(({ address }) => address),
    fetch: { root: ROOT, afterMs: AFTER_MS },
    observe: (state) => {
      watch(state);
      hasBegun ||= state.download !== null;
      if (hasBegun && state.download?.isActive !== true) ended();
    },
  };
  const receiver = await startStreamNode(options);
  await end;
  return receiver;
}

describe("streams over WebRTC", () => {
  test("6 MB from two nodes at once arrive whole, chunk by chunk", async () => {
    const servers = await Promise.all(
      [0, 1].map(() => startStreamNode({ key: ephemeralKey(), provide: () => providerOf(DATA) })),
    );
    const served = new Map<string, number>();
    const receiver = await receive(servers, ({ download }) => {
      for (const [peerId, { stored }] of download?.sources.entries() ?? []) served.set(peerId, stored);
    });
    expect(Buffer.compare(receiver.streams.received(ROOT) ?? new Uint8Array(), DATA)).toBe(0);
    expect([...served.values()].filter((chunks) => chunks > 0)).toHaveLength(2);
    expect([...served.values()].reduce((sum, chunks) => sum + chunks, 0)).toBeLessThanOrEqual(
      chunkCount(BigInt(DATA.length)),
    );
    await Promise.all([receiver, ...servers].map(({ close }) => close()));
  });

  test("one of two forges a chunk: it is banned, and the rest comes from the other", async () => {
    let isOpen = false;
    // Its tree is the right one.
    const forging: Provider = {
      size: DATA.length,
      read: (index) => (index > 4 && isOpen ? randomBytes(CHUNK_BYTES) : providerOf(DATA).read(index)),
    };
    const liar = await startStreamNode({
      key: ephemeralKey(),
      provide: () => forging,
      observe: ({ peers }) => {
        for (const { live } of peers.values()) isOpen ||= live?.streaming?.theirs?.chunks != null;
      },
    });
    const honest = await startStreamNode({ key: ephemeralKey(), provide: () => slowly(providerOf(DATA)) });
    const receiver = await receive([liar, honest]);
    expect(Buffer.compare(receiver.streams.received(ROOT) ?? new Uint8Array(), DATA)).toBe(0);
    expect(receiver.state().endings).toEqual({ "us badChunk": 1 });
    expect([...receiver.state().offenders.keys()]).toEqual([liar.address.peerId]);
    await Promise.all([receiver, liar, honest].map(({ close }) => close()));
  });
});

/** The liar is the first with its Manifest. */
const slowly = ({ size, read }: Provider): Provider => ({
  size,
  read: (index) => {
    for (const endMs = performance.now() + 1; performance.now() < endMs; );
    return read(index);
  },
});
