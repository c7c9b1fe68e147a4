import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type DataChannel, PeerConnection } from "node-datachannel";
import { afterAll, describe, expect, test } from "vitest";
import type { TransportEvent } from "../core/actions.ts";
import { CHANNEL_NAMES, type ChannelName } from "../core/channels/table.ts";
import type { AttemptId } from "../core/ids.ts";
import {
  BUFFERED_BYTES_MAX,
  CANDIDATES_HOLD_MS,
  MESSAGE_BYTES_MAX,
  SDP_BYTES_MAX,
  SDP_CANDIDATES_MAX,
  SDP_MESSAGE_BYTES_MIN,
} from "../core/limits.ts";
import { withCandidatesAtMost } from "./webrtc/connection.ts";
import {
  allChannelsOpen,
  candidatesOf,
  connect,
  createEndpoint,
  type Endpoint,
  signal,
  withoutCandidates,
} from "./webrtc/loopback.fixture.ts";

const id = (number: number): AttemptId => number as AttemptId;
const A = id(1);

const handlesAtStart = nativeHandles();

/** Every event of every test, for the audit at the end. */
const transcripts: Map<AttemptId, TransportEvent[]>[] = [];

function endpoint(...[options, onEvent = () => {}]: Parameters<typeof createEndpoint>): Endpoint {
  const transcript = new Map<AttemptId, TransportEvent[]>();
  transcripts.push(transcript);
  return createEndpoint(options, (event, transport) => {
    transcript.set(event.attemptId, [...(transcript.get(event.attemptId) ?? []), withoutBytes(event)]);
    onEvent(event, transport);
  });
}

afterAll(() => {
  for (const transcript of transcripts)
    for (const events of transcript.values())
      expect(violationsOfContract(events), JSON.stringify(events)).toEqual([]);
});

describe("webrtc: connecting", () => {
  test("webrtc: the answerer's candidates are held back for 500 ms and the connection is up before", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    const { offer } = await connect(dialer, listener, A);
    await later(CANDIDATES_HOLD_MS);
    listener.transport.addCandidates(A, candidatesOf(offer));
    dialer.transport.send(A, "control", Uint8Array.of(1));
    expect((await listener.first(A, "event/message")).bytes).toEqual(Uint8Array.of(1));
    closeBoth(dialer, listener);
  });

  test("webrtc: the held back candidates open the path that only the answerer can open", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    dialer.transport.createOffer(A);
    const { sdp: offer } = await dialer.first(A, "event/localDescription");
    listener.transport.createAnswer(A, withoutCandidates(offer));
    const { sdp: answer } = await listener.first(A, "event/localDescription");
    dialer.transport.applyAnswer(A, withoutCandidates(answer));
    await later(CANDIDATES_HOLD_MS);
    listener.transport.addCandidates(A, candidatesOf(offer));
    await Promise.all([dialer, listener].map(({ until }) => until(A, allChannelsOpen)));
    closeBoth(dialer, listener);
  });

  test("webrtc: both sides report the certificate and the address of the other, before any channel", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    const { offer, answer } = await connect(dialer, listener, A);
    for (const [side, sdp] of [
      [dialer, answer],
      [listener, offer],
    ] as const) {
      const types = side.events(A).map(({ type }) => type);
      expect(types.slice(0, 3)).toEqual(["event/localDescription", "event/connected", "event/channelOpened"]);
      const { fingerprint, remoteAddress } = await side.first(A, "event/connected");
      expect(fingerprint).toBe(fingerprintOf(sdp));
      expect(remoteAddress).toBe("127.0.0.1");
    }
    closeBoth(dialer, listener);
  });

  test("webrtc: a configured certificate is the one that is announced and presented", async () => {
    const [dialer, listener] = [endpoint({ certificate: CERTIFICATE }), endpoint()];
    const { offer } = await connect(dialer, listener, A);
    expect(fingerprintOf(offer)).toBe(CERTIFICATE.fingerprint);
    expect((await listener.first(A, "event/connected")).fingerprint).toBe(CERTIFICATE.fingerprint);
    closeBoth(dialer, listener);
  });

  test("webrtc: a description is complete, small, and announces enough for a message that is too long", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    const { offer, answer } = await signal(dialer, listener, A);
    for (const [sdp, setup] of [
      [offer, "actpass"],
      [answer, "active"],
    ] as const) {
      expect(sdp.length).toBeLessThan(SDP_BYTES_MAX);
      expect(sdp.match(/^m=/gm)).toHaveLength(1);
      expect(sdp.match(/^a=fingerprint:sha-256 /gm)).toHaveLength(1);
      expect(sdp).toContain(`a=max-message-size:${SDP_MESSAGE_BYTES_MIN}\r\n`);
      expect(sdp).toContain(`a=setup:${setup}\r\n`);
      expect(candidatesOf(sdp)).toHaveLength(1);
    }
    closeBoth(dialer, listener);
  });

  test("webrtc: a description keeps its first 16 candidates and every other line", () => {
    const lines = (count: number) =>
      Array.from({ length: count }, (_, index) => `a=candidate:${index} 1 UDP`);
    const sdp = ["v=0", ...lines(20), "a=end-of-candidates", ""].join("\r\n");
    const kept = ["v=0", ...lines(SDP_CANDIDATES_MAX), "a=end-of-candidates", ""].join("\r\n");
    expect(withCandidatesAtMost(SDP_CANDIDATES_MAX, sdp)).toBe(kept);
  });

  test("webrtc: an attempt has one connection", () => {
    const { transport } = endpoint();
    transport.createOffer(A);
    expect(() => transport.createOffer(A)).toThrow("an attempt has one connection");
    expect(() => transport.createAnswer(A, "")).toThrow("an attempt has one connection");
    transport.closeAll();
  });

  test("webrtc: no method emits before it has returned", async () => {
    const emittedWithin: string[] = [];
    let method: string | undefined;
    const { transport, first } = endpoint({}, ({ type }) => {
      if (method !== undefined) emittedWithin.push(`${type} within ${method}`);
    });
    const call = (name: string, body: () => void): void => {
      method = name;
      body();
      method = undefined;
    };
    call("createOffer", () => transport.createOffer(id(1)));
    call("applyAnswer", () => transport.applyAnswer(id(1), "garbage"));
    call("createAnswer", () => transport.createAnswer(id(2), "garbage"));
    call("createOffer", () => transport.createOffer(id(3)));
    call("send", () => transport.send(id(3), "rpc", Uint8Array.of(1)));
    call("createOffer", () => transport.createOffer(id(4)));
    call("addCandidates", () => transport.addCandidates(id(4), ["garbage"]));
    call("createOffer", () => transport.createOffer(id(5)));
    call("close", () => transport.close(id(5), false));
    await Promise.all([1, 2, 3, 4, 5].map((number) => first(id(number), "event/connectionClosed")));
    expect(emittedWithin).toEqual([]);
  });
});

describe("webrtc: failure paths", () => {
  const P14 = "P14: webrtc: one event/connectionClosed";

  test.each([
    ["empty", ""],
    ["not an SDP", "garbage"],
    ["JSON", '{"type":"offer"}'],
    ["NUL bytes", "\0\0\0\r\n\0"],
    ["only a version", "v=0\r\n"],
    ["long", "a".repeat(1_000_000)],
    ["without a data channel", "v=0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"],
  ])(`${P14} after a garbage offer: %s`, async (_, sdp) => {
    const { transport, first } = endpoint();
    transport.createAnswer(A, sdp);
    expect((await first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    expect(transport.openConnections).toBe(0);
  });

  test.each([
    ["empty", () => ""],
    ["not an SDP", () => "garbage"],
    ["truncated", (answer: string) => answer.slice(0, 200)],
    ["without fingerprint", (answer: string) => answer.replace(/a=fingerprint.*\r\n/, "")],
    ["without ICE password", (answer: string) => answer.replace(/a=ice-pwd.*\r\n/, "")],
  ])(`${P14} after a garbage answer: %s`, async (_, spoil) => {
    const [dialer, listener] = [endpoint(), endpoint()];
    dialer.transport.createOffer(A);
    const { sdp: offer } = await dialer.first(A, "event/localDescription");
    listener.transport.createAnswer(A, withoutCandidates(offer));
    const { sdp: answer } = await listener.first(A, "event/localDescription");
    dialer.transport.applyAnswer(A, spoil(answer));
    expect((await dialer.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    listener.transport.close(A, true);
    expect((await listener.first(A, "event/connectionClosed")).error).toBe(null);
  });

  test(`${P14} after an offer with the fingerprint of another certificate`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    dialer.transport.createOffer(A);
    const { sdp: offer } = await dialer.first(A, "event/localDescription");
    listener.transport.createAnswer(A, withoutCandidates(withOtherFingerprint(offer)));
    dialer.transport.applyAnswer(A, (await listener.first(A, "event/localDescription")).sdp);
    expect((await listener.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    expect((await dialer.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
  });

  test(`${P14} after an answer with the fingerprint of another certificate`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    dialer.transport.createOffer(A);
    const { sdp: offer } = await dialer.first(A, "event/localDescription");
    listener.transport.createAnswer(A, withoutCandidates(offer));
    const { sdp: answer } = await listener.first(A, "event/localDescription");
    dialer.transport.applyAnswer(A, withOtherFingerprint(answer));
    expect((await dialer.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    expect((await listener.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
  });

  test(`${P14} after a close before the answer, which is then ignored`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    dialer.transport.createOffer(A);
    const { sdp: offer } = await dialer.first(A, "event/localDescription");
    listener.transport.createAnswer(A, withoutCandidates(offer));
    dialer.transport.close(A, false);
    dialer.transport.applyAnswer(A, (await listener.first(A, "event/localDescription")).sdp);
    expect((await dialer.first(A, "event/connectionClosed")).error).toBe(null);
    listener.transport.closeAll();
  });

  test.each([true, false])(
    `${P14} and nothing else after a close at once (graceful: %s)`,
    async (graceful) => {
      const { transport, first, events } = endpoint();
      transport.createOffer(A);
      transport.close(A, graceful);
      await first(A, "event/connectionClosed");
      expect(events(A)).toEqual([{ type: "event/connectionClosed", attemptId: A, error: null }]);
    },
  );

  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])(`${P14} after closing twice (graceful: %s, then %s)`, async (...graceful) => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await connect(dialer, listener, A);
    for (const each of graceful) dialer.transport.close(A, each);
    dialer.transport.send(A, "control", Uint8Array.of(1));
    expect((await dialer.first(A, "event/connectionClosed")).error).toBe(null);
    expect((await listener.first(A, "event/connectionClosed")).error).toBe(null);
    expect(listener.events(A).some(({ type }) => type === "event/message")).toBe(false);
  });

  test(`${P14} after an answer that is applied twice`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    const { answer } = await connect(dialer, listener, A);
    dialer.transport.applyAnswer(A, answer);
    expect((await dialer.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    await listener.first(A, "event/connectionClosed");
  });

  test.each(["203.0.113.1", "not an address"])(
    `${P14} if the address cannot be bound: %s`,
    async (bindAddress) => {
      const dialer = endpoint();
      dialer.transport.createOffer(A);
      const { sdp: offer } = await dialer.first(A, "event/localDescription");
      dialer.transport.closeAll();
      const { transport, first } = endpoint({ bindAddress });
      transport.createOffer(id(2));
      transport.createAnswer(id(3), withoutCandidates(offer));
      expect((await first(id(2), "event/connectionClosed")).error).toEqual(expect.any(String));
      expect((await first(id(3), "event/connectionClosed")).error).toEqual(expect.any(String));
    },
  );

  test(`${P14} if the certificate cannot be read`, async () => {
    const { transport, first } = endpoint({ certificate: { certificatePem: "garbage", keyPem: "garbage" } });
    transport.createOffer(A);
    expect((await first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
  });

  test(`${P14} after a message before the channel is open`, async () => {
    const { transport, first } = endpoint();
    transport.createOffer(A);
    transport.send(A, "control", Uint8Array.of(1));
    expect((await first(A, "event/connectionClosed")).error).toContain("control");
  });

  test(`${P14} after a message that no peer would take`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await connect(dialer, listener, A);
    dialer.transport.send(A, "rpc", new Uint8Array(SDP_MESSAGE_BYTES_MIN + 1));
    expect((await dialer.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    await listener.first(A, "event/connectionClosed");
  });

  test(`${P14} after a malformed candidate`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    dialer.transport.createOffer(A);
    const { sdp: offer } = await dialer.first(A, "event/localDescription");
    listener.transport.createAnswer(A, withoutCandidates(offer));
    listener.transport.addCandidates(A, ["candidate:garbage"]);
    expect((await listener.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    dialer.transport.addCandidates(A, candidatesOf(offer));
    expect((await dialer.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
  });

  test(`${P14} on the other side when one side closes`, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await connect(dialer, listener, A);
    listener.transport.close(A, false);
    expect((await dialer.first(A, "event/connectionClosed")).error).toBe(null);
    expect((await listener.first(A, "event/connectionClosed")).error).toBe(null);
  });

  test(`${P14} after a peer has closed only one of its channels`, async () => {
    const listener = endpoint();
    const peer = await dialRaw(listener);
    peer.channels.rpc.close();
    expect((await listener.first(A, "event/connectionClosed")).error).toEqual(expect.any(String));
    peer.pc.close();
  });

  test(`${P14} after the process of the peer was killed`, { timeout: 60_000 }, async () => {
    const listener = endpoint();
    const child = start("dial", "ipc");
    const [offer] = (await once(child, "message")) as [string];
    listener.transport.createAnswer(A, withoutCandidates(offer));
    child.send((await listener.first(A, "event/localDescription")).sdp);
    await listener.until(A, allChannelsOpen);
    child.kill("SIGKILL");
    // Unanswered messages are noticed sooner than silence.
    listener.transport.send(A, "control", Uint8Array.of(1));
    await listener.first(A, "event/connectionClosed");
    expect(listener.transport.openConnections).toBe(0);
  });

  test("P14: webrtc: what is asked for an unknown attempt is ignored", async () => {
    const { transport, events } = endpoint();
    transport.applyAnswer(A, "garbage");
    transport.addCandidates(A, ["garbage"]);
    transport.send(A, "control", Uint8Array.of(1));
    transport.close(A, true);
    transport.close(A, false);
    expect(transport.traffic(A)).toBe(undefined);
    await later(0);
    expect(events(A)).toEqual([]);
  });
});

describe("webrtc: messages", () => {
  test("P15: webrtc: no message is lost that both sides send as soon as a channel is open", async () => {
    const [CONNECTIONS, MESSAGES] = [100, 17];
    const greet = (event: TransportEvent, transport: Endpoint["transport"]): void => {
      if (event.type !== "event/channelOpened") return;
      for (let number = 0; number < MESSAGES; number++)
        transport.send(event.attemptId, event.channel, Uint8Array.of(number));
    };
    const [dialer, listener] = [endpoint({}, greet), endpoint({}, greet)];
    const expected = Object.fromEntries(
      CHANNEL_NAMES.map((name) => [name, Array.from({ length: MESSAGES }, (_, number) => number)]),
    );
    await inParallel(10, CONNECTIONS, async (number) => {
      await connect(dialer, listener, id(number));
      const enough = (events: readonly TransportEvent[]) =>
        messages(events).length === CHANNEL_NAMES.length * MESSAGES;
      await Promise.all([dialer.until(id(number), enough), listener.until(id(number), enough)]);
      closeBoth(dialer, listener, id(number));
    });
    for (let number = 0; number < CONNECTIONS; number++)
      for (const side of [dialer, listener]) expect(firstBytes(side.events(id(number)))).toEqual(expected);
  });

  test("webrtc: messages of every size arrive whole, in order, each in memory of its own", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await connect(dialer, listener, A);
    const sizes = [0, 1, 100, 1_200, 16_384, 60_000, MESSAGE_BYTES_MAX, 0, 2];
    const sent = CHANNEL_NAMES.flatMap((channel) =>
      sizes.map((size) => ({ channel, bytes: patterned(size) })),
    );
    for (const { channel, bytes } of sent) listener.transport.send(A, channel, bytes);
    await dialer.until(A, (events) => messages(events).length === sent.length);
    for (const name of CHANNEL_NAMES) {
      const received = messages(dialer.events(A)).filter(({ channel }) => channel === name);
      expect(received.map(({ bytes }) => bytes.length)).toEqual(sizes);
      for (const { bytes } of received) {
        expect(Buffer.compare(bytes, patterned(bytes.length))).toBe(0);
        expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
        expect(bytes.buffer.byteLength).toBe(bytes.length);
      }
    }
    expect(dialer.transport.traffic(A)?.bytesIn).toBeGreaterThan(sizes.reduce((sum, size) => sum + size, 0));
    closeBoth(dialer, listener);
  });

  test("webrtc: a text frame is reported without its content", async () => {
    const listener = endpoint();
    const peer = await dialRaw(listener);
    peer.channels.transaction.sendMessage("text");
    expect((await listener.first(A, "event/textReceived")).channel).toBe("transaction");
    listener.transport.closeAll();
    peer.pc.close();
  });

  test("webrtc: channels beyond ours are closed and change nothing", async () => {
    const listener = endpoint();
    const peer = await dialRaw(listener);
    const closed = Promise.all(
      ["a", "b"].map(
        (label) =>
          new Promise<void>((resolve) => {
            const dc = peer.pc.createDataChannel(label);
            dc.onClosed(resolve);
          }),
      ),
    );
    await closed;
    peer.channels.control.sendMessageBinary(Buffer.of(2));
    expect((await listener.first(A, "event/message")).bytes).toEqual(Uint8Array.of(2));
    expect(listener.events(A).filter(({ type }) => type === "event/channelOpened")).toHaveLength(
      CHANNEL_NAMES.length,
    );
    listener.transport.closeAll();
    peer.pc.close();
  });

  test("webrtc: more than 256 KiB unsent block a channel, which drains in order", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await connect(dialer, listener, A);
    const [BYTES, COUNT] = [16_384, 256];
    for (let round = 1; round <= 2; round++) {
      for (let number = 0; number < COUNT; number++)
        dialer.transport.send(A, "rpc", new Uint8Array(BYTES).fill(number));
      // What the library holds is bounded; the rest waits in the queue of the transport.
      expect(dialer.transport.traffic(A)?.bytesOut).toBeLessThan(round * BYTES * COUNT - BUFFERED_BYTES_MAX);
      await listener.until(A, (events) => messages(events).length === round * COUNT);
      await dialer.until(A, (events) => pressure(events).length === 2 * round);
    }
    expect(pressure(dialer.events(A))).toEqual([
      "event/channelBlocked rpc",
      "event/channelDrained rpc",
      "event/channelBlocked rpc",
      "event/channelDrained rpc",
    ]);
    expect(pressureAndProgress(dialer.events(A)).length).toBeGreaterThan(4);
    const numbers = Array.from({ length: 2 * COUNT }, (_, number) => number % 256);
    expect(firstBytes(listener.events(A)).rpc).toEqual(numbers);
    closeBoth(dialer, listener);
  });

  test("webrtc: a blocked channel does not block another", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await connect(dialer, listener, A);
    for (let number = 0; number < 100; number++) dialer.transport.send(A, "rpc", new Uint8Array(60_000));
    dialer.transport.send(A, "control", Uint8Array.of(7));
    await dialer.first(A, "event/channelDrained");
    await listener.until(A, (events) => messages(events).length === 101);
    expect(pressure(dialer.events(A))).toEqual(["event/channelBlocked rpc", "event/channelDrained rpc"]);
    expect(firstBytes(listener.events(A)).control).toEqual([7]);
    closeBoth(dialer, listener);
  });
});

describe("webrtc: closing", () => {
  test.each([
    ["50 of 60 KB", 50, 60_000],
    ["100 of 60 KB, most of them in the transport's own queue", 100, 60_000],
    ["900 of 1 byte", 900, 1],
  ])("P33: webrtc: a graceful close delivers everything: %s", async (_, count, bytes) => {
    const [dialer, listener] = [endpoint(), endpoint()];
    for (let number = 1; number <= 5; number++) {
      const attemptId = id(number);
      const [from, to] = number % 2 === 0 ? [dialer, listener] : [listener, dialer];
      await connect(dialer, listener, attemptId);
      for (let index = 0; index < count; index++)
        from.transport.send(attemptId, "rpc", new Uint8Array(bytes));
      from.transport.send(attemptId, "transaction", Uint8Array.of(1));
      from.transport.send(attemptId, "control", Uint8Array.of(2));
      from.transport.close(attemptId, true);
      expect((await from.first(attemptId, "event/connectionClosed")).error).toBe(null);
      expect((await to.first(attemptId, "event/connectionClosed")).error).toBe(null);
      const received = messages(to.events(attemptId));
      const sent: Partial<Record<ChannelName, number>> = { control: 1, transaction: 1, rpc: count };
      for (const name of CHANNEL_NAMES) {
        expect([name, received.filter(({ channel }) => channel === name).length]).toEqual([
          name,
          sent[name] ?? 0,
        ]);
      }
    }
  });

  test("P33: webrtc: graceful closes of both sides at once end without a deadline", async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    await inParallel(5, 30, async (number) => {
      await connect(dialer, listener, id(number));
      for (const { transport } of [dialer, listener]) {
        for (let index = 0; index < number; index++)
          transport.send(id(number), "rpc", new Uint8Array(60_000));
        transport.close(id(number), true);
      }
      await Promise.all([dialer, listener].map(({ first }) => first(id(number), "event/connectionClosed")));
    });
    expect(dialer.transport.openConnections + listener.transport.openConnections).toBe(0);
  });

  test("webrtc: after a close no message is emitted, however many have arrived", async () => {
    const dialer = endpoint();
    const listener = endpoint({}, ({ type, attemptId }, transport) => {
      if (type === "event/message") transport.close(attemptId, false);
    });
    await connect(dialer, listener, A);
    const arrived = () => listener.transport.traffic(A)?.bytesIn ?? 0;
    for (let number = 0; number < 2_000; number++) dialer.transport.send(A, "rpc", new Uint8Array(1_000));
    // The native side receives while this thread is held: many messages wait for one callback.
    for (const end = Date.now() + 5_000; arrived() < 500_000 && Date.now() < end; );
    expect(arrived()).toBeGreaterThanOrEqual(500_000);
    await listener.first(A, "event/connectionClosed");
    await dialer.first(A, "event/connectionClosed");
    expect(messages(listener.events(A))).toHaveLength(1);
  });

  test("P32: webrtc: 200 connections come and go and leave nothing behind", { timeout: 60_000 }, async () => {
    const [dialer, listener] = [endpoint(), endpoint()];
    const cycle = async (number: number): Promise<void> => {
      await connect(dialer, listener, id(number));
      (number % 2 === 0 ? dialer : listener).transport.close(id(number), number % 4 < 2);
      await Promise.all([dialer, listener].map(({ first }) => first(id(number), "event/connectionClosed")));
    };
    await inParallel(10, 200, cycle);
    expect(dialer.transport.openConnections).toBe(0);
    expect(listener.transport.openConnections).toBe(0);
    await expect.poll(nativeHandles, { timeout: 10_000 }).toBeLessThanOrEqual(handlesAtStart);
  });

  test("P33: webrtc: a process whose connections are closed exits by itself", async () => {
    const child = start("exit");
    const [output, [code, killedBy]] = await Promise.all([text(stdoutOf(child)), once(child, "exit")]);
    expect({ output, code, killedBy }).toEqual({ output: "open 0", code: 0, killedBy: null });
  });

  test("webrtc: an error thrown by the receiver of events is an uncaught exception, not an abort", async () => {
    const child = start("throw");
    const [output, [code, killedBy]] = await Promise.all([text(stdoutOf(child)), once(child, "exit")]);
    expect({ output, code, killedBy }).toEqual({ output: "caught bug of the core", code: 0, killedBy: null });
  });
});

/** The contract of core/services.ts over the whole life of one attempt. */
function violationsOfContract(events: readonly TransportEvent[]): string[] {
  const violations: string[] = [];
  const at = (type: TransportEvent["type"]) =>
    events.flatMap((event, index) => (event.type === type ? [index] : []));
  const [described, connected, closed] = [
    at("event/localDescription"),
    at("event/connected"),
    at("event/connectionClosed"),
  ];
  if (described.length > 1) violations.push("described twice");
  if (connected.length > 1) violations.push("connected twice");
  if (closed.length !== 1 || closed[0] !== events.length - 1)
    violations.push("does not end with its one end");
  const opened = new Set<ChannelName>();
  for (const [index, event] of events.entries()) {
    if (!("channel" in event)) continue;
    if (connected[0] === undefined || index < connected[0])
      violations.push("a channel before the connection");
    if (event.type === "event/channelOpened" && opened.has(event.channel)) violations.push("opened twice");
    if (event.type !== "event/channelOpened" && !opened.has(event.channel))
      violations.push("used before opened");
    opened.add(event.channel);
  }
  return violations;
}

interface RawPeer {
  readonly pc: PeerConnection;
  readonly channels: Readonly<Record<ChannelName, DataChannel>>;
}

/** As the protocol has them (section 7): a peer with other ids would not get through. */
const CHANNEL_IDS: Readonly<Record<ChannelName, number>> = {
  control: 0,
  "signaling/discovery": 1,
  "signaling/exchange": 2,
  "best-tip": 3,
  transaction: 4,
  snark: 5,
  "snark-job-commitment": 6,
  rpc: 7,
  "streaming-rpc": 8,
};

/** A peer that does what no transport of ours would. */
async function dialRaw(listener: Endpoint): Promise<RawPeer> {
  const pc = new PeerConnection("raw", { iceServers: [], bindAddress: "127.0.0.1" });
  pc.onStateChange(() => {});
  const open = (name: ChannelName): DataChannel => {
    const dc = pc.createDataChannel(name, { negotiated: true, id: CHANNEL_IDS[name] });
    dc.onClosed(() => {});
    return dc;
  };
  const channels = Object.fromEntries(CHANNEL_NAMES.map((name) => [name, open(name)])) as RawPeer["channels"];
  listener.transport.createAnswer(A, withoutCandidates(pc.localDescription()?.sdp ?? ""));
  pc.setRemoteDescription((await listener.first(A, "event/localDescription")).sdp, "answer");
  await Promise.all([
    listener.until(A, allChannelsOpen),
    expect.poll(() => Object.values(channels).every((dc) => dc.isOpen())).toBe(true),
  ]);
  return { pc, channels };
}

function start(mode: string, channel: "ipc" | "ignore" = "ignore"): ChildProcess {
  const script = join(import.meta.dirname, "webrtc", "child.fixture.ts");
  return spawn(process.execPath, ["--import", "tsx", script, mode], {
    stdio: ["ignore", "pipe", "inherit", channel],
  });
}

function stdoutOf(child: ChildProcess): NodeJS.ReadableStream {
  if (child.stdout === null) throw new Error("the child has a pipe for its output");
  return child.stdout;
}

function closeBoth(dialer: Endpoint, listener: Endpoint, attemptId = A): void {
  for (const { transport } of [dialer, listener]) transport.close(attemptId, false);
}

async function inParallel(
  width: number,
  count: number,
  body: (number: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await body(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

type Message = Extract<TransportEvent, { type: "event/message" }>;

function messages(events: readonly TransportEvent[]): Message[] {
  return events.filter((event) => event.type === "event/message");
}

function firstBytes(events: readonly TransportEvent[]): Partial<Record<ChannelName, number[]>> {
  const numbers: Partial<Record<ChannelName, number[]>> = {};
  for (const { channel, bytes } of messages(events)) {
    numbers[channel] ??= [];
    numbers[channel].push(bytes[0] ?? -1);
  }
  return numbers;
}

/** Where pressure begins and ends; a channel that is said to be blocked once more has made progress. */
function pressure(events: readonly TransportEvent[]): string[] {
  return pressureAndProgress(events).filter((event, index, all) => event !== all[index - 1]);
}

function pressureAndProgress(events: readonly TransportEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "event/channelBlocked" || event.type === "event/channelDrained"
      ? [`${event.type} ${event.channel}`]
      : [],
  );
}

function withoutBytes(event: TransportEvent): TransportEvent {
  return event.type === "event/message" ? { ...event, bytes: event.bytes.subarray(0, 0) } : event;
}

/** Bytes that differ from one position to the next and from one length to the next. */
function patterned(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + length) % 251);
}

function fingerprintOf(sdp: string): string | undefined {
  return /^a=fingerprint:sha-256 (.*)\r$/m.exec(sdp)?.[1]?.replaceAll(":", "").toLowerCase();
}

function withOtherFingerprint(sdp: string): string {
  return sdp.replace(
    /(a=fingerprint:sha-256 )(..)/,
    (_, start, digits) => `${start}${digits === "00" ? "01" : "00"}`,
  );
}

/** Each native callback that is not released is one. */
function nativeHandles(): number {
  const report = process.report.getReport() as unknown as {
    readonly libuv: readonly { readonly type: string }[];
  };
  return report.libuv.filter(({ type }) => type === "async").length;
}

function later(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Made for this test. */
const CERTIFICATE = {
  certificatePem: `-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUIT0RQ+y4qOlcOKpihDep6KSwZ9wwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGcG9sbGVuMCAXDTI2MTEyMjE2MzMwNFoYDzIxMjYxMDI5MTYz
MzA0WjARMQ8wDQYDVQQDDAZwb2xsZW4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATs9UxOhcdDTXrLaoeSAPhFIeQ1Qg4+pFzQUut8P1ATM53POEC32NSzCOryCtqh
PVAHJKnbCsVPN00lmuotunXOo1MwUTAdBgNVHQ4EFgQUJqOaQ42Hb7goTa/xmVPk
9PBiB6wwHwYDVR0jBBgwFoAUJqOaQ42Hb7goTa/xmVPk9PBiB6wwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA10lkPaV4ed/gU5/ZOEPMTeJzJn0o
tnRRNKfMvmSOq2gCIBPIBBh+siBTVXi+i1Z/K+Q0WnIeI1zaLsrluVtKTQM+
-----END CERTIFICATE-----`,
  keyPem: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgh+teMkJ8H2FOVZNX
YFBh9HXI6uTAGEfgxc2a35daNcShRANCAATs9UxOhcdDTXrLaoeSAPhFIeQ1Qg4+
pFzQUut8P1ATM53POEC32NSzCOryCtqhPVAHJKnbCsVPN00lmuotunXO
-----END PRIVATE KEY-----`,
  fingerprint: "532aeee0515677dc2ece09ba1542bf48438745a1ede18042e63b4767ea541f1d",
};
