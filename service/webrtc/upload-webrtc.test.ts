import { expect, test } from "vitest";
import { encodeMessage } from "../../core/channels/table.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import { connect, createEndpoint } from "./loopback.fixture.ts";
import { createUpload, type Upload } from "./upload.ts";

const RATE = 2_000_000;
const CONNECTIONS = 4;
const MESSAGE = new Uint8Array(50_000);
const MESSAGES = 30;

test("webrtc: what several connections send is capped together, shared equally, and all of it arrives in order", async () => {
  const clock = (): number => performance.now();
  const after = (ms: number, run: () => void): void => void setTimeout(run, ms).unref();
  const upload = createUpload({ bytesPerSecond: RATE, clock, after });
  const sender = createEndpoint({ upload });
  const ids = Array.from({ length: CONNECTIONS }, (_, index) => (index + 1) as AttemptId);
  const arrived = new Map<AttemptId, number[]>(ids.map((id) => [id, []]));
  let [bytes, startMs] = [0, 0];
  let most = 0;
  /** Of the first, when the last one has half of what it is sent. */
  const atHalf: number[][] = [];
  const receiver = createEndpoint({}, (event) => {
    if (event.type !== "event/message") return;
    bytes += event.bytes.length;
    // Half a second of what the transport may still hold, beyond the rate.
    most = Math.max(most, bytes / (((clock() - startMs + 500) / 1_000) * RATE));
    arrived.get(event.attemptId)?.push(event.bytes[0] ?? -1);
    const counts = [...arrived.values()].map(({ length }) => length);
    if (atHalf.length === 0 && Math.max(...counts) === MESSAGES / 2) atHalf.push(counts);
  });
  for (const id of ids) await connect(sender, receiver, id);
  startMs = clock();
  for (const id of ids)
    for (let number = 0; number < MESSAGES; number++) {
      const message = MESSAGE.slice();
      message[0] = number;
      sender.transport.send(id, "streaming-rpc", message);
    }
  const isAll = () => bytes === CONNECTIONS * MESSAGES * MESSAGE.length;
  for (const id of ids) await receiver.until(id, () => (arrived.get(id)?.length ?? 0) === MESSAGES);
  expect(isAll()).toBe(true);
  const inOrder = Array.from({ length: MESSAGES }, (_, number) => number);
  for (const id of ids) expect(arrived.get(id)).toEqual(inOrder);
  expect(most).toBeLessThanOrEqual(1.05);
  // A message or two apart when they are sent in turns, and again when they are read in turns.
  for (const count of atHalf[0] ?? []) expect(count).toBeGreaterThanOrEqual(MESSAGES / 2 - 4);
  // Blocked while they wait, and told when they do not any more.
  for (const id of ids) {
    const told = sender
      .events(id)
      .filter(({ type }) => type === "event/channelBlocked" || type === "event/channelDrained");
    expect(told.at(0)?.type).toBe("event/channelBlocked");
    expect(told.at(-1)?.type).toBe("event/channelDrained");
  }
  sender.transport.closeAll();
  receiver.transport.closeAll();
}, 60_000);

const A = 1 as AttemptId;
const ROOT = "ab".repeat(32) as Hash;
const WINDOW = { seq: 0, floor: null, band: null };

test("webrtc: what is asked for and permitted is urgent, what is served takes turns, however small it is (P26)", async () => {
  const asked: string[] = [];
  const upload: Upload = {
    take: (bytes) => {
      asked.push(`turn ${bytes}`);
      return true;
    },
    takeUrgent: (bytes) => {
      asked.push(`urgent ${bytes}`);
      return true;
    },
    wait: () => undefined,
    leave: () => undefined,
  };
  const [sender, receiver] = [createEndpoint({ upload }), createEndpoint()];
  await connect(sender, receiver, A);
  const send = (message: Parameters<typeof encodeMessage>[0]): string | undefined => {
    sender.transport.send(A, message.channel, encodeMessage(message));
    return asked.pop();
  };
  expect(send({ channel: "control", message: { tag: "pong", n: 1 } })).toBe("urgent 5");
  expect(send({ channel: "best-tip", message: { tag: "getNext" } })).toBe("urgent 1");
  expect(send({ channel: "signaling/discovery", message: { tag: "answer", reply: null } })).toBe("urgent 2");
  expect(send({ channel: "transaction", message: { tag: "refloor", window: WINDOW } })).toBe("urgent 7");
  expect(send({ channel: "rpc", message: { tag: "request", id: 0, body: { tag: "peers" } } })).toBe(
    "urgent 6",
  );
  expect(send({ channel: "streaming-rpc", message: { tag: "request", id: 0, root: ROOT } })).toBe(
    "urgent 37",
  );
  expect(send({ channel: "rpc", message: { tag: "response", id: 0, body: { tag: "busy" } } })).toBe("turn 6");
  expect(send({ channel: "streaming-rpc", message: { tag: "manifest", id: 0, manifest: null } })).toBe(
    "turn 6",
  );
  const infos = { tag: "infos", cursor: { epoch: 0n, next: 0n }, seq: 0, rest: null, items: [] } as const;
  for (const channel of ["transaction", "snark", "snark-job-commitment"] as const)
    expect(send({ channel, message: infos })).toMatch("turn ");
  const ids = Array.from({ length: 256 }, (_, id) => BigInt(id));
  const body = { tag: "infosByShortId", pool: 0, salt: 1n, ids } as const;
  expect(send({ channel: "rpc", message: { tag: "request", id: 1, body } })).toMatch("turn ");
  sender.transport.closeAll();
  receiver.transport.closeAll();
}, 60_000);

test("webrtc: a request leaves while answers to others wait for their turns, and a small answer waits as well (P26)", async () => {
  let urgentLeft = 1;
  const waiting = new Set<unknown>();
  const upload: Upload = {
    take: () => false,
    takeUrgent: () => urgentLeft-- > 0,
    wait: (other) => waiting.add(other),
    leave: (other) => waiting.delete(other),
  };
  const [sender, receiver] = [createEndpoint({ upload }), createEndpoint()];
  await connect(sender, receiver, A);
  const received = (): readonly string[] =>
    receiver.events(A).flatMap((event) => (event.type === "event/message" ? [event.channel] : []));
  const busy = { channel: "rpc", message: { tag: "response", id: 0, body: { tag: "busy" } } } as const;
  sender.transport.send(A, "rpc", encodeMessage(busy));
  expect(waiting.size).toBe(1);
  sender.transport.send(A, "best-tip", encodeMessage({ channel: "best-tip", message: { tag: "getNext" } }));
  await receiver.until(A, () => received().length === 1);
  // Neither what is urgent beyond its share, nor what waits, but a Ping always.
  sender.transport.send(A, "best-tip", encodeMessage({ channel: "best-tip", message: { tag: "getNext" } }));
  sender.transport.send(A, "control", encodeMessage({ channel: "control", message: { tag: "ping", n: 1 } }));
  await receiver.until(A, () => received().length === 2);
  expect(received()).toEqual(["best-tip", "control"]);
  sender.transport.closeAll();
  receiver.transport.closeAll();
}, 60_000);
