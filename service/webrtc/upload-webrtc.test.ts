import { expect, test } from "vitest";
import type { AttemptId } from "../../core/ids.ts";
import { connect, createEndpoint } from "./loopback.fixture.ts";
import { createUpload } from "./upload.ts";

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
