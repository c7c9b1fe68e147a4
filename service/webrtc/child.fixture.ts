/** The processes that the tests of the transport end in different ways: `child.fixture.ts exit | throw | dial`. */
import type { AttemptId } from "../../core/ids.ts";
import { connect, createEndpoint } from "./loopback.fixture.ts";

const id = (number: number): AttemptId => number as AttemptId;

const MODES: Readonly<Record<string, () => Promise<void>>> = {
  /** Several connections come and go; then nothing keeps the process alive. */
  exit: async () => {
    const [dialer, listener] = [createEndpoint(), createEndpoint()];
    for (const attemptId of [id(1), id(2), id(3)]) await connect(dialer, listener, attemptId);
    dialer.transport.send(id(1), "rpc", new Uint8Array(50_000));
    dialer.transport.close(id(1), true);
    listener.transport.close(id(2), false);
    await Promise.all([id(1), id(2)].map((attemptId) => dialer.first(attemptId, "event/connectionClosed")));
    dialer.transport.createOffer(id(4));
    dialer.transport.closeAll();
    await Promise.all([id(1), id(2), id(3)].map((each) => listener.first(each, "event/connectionClosed")));
    process.stdout.write(`open ${dialer.transport.openConnections + listener.transport.openConnections}`);
  },

  /** The core fails while it handles an event that a native callback has caused. */
  throw: async () => {
    process.on("uncaughtException", (error) => {
      process.stdout.write(`caught ${error.message}`);
      process.exit();
    });
    const dialer = createEndpoint();
    const listener = createEndpoint({}, ({ type }) => {
      if (type === "event/message") throw new Error("bug of the core");
    });
    await connect(dialer, listener, id(1));
    dialer.transport.send(id(1), "control", Uint8Array.of(1));
  },

  /** Dials the parent and stays until it is killed. */
  dial: async () => {
    process.on("disconnect", () => process.exit());
    const dialer = createEndpoint();
    process.on("message", (answer) => dialer.transport.applyAnswer(id(1), String(answer)));
    dialer.transport.createOffer(id(1));
    process.send?.((await dialer.first(id(1), "event/localDescription")).sdp);
  },
};

await MODES[process.argv[2] ?? ""]?.();
