import { describe, expect, test } from "vitest";
import { CHANNEL_NAMES } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import { MESSAGE_BYTES_MAX, RATE_BURST, RPC_OPEN_MAX, STREAM_OUTSTANDING_MAX } from "../../core/limits.ts";
import { createInbox, INBOX_COST_MAX, type Inbox, MESSAGE_COST_BYTES } from "./inbox.ts";
import { connect, createEndpoint, type Endpoint } from "./loopback.fixture.ts";

interface World {
  readonly inbox: Inbox<number>;
  /** Whose messages were read. */
  readonly read: number[];
  /** Who has sent too much. */
  readonly full: number[];
  put(party: number, bytes: number, count: number): void;
  /** One turn of the event loop; reading a message takes so long. */
  turn(readMs?: number): void;
}

function worldOf(): World {
  let [nowMs, takesMs] = [0, 0];
  let immediates: (() => void)[] = [];
  const read: number[] = [];
  const full: number[] = [];
  const inbox = createInbox<number>((party) => full.push(party), {
    clock: () => nowMs,
    later: (run) => immediates.push(run),
  });
  return {
    inbox,
    read,
    full,
    put: (party, bytes, count) => {
      for (let number = 0; number < count; number++)
        inbox.put(party, bytes, () => {
          nowMs += takesMs;
          read.push(party);
        });
    },
    turn: (readMs = 0) => {
      takesMs = readMs;
      const now = immediates;
      immediates = [];
      for (const run of now) run();
    },
  };
}

const countOf = (read: readonly number[], party: number): number =>
  read.filter((each) => each === party).length;

describe("the inbox", () => {
  test("has room for all that the permits of a peer allow", () => {
    const large = STREAM_OUTSTANDING_MAX + 2 * RPC_OPEN_MAX + 2 * CHANNEL_NAMES.length;
    // Pings, the Refloors of three pools, and a Next for each chunk.
    const small = 4 * RATE_BURST + STREAM_OUTSTANDING_MAX;
    const most = large * (MESSAGE_BYTES_MAX + MESSAGE_COST_BYTES) + small * (MESSAGE_COST_BYTES + 64);
    expect(INBOX_COST_MAX).toBeGreaterThanOrEqual(most);
  });

  test("reads nothing of a peer that has sent more than that, tells of it, and goes on with the others", () => {
    const { put, read, full, turn } = worldOf();
    const fits = Math.floor(INBOX_COST_MAX / (1_000 + MESSAGE_COST_BYTES));
    put(1, 1_000, fits);
    put(2, 1_000, fits);
    expect(full).toEqual([]);
    put(1, 1_000, 1);
    expect(full).toEqual([1]);
    turn();
    expect(read).toEqual(Array(fits).fill(2));
  });

  test("gives 32 peers that send the same the same of its time, and one that floods no more", () => {
    const { put, read, turn } = worldOf();
    put(0, 100, 900);
    for (let party = 1; party < 32; party++) put(party, 100, 40);
    for (let turns = 0; turns < 500 && read.length < 32 * 30; turns++) turn(0.1);
    expect(read.length).toBeGreaterThanOrEqual(32 * 30);
    const counts = Array.from({ length: 32 }, (_, party) => countOf(read, party));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(5);
  });

  test("gives who sends chunks and who sends requests the same of its bytes", () => {
    const { put, read, turn } = worldOf();
    for (let party = 0; party < 8; party++) put(party, 60_000, 16);
    for (let party = 8; party < 16; party++) put(party, 100, 200);
    for (let turns = 0; turns < 5_000 && countOf(read, 15) < 100; turns++) turn(0.5);
    expect(countOf(read, 15)).toBeGreaterThanOrEqual(100);
    const bytes = (party: number): number =>
      countOf(read, party) * (MESSAGE_COST_BYTES + (party < 8 ? 60_000 : 100));
    for (let party = 0; party < 15; party++)
      expect(Math.abs(bytes(party) - bytes(15))).toBeLessThanOrEqual(60_000 + 2 * 16_384);
  });
});

/** Each native message waits in the queue of its channel as long as this thread is held. */
function holdUntilArrived({ transport }: Endpoint, bytesOf: ReadonlyMap<AttemptId, number>): void {
  const hasArrived = (): boolean =>
    [...bytesOf].every(([id, bytes]) => (transport.traffic(id)?.bytesIn ?? 0) >= bytes);
  for (const endMs = performance.now() + 5_000; !hasArrived() && performance.now() < endMs; );
  expect(hasArrived()).toBe(true);
  // It is counted a little sooner than it waits in a queue.
  for (const endMs = performance.now() + 100; performance.now() < endMs; );
}

test("webrtc: a peer that asks as much as it may delays nobody else", async () => {
  const ids = Array.from({ length: 6 }, (_, index) => (index + 1) as AttemptId);
  const [busy, ...others] = ids as [AttemptId, ...AttemptId[]];
  const [MANY, FEW, BYTES] = [800, 3, 200];
  const read: AttemptId[] = [];
  const dialer = createEndpoint();
  const listener = createEndpoint({}, ({ type, attemptId }) => {
    if (type === "event/message") read.push(attemptId);
  });
  for (const id of ids) await connect(dialer, listener, id);
  const bytesOf = new Map(
    ids.map((id) => [
      id,
      (listener.transport.traffic(id)?.bytesIn ?? 0) + BYTES * (id === busy ? MANY : FEW),
    ]),
  );
  for (const id of [...others, busy])
    for (let number = 0; number < (id === busy ? MANY : FEW); number++)
      dialer.transport.send(id, "rpc", new Uint8Array(BYTES));
  holdUntilArrived(listener, bytesOf);
  await listener.until(
    busy,
    (events) => events.filter(({ type }) => type === "event/message").length === MANY,
  );
  const last = Math.max(...others.map((id) => read.lastIndexOf(id)));
  expect(read.filter((id) => id !== busy)).toHaveLength(others.length * FEW);
  // Two turns would do, but something may have come late out of the library.
  expect(read.slice(0, last).filter((id) => id === busy).length).toBeLessThan(MANY / 2);
  for (const { transport } of [dialer, listener]) transport.closeAll();
});

test("webrtc: who sends more ahead than anybody may is told of once, whatever it sends, and nothing beyond is read", async () => {
  const id = 1 as AttemptId;
  const [MANY, BYTES] = [1_500, 200];
  const seen: string[] = [];
  const dialer = createEndpoint();
  const listener = createEndpoint({}, ({ type, attemptId }, transport) => {
    seen.push(type);
    if (type === "event/inboxFull") transport.close(attemptId, false);
  });
  await connect(dialer, listener, id);
  const before = listener.transport.traffic(id)?.bytesIn ?? 0;
  for (let number = 0; number < MANY; number++) dialer.transport.send(id, "rpc", new Uint8Array(BYTES));
  holdUntilArrived(listener, new Map([[id, before + BYTES * MANY]]));
  await listener.first(id, "event/connectionClosed");
  expect(seen.filter((type) => type === "event/inboxFull")).toHaveLength(1);
  expect(seen.filter((type) => type === "event/message").length).toBeLessThan(MANY);
  expect(listener.transport.openConnections).toBe(0);
  dialer.transport.closeAll();
});

test("webrtc: what waits to be read is thrown away by a close, also when the peer has left already", async () => {
  const [MESSAGES, READ] = [200, 100];
  const id = 1 as AttemptId;
  const dialer = createEndpoint();
  const types: string[] = [];
  const listener = createEndpoint({}, ({ type, attemptId }, transport) => {
    types.push(type);
    // As a step of the core takes its time: meanwhile the peer leaves.
    for (const endMs = performance.now() + 2; performance.now() < endMs; );
    if (types.filter((each) => each === "event/message").length === READ) transport.close(attemptId, false);
  });
  await connect(dialer, listener, id);
  for (let number = 0; number < MESSAGES; number++) dialer.transport.send(id, "rpc", new Uint8Array(10));
  dialer.transport.close(id, true);
  await listener.first(id, "event/connectionClosed");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(types.filter((type) => type === "event/message")).toHaveLength(READ);
  expect(types.filter((type) => type === "event/connectionClosed")).toHaveLength(1);
  expect(types.at(-1)).toBe("event/connectionClosed");
  expect(listener.transport.openConnections).toBe(0);
});
