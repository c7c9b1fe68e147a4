import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { StreamEvent } from "../core/actions.ts";
import type { Manifest } from "../core/channels/streaming-rpc.ts";
import { hash, leafHashes } from "../core/hash.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import { CHUNK_BYTES, STREAM_ROOTS_MAX, STREAM_TREES_MAX } from "../core/limits.ts";
import type { LoadedChunk, Provider, ReceivedChunk, Streams } from "../core/services.ts";
import { createTree, manifestOf, proofOf, streamRootOf, verifyChunk } from "../core/stream.ts";
import { createStreams as createSimStreams } from "../fuzz/sim-streams.ts";
import { createSharedThread } from "./shared-thread.ts";
import { nativeHash, type ServedTree, treeSteps } from "./stream-tree.ts";
import { createChunkVerifier } from "./stream-verifier.ts";
import { createStreams, providerOf } from "./streams.ts";

const A = 1 as AttemptId;
const B = 2 as AttemptId;
const directory = mkdtempSync(join(tmpdir(), "pollen-streams-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const DATA = randomBytes(3 * CHUNK_BYTES + 17);
const ROOT = streamRootOf(DATA);
const MANIFEST = manifestOf(DATA);
const TREE = createTree(leafHashes(DATA));
const NOTHING = "00".repeat(32) as Hash;

interface Subject {
  readonly streams: Streams & { received(root: Hash): Uint8Array | null };
  readonly events: readonly StreamEvent[];
  /** Resolves when there are so many events. */
  readonly until: (count: number) => Promise<readonly StreamEvent[]>;
}

type Provide = (root: Hash) => Uint8Array | null;
type Create = (emit: (event: StreamEvent) => void, provide: Provide) => Subject["streams"];

function subjectOf(create: Create, provide: Provide = (root) => (root === ROOT ? DATA : null)): Subject {
  const events: StreamEvent[] = [];
  const waiting: (() => void)[] = [];
  let isInside = false;
  const streams = create((event) => {
    expect(isInside).toBe(false);
    events.push(event);
    for (const check of [...waiting]) check();
  }, provide);
  const guarded = new Proxy(streams, {
    get: (target, key) => {
      const method = Reflect.get(target, key) as (...values: unknown[]) => unknown;
      return (...values: unknown[]) => {
        isInside = true;
        const result = method.apply(target, values);
        isInside = false;
        return result;
      };
    },
  });
  const until = (count: number): Promise<readonly StreamEvent[]> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (events.length >= count) resolve(events);
      };
      waiting.push(check);
      check();
    });
  return { streams: guarded, events, until };
}

const provider =
  (provide: Provide) =>
  (root: Hash): Provider | null => {
    const bytes = provide(root);
    return bytes === null ? null : providerOf(bytes);
  };

const IN_MEMORY: Create = (emit, provide) =>
  createStreams({ serving: createSharedThread(), emit, provide: provider(provide), directory: null });

const IMPLEMENTATIONS: readonly (readonly [string, Create])[] = [
  ["in memory", IN_MEMORY],
  [
    "in files",
    (emit, provide) =>
      createStreams({
        serving: createSharedThread(),
        emit,
        provide: provider(provide),
        directory: join(directory, "files"),
      }),
  ],
  [
    "simulated",
    (emit, provide) =>
      createSimStreams(
        (run) => queueMicrotask(run),
        (event) => emit(event as StreamEvent),
        provide,
      ),
  ],
];

/** Some of this can come, and none of it may: a turn of the event loop that is long enough. */
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

const chunkOf = (index: number, changes: Partial<ReceivedChunk> = {}): ReceivedChunk => ({
  root: ROOT,
  manifest: MANIFEST,
  index,
  data: DATA.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  proof: proofOf(TREE, index),
  ...changes,
});

describe.each(IMPLEMENTATIONS)("streams contract, %s", (_name, create) => {
  test("what is provided is opened with its manifest, and each chunk comes with its proof", async () => {
    const { streams, until } = subjectOf(create);
    streams.open(A, 0, ROOT);
    expect(await until(1)).toEqual([
      { type: "event/streamOpened", attemptId: A, streamId: 0, manifest: MANIFEST },
    ]);
    for (let index = 0; index < 4; index++) {
      streams.loadChunk(A, 0, ROOT, index);
      const event = (await until(2 + index)).at(-1);
      expect(event).toMatchObject({ type: "event/chunkLoaded", attemptId: A, streamId: 0, index });
      if (event?.type !== "event/chunkLoaded" || event.chunk === null) throw new Error("a chunk");
      expect(verifyChunk(MANIFEST, index, event.chunk.data, event.chunk.proof)).toBe(true);
    }
  });

  test("what is not provided is opened with null", async () => {
    const { streams, until } = subjectOf(create);
    streams.open(A, 3, NOTHING);
    expect(await until(1)).toEqual([
      { type: "event/streamOpened", attemptId: A, streamId: 3, manifest: null },
    ]);
  });

  test("a chunk of a stream that is not open cannot be read", async () => {
    const { streams, until } = subjectOf(create);
    streams.open(A, 0, ROOT);
    await until(1);
    streams.close(A, 0);
    streams.close(A, 0);
    streams.loadChunk(A, 0, ROOT, 1);
    expect((await until(2))[1]).toEqual({
      type: "event/chunkLoaded",
      attemptId: A,
      streamId: 0,
      index: 1,
      chunk: null,
    });
  });

  test("two peers are served side by side, and the end of one is not that of the other", async () => {
    const { streams, until } = subjectOf(create);
    streams.open(A, 0, ROOT);
    streams.open(B, 0, ROOT);
    await until(2);
    streams.close(A, 0);
    streams.loadChunk(B, 0, ROOT, 2);
    const event = (await until(3))[2];
    expect(event).toMatchObject({ type: "event/chunkLoaded", attemptId: B, index: 2 });
    const data = event?.type === "event/chunkLoaded" ? event.chunk?.data : undefined;
    expect(Buffer.compare(data ?? new Uint8Array(), chunkOf(2).data)).toBe(0);
  });

  test("chunks are received in any order, and are the whole when the last has come", async () => {
    const { streams, until } = subjectOf(create);
    for (const [count, index] of [2, 0, 3, 1].entries()) {
      expect(streams.received(ROOT)).toBeNull();
      streams.storeChunk(A, 5, chunkOf(index));
      expect((await until(count + 1)).at(-1)).toEqual({
        type: "event/chunkStored",
        attemptId: A,
        streamId: 5,
        root: ROOT,
        index,
        outcome: "stored",
      });
    }
    expect(Buffer.compare(streams.received(ROOT) ?? new Uint8Array(), DATA)).toBe(0);
    streams.discard(ROOT);
    streams.discard(ROOT);
    expect(streams.received(ROOT)).toBeNull();
  });

  test("what is stored twice is there once, and answered twice", async () => {
    const { streams, until } = subjectOf(create);
    for (const index of [0, 0, 1, 1]) streams.storeChunk(A, 0, chunkOf(index));
    await until(4);
    expect(streams.received(ROOT)).toBeNull();
    for (const index of [2, 3]) streams.storeChunk(B, 0, chunkOf(index));
    await until(6);
    expect(Buffer.compare(streams.received(ROOT) ?? new Uint8Array(), DATA)).toBe(0);
  });

  const proof = chunkOf(0).proof;
  test.each([
    ["a byte that is wrong", { data: new Uint8Array(CHUNK_BYTES) }],
    ["too short", { data: DATA.subarray(0, CHUNK_BYTES - 1) }],
    ["too long", { data: DATA.subarray(0, CHUNK_BYTES + 1) }],
    ["no bytes", { data: new Uint8Array() }],
    ["another chunk's bytes", { data: chunkOf(1).data }],
    ["another chunk's place", { index: 1 }],
    ["a place beyond the end", { index: 4 }],
    ["a short proof", { proof: proof.slice(1) }],
    ["a long proof", { proof: [...proof, randomBytes(32)] }],
    ["no proof", { proof: [] }],
    ["a proof in another order", { proof: proof.toReversed() }],
  ])("%s is invalid, and nothing of it is kept", async (_what, changes) => {
    const { streams, until } = subjectOf(create);
    streams.storeChunk(A, 0, chunkOf(0, changes));
    expect((await until(1))[0]).toMatchObject({ type: "event/chunkStored", outcome: "invalid" });
    for (const index of [1, 2, 3]) streams.storeChunk(A, 0, chunkOf(index));
    await until(4);
    expect(streams.received(ROOT)).toBeNull();
    streams.storeChunk(A, 0, chunkOf(0));
    await until(5);
    expect(Buffer.compare(streams.received(ROOT) ?? new Uint8Array(), DATA)).toBe(0);
  });

  test("no bytes at all are one empty chunk", async () => {
    const nothing = new Uint8Array();
    const root = streamRootOf(nothing);
    const { streams, until } = subjectOf(create, () => nothing);
    streams.open(A, 0, root);
    streams.loadChunk(A, 0, root, 0);
    const manifest = manifestOf(nothing);
    streams.storeChunk(A, 0, { root, manifest, index: 0, data: nothing, proof: [] });
    await until(3);
    expect(streams.received(root)).toHaveLength(0);
  });

  test("discarded while it is being stored: it is still answered, and gone", async () => {
    const { streams, until } = subjectOf(create);
    for (const index of [0, 1, 2, 3]) streams.storeChunk(A, 0, chunkOf(index));
    streams.discard(ROOT);
    expect(await until(4)).toHaveLength(4);
    await quiet();
    expect(streams.received(ROOT)).toBeNull();
  });
});

/** A chunk that is offered, as it is or altered. */
const attack = fc.record({
  from: fc.nat(11),
  index: fc.nat(13),
  alter: fc.constantFrom("not", "not", "not", "flip", "drop", "add", "reverse", "data", "place"),
  at: fc.nat(4),
});

const made = new Map<number, { readonly manifest: Manifest; readonly pieces: readonly LoadedChunk[] }>();

function piecesOf(chunks: number) {
  const known = made.get(chunks);
  if (known !== undefined) return known;
  const data = randomBytes((chunks - 1) * CHUNK_BYTES + 7);
  const tree = createTree(leafHashes(data, nativeHash), nativeHash);
  const pieces = Array.from({ length: chunks }, (_, index) => ({
    data: data.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
    proof: proofOf(tree, index),
  }));
  const all = { manifest: manifestOf(data, nativeHash), pieces };
  made.set(chunks, all);
  return all;
}

function treeOf(data: Uint8Array): ServedTree {
  const steps = treeSteps(providerOf(data));
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

const ledgers = new Map<number, Uint8Array>();

/** Four chunks each. */
function dataAt(at: number): Uint8Array {
  const data = ledgers.get(at) ?? new Uint8Array(4 * CHUNK_BYTES).fill(at);
  ledgers.set(at, data);
  return data;
}

const rootsAt = new Map<Hash, number>();

function rootAt(at: number): Hash {
  const root = streamRootOf(dataAt(at), nativeHash);
  rootsAt.set(root, at);
  return root;
}

/** Streams on a thread that has one turn at a time, when the test gives it. */
function slowly() {
  const events: StreamEvent[] = [];
  const later: (() => void)[] = [];
  /** Which chunks were read of each, to be hashed or sent. */
  const provided = new Map<Hash, number[]>();
  let [nowMs, copies] = [0, 0];
  const streams = createStreams({
    serving: createSharedThread({ clock: () => ++nowMs * 1_000, later: (run) => later.push(run) }),
    emit: (event) => events.push(event),
    provide: (root) => {
      const { size, read } = providerOf(dataAt(rootsAt.get(root) ?? 0));
      const indices = provided.get(root) ?? [];
      provided.set(root, indices);
      copies += 1;
      return {
        size,
        read: (index) => {
          indices.push(index);
          return read(index);
        },
      };
    },
    directory: null,
  });
  const work = (isEnough: () => boolean = () => false): void => {
    while (!isEnough()) {
      const run = later.shift();
      if (run === undefined) return;
      run();
    }
  };
  return { streams, events, work, provided, copies: () => copies };
}

describe("streams of the service", () => {
  test("the native hash and the tree of views are those of the core, for every number of chunks", () => {
    expect(Buffer.from(nativeHash("a label", Uint8Array.of(1), Uint8Array.of(2, 3)))).toEqual(
      Buffer.from(hash("a label", Uint8Array.of(1), Uint8Array.of(2, 3))),
    );
    for (let chunks = 1; chunks <= 17; chunks++) {
      const data = randomBytes((chunks - 1) * CHUNK_BYTES + 1 + (chunks % 3));
      const tree = treeOf(data);
      const oracle = createTree(leafHashes(data, nativeHash), nativeHash);
      expect(tree.manifest).toEqual(manifestOf(data, nativeHash));
      for (let index = 0; index < chunks; index++) {
        expect(tree.proofOf(index).map((node) => Buffer.from(node))).toEqual(
          proofOf(oracle, index).map((node) => Buffer.from(node)),
        );
      }
    }
  });

  test("the verifier that remembers says what the core says, whatever came before", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(attack, { maxLength: 40 }), (chunks, attacks) => {
        const { manifest, pieces } = piecesOf(chunks);
        const verify = createChunkVerifier(manifest);
        for (const { index, from, alter, at } of attacks) {
          const piece = pieces[from % chunks];
          if (piece === undefined) throw new Error("a piece");
          const proof = [...piece.proof];
          const own = proof[at % Math.max(1, proof.length)];
          if (alter === "flip" && own !== undefined) {
            proof[at % proof.length] = own.map((byte, position) => (position === 5 ? byte ^ 1 : byte));
          } else if (alter === "drop") proof.pop();
          else if (alter === "add") proof.push(new Uint8Array(32));
          else if (alter === "reverse") proof.reverse();
          const data = alter === "data" ? piece.data.map((byte) => byte ^ 1) : piece.data;
          const place = alter === "place" ? index : from % chunks;
          expect(verify(place, { data, proof })).toBe(verifyChunk(manifest, place, data, proof, nativeHash));
        }
        for (const [index, piece] of pieces.entries()) expect(verify(index, piece)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("a large stream is hashed in slices: everything else runs meanwhile", async () => {
    const large = Buffer.alloc(64 * 2 ** 20, 7);
    const root = streamRootOf(large, nativeHash);
    const { streams, events, until } = subjectOf(IN_MEMORY, () => large);
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (events.length === 0) setImmediate(count);
    };
    setImmediate(count);
    streams.open(A, 0, root);
    await until(1);
    expect(events[0]).toMatchObject({ manifest: manifestOf(large, nativeHash) });
    expect(turns).toBeGreaterThan(10);
  });

  test("peers are served chunk by chunk in turns, whoever asked for more", async () => {
    const bytes = randomBytes(4 * CHUNK_BYTES);
    const served: AttemptId[] = [];
    let opened = 0;
    const streams = createStreams({
      serving: createSharedThread(),
      emit: (event) => {
        if (event.type === "event/streamOpened") opened += 1;
        if (event.type === "event/chunkLoaded" && event.chunk !== null) served.push(event.attemptId);
      },
      provide: () => providerOf(bytes),
      directory: null,
    });
    const root = streamRootOf(bytes);
    for (const attemptId of [A, B]) streams.open(attemptId, 0, root);
    await expect.poll(() => opened).toBe(2);
    for (const attemptId of [A, B])
      for (let index = 0; index < 4; index++) streams.loadChunk(attemptId, 0, root, index);
    expect(served).toEqual([]);
    await expect.poll(() => served.length).toBe(8);
    expect(served).toEqual([A, B, A, B, A, B, A, B]);
  });

  test("a root is hashed once for all who ask, and again only after others were", async () => {
    const all = Array.from({ length: STREAM_TREES_MAX + 2 }, (_, index) => Buffer.from(`stream ${index}`));
    const roots = all.map((data) => streamRootOf(data));
    const reads = new Map<Hash, number>();
    const events: StreamEvent[] = [];
    const streams = createStreams({
      serving: createSharedThread(),
      emit: (event) => events.push(event),
      provide: (root) => {
        const data = all[roots.indexOf(root)];
        if (data === undefined) return null;
        return {
          size: data.length,
          read: () => {
            reads.set(root, (reads.get(root) ?? 0) + 1);
            return data;
          },
        };
      },
      directory: null,
    });
    const [first, second] = roots;
    if (first === undefined || second === undefined) throw new Error("two roots");
    streams.open(A, 0, first);
    streams.open(B, 0, first);
    await quiet();
    expect(reads.get(first)).toBe(1);
    // While it is in use it stays, whatever else is asked for.
    for (const [id, root] of roots.entries()) {
      streams.open(A, id + 1, root);
      await quiet();
      streams.close(A, id + 1);
    }
    expect(reads.get(first)).toBe(1);
    streams.open(A, 100, second);
    await quiet();
    expect(reads.get(second)).toBe(2);
  });

  test("a Request that is cancelled before its turn costs nothing (P26)", () => {
    const { streams, events, work, provided } = slowly();
    for (let id = 0; id < 580; id++) {
      streams.open(A, id, rootAt(id % 290));
      streams.close(A, id);
    }
    work();
    expect([...provided.keys()]).toEqual([]);
    expect(events).toEqual([]);
  });

  test("a tree that nobody waits for any more is not made to its end, and never twice at once (P26)", () => {
    const { streams, events, work, provided } = slowly();
    const [root, reads] = [rootAt(0), provided];
    for (let id = 0; id < 5; id++) {
      streams.open(A, id, root);
      work(() => (reads.get(root)?.length ?? 0) >= 2 * (id + 1));
      streams.close(A, id);
    }
    work();
    // Each began anew, when the one before had been left.
    expect(reads.get(root)).toEqual([0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    expect(events).toEqual([]);
  });

  test("a tree is made for all who wait, as long as one of them does, of one copy of the data (P26)", () => {
    const { streams, events, work, provided, copies } = slowly();
    const root = rootAt(0);
    streams.open(A, 0, root);
    streams.open(B, 7, root);
    work(() => provided.get(root)?.length === 2);
    streams.close(A, 0);
    work();
    expect(provided.get(root)).toEqual([0, 1, 2, 3]);
    expect(events).toMatchObject([
      { attemptId: B, streamId: 7, manifest: manifestOf(dataAt(0), nativeHash) },
    ]);
    streams.open(A, 1, root);
    work();
    expect(events[1]).toMatchObject({
      attemptId: A,
      streamId: 1,
      manifest: manifestOf(dataAt(0), nativeHash),
    });
    expect(copies()).toBe(1);
  });

  test("at most so many roots are in memory at once: one more is answered None until a place is free (P26)", () => {
    const { streams, events, work } = slowly();
    const isHere = (): readonly boolean[] =>
      events.flatMap((event) => (event.type === "event/streamOpened" ? [event.manifest !== null] : []));
    for (let at = 0; at <= STREAM_ROOTS_MAX; at++) streams.open((at + 1) as AttemptId, 0, rootAt(at));
    work();
    expect(isHere().filter((has) => has)).toHaveLength(STREAM_ROOTS_MAX);
    expect(isHere()).toHaveLength(STREAM_ROOTS_MAX + 1);
    // Of the others everybody may still have one.
    streams.open(A, 1, rootAt(3));
    work();
    expect(isHere().at(-1)).toBe(true);
    streams.close(2 as AttemptId, 0);
    streams.open(A, 2, rootAt(STREAM_ROOTS_MAX));
    work();
    expect(isHere().at(-1)).toBe(true);
  });

  test("who asks for a ledger and goes away pays for it before the next, while others are served (P26)", () => {
    const { streams, events, work, copies } = slowly();
    streams.open(B, 0, rootAt(0));
    work();
    streams.open(A, 0, rootAt(1));
    work(() => copies() === 2);
    streams.close(A, 0);
    streams.open(A, 1, rootAt(2));
    for (let index = 0; index < 3; index++) streams.loadChunk(B, 0, rootAt(0), index);
    work(() => copies() === 3);
    expect(events.filter(({ type }) => type === "event/chunkLoaded")).toHaveLength(3);
  });

  test("a provider that has something else, or cannot be read, is as good as none", async () => {
    const events: StreamEvent[] = [];
    const other = Buffer.from("something else");
    const fail = (): never => {
      throw new Error("the disk is gone");
    };
    const provided: readonly Provider[] = [providerOf(other), { size: 5, read: fail }];
    for (const [id, given] of provided.entries()) {
      const streams = createStreams({
        serving: createSharedThread(),
        emit: (event) => events.push(event),
        provide: () => given,
        directory: null,
      });
      streams.open(A, id, ROOT);
    }
    await quiet();
    for (const streamId of [0, 1]) {
      expect(events).toContainEqual({ type: "event/streamOpened", attemptId: A, streamId, manifest: null });
    }
    expect(events).toHaveLength(2);
  });

  test("a chunk that cannot be read any more is null", async () => {
    const events: StreamEvent[] = [];
    let isGone = false;
    const streams = createStreams({
      serving: createSharedThread(),
      emit: (event) => events.push(event),
      provide: () => ({
        size: DATA.length,
        read: (index) => {
          if (isGone) throw new Error("the disk is gone");
          return providerOf(DATA).read(index);
        },
      }),
      directory: null,
    });
    streams.open(A, 0, ROOT);
    await quiet();
    isGone = true;
    streams.loadChunk(A, 0, ROOT, 1);
    await quiet();
    expect(events[1]).toMatchObject({ type: "event/chunkLoaded", chunk: null });
  });

  test("closed while it is being hashed: no event follows", async () => {
    const events: StreamEvent[] = [];
    const streams = createStreams({
      serving: createSharedThread(),
      emit: (event) => events.push(event),
      provide: () => providerOf(DATA),
      directory: null,
    });
    streams.open(A, 0, ROOT);
    streams.close(A, 0);
    await quiet();
    expect(events).toEqual([]);
  });

  test("what cannot be kept has failed", async () => {
    const tiny = Buffer.from("tiny");
    const manifest = manifestOf(tiny);
    const root = streamRootOf(tiny);
    const file = join(directory, "a file");
    writeFileSync(file, "");
    const events: StreamEvent[] = [];
    const streams = createStreams({
      serving: createSharedThread(),
      emit: (event) => events.push(event),
      provide: () => null,
      directory: file,
    });
    // The directory cannot be made while something that is no directory has its name.
    writeFileSync(file, "");
    streams.storeChunk(A, 0, { root, manifest, index: 0, data: tiny, proof: [] });
    await quiet();
    expect(events).toEqual([
      { type: "event/chunkStored", attemptId: A, streamId: 0, root, index: 0, outcome: "failed" },
    ]);
  });

  test("files end with what they were for, and what a process left behind with the next", async () => {
    const place = join(directory, "own");
    const streams = createStreams({
      serving: createSharedThread(),
      emit: () => undefined,
      provide: () => null,
      directory: place,
    });
    streams.storeChunk(A, 0, chunkOf(0));
    await quiet();
    expect(readdirSync(place)).toEqual([`${ROOT}.stream`]);
    streams.discard(ROOT);
    expect(readdirSync(place)).toEqual([]);
    streams.storeChunk(A, 0, chunkOf(1));
    await quiet();
    const other = createStreams({
      serving: createSharedThread(),
      emit: () => undefined,
      provide: () => null,
      directory: place,
    });
    expect(existsSync(join(place, `${ROOT}.stream`))).toBe(false);
    other.storeChunk(A, 0, chunkOf(2));
    await quiet();
    other.release();
    expect(readdirSync(place)).toEqual([]);
  });
});
