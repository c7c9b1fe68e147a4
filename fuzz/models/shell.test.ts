import fc from "fast-check";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { SignalingEvent } from "../../core/actions.ts";
import { assert } from "../../core/assert.ts";
import type { AttemptId } from "../../core/ids.ts";
import { type DialAddress, parseMultiaddr } from "../../core/multiaddr.ts";
import type { CommandResult, SignalReply } from "../../core/services.ts";
import { party } from "../../reducers/testing/node.ts";
import { addressOf } from "../../reducers/testing/signals.ts";
import { ephemeralKey } from "../../service/key-file.ts";
import { type RunningNode, startNode } from "../../service/node.ts";
import { admissionPerIp, DEFAULT_SETTINGS } from "../../service/node-settings.ts";
import type { CommandOf } from "../../service/operator.ts";
import { createSignaling, type NodeSignaling } from "../../service/signaling.ts";
import { runs } from "../runs.ts";
import { asyncCommand, pause, turn, withoutRejections } from "./shell.ts";

/** Signaling and whole nodes: whatever order promises come in, everything is answered once and nothing is left. */

/** Sockets and servers of this process. */
const sockets = (): readonly string[] =>
  process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP"));

// Signaling over real HTTP, with a core that answers late.

interface SignalingModel {
  posted: number;
}

interface SignalingReal {
  readonly dialer: NodeSignaling;
  readonly listener: NodeSignaling;
  readonly answered: AttemptId[];
  readonly received: SignalingEvent[];
  isCalling: boolean;
}

type Reply = (real: SignalingReal, event: Extract<SignalingEvent, { type: "event/signalReceived" }>) => void;

async function signalingSetup(reply: Reply): Promise<{ model: SignalingModel; real: SignalingReal }> {
  const model: SignalingModel = { posted: 0 };
  const [answered, received] = [[] as AttemptId[], [] as SignalingEvent[]];
  const dialer = await createSignaling({
    emit: (event) => {
      assert(event.type === "event/signalAnswered" && !real.isCalling, "events come later");
      answered.push(event.attemptId);
    },
  });
  const listener = await createSignaling({
    listen: { host: "127.0.0.1", port: 0 },
    emit: (event) => {
      assert(event.type === "event/signalReceived" && !real.isCalling, "events come later");
      received.push(event);
      reply(real, event);
    },
  });
  const real: SignalingReal = { dialer, listener, answered, received, isCalling: false };
  return { model, real };
}

const REPLIES: readonly SignalReply[] = [
  { tag: "envelope", envelope: Uint8Array.of(2) },
  { tag: "undecodable" },
  { tag: "rateLimited", retryAfterS: 3 },
  { tag: "unavailable", retryAfterS: 3 },
];

/** Nothing listens on this port. */
const NOWHERE = 9;

type SignalingCommand = fc.AsyncCommand<SignalingModel, SignalingReal>;

const post = (port: (real: SignalingReal) => number): SignalingCommand =>
  asyncCommand("post", (model, real) => {
    model.posted += 1;
    const address: DialAddress = { ...addressOf(party("peer"), port(real)), host: "127.0.0.1" };
    real.isCalling = true;
    real.dialer.post(model.posted as AttemptId, address, Uint8Array.of(1));
    real.isCalling = false;
  });

const signalingCommands: fc.Arbitrary<SignalingCommand>[] = [
  fc.constant(post(({ listener }) => listener.port ?? NOWHERE)),
  fc.constant(post(({ listener }) => listener.port ?? NOWHERE)),
  fc.constant(post(() => NOWHERE)),
  fc.constantFrom(0, 1, 4).map((ms) => asyncCommand(`${ms} ms`, () => pause(ms))),
  fc
    .constantFrom<"dialer" | "listener">("dialer", "listener")
    .map((which) => asyncCommand(`close the ${which}`, (_model, real) => real[which].close())),
];

test("shell: every post is answered once, whoever is closed when, and no socket is left", async () => {
  const before = sockets();
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.commands(signalingCommands, { maxCommands: 12, size: "max" }),
      fc.infiniteStream(fc.constantFrom(...REPLIES)),
      (scheduler, commands, replies) =>
        withoutRejections(async () => {
          const { model, real } = await signalingSetup(({ listener }, { requestId }) => {
            void scheduler.schedule(Promise.resolve(), `reply ${requestId}`).then(() => {
              listener.reply(requestId, replies.next().value);
              listener.reply(requestId, replies.next().value);
            });
          });
          try {
            await fc.scheduledModelRun(scheduler, () => ({ model, real }), commands);
            // By itself: whoever was posted to need not do anything for it.
            await real.dialer.close();
            await turn();
            expect([...real.answered].sort((a, b) => a - b)).toEqual(
              Array.from({ length: model.posted }, (_, at) => at + 1),
            );
          } finally {
            await real.listener.close();
          }
          // What was on its way within the process.
          await turn();
          const received = real.received.length;
          await pause(2);
          expect(real.answered).toHaveLength(model.posted);
          expect(real.received).toHaveLength(received);
        }),
    ),
    { numRuns: runs(20) },
  );
  await pause(10);
  expect(sockets()).toEqual(before);
});

// Whole nodes.

interface NodesModel {
  commands: number;
}

interface NodesReal {
  readonly nodes: readonly RunningNode[];
  readonly results: CommandResult[];
  readonly stops: Promise<void>[];
}

async function startNodes(): Promise<{ model: NodesModel; real: NodesReal }> {
  const start = (): Promise<RunningNode> =>
    startNode({
      ...DEFAULT_SETTINGS,
      key: ephemeralKey(),
      listen: { host: "127.0.0.1", port: 0 },
      peers: [],
      peersMax: 10,
      admission: admissionPerIp(10_000),
      log: pino({ level: "silent" }),
    });
  const nodes = [await start(), await start()];
  return { model: { commands: 0 }, real: { nodes, results: [], stops: [] } };
}

const addressOfNode = ({ address }: RunningNode): DialAddress => {
  const parsed = parseMultiaddr(address ?? "");
  assert(parsed.tag === "address", "a node that listens has an address");
  return parsed.address;
};

type NodesCommand = fc.AsyncCommand<NodesModel, NodesReal>;

const ofNode = (
  name: string,
  run: (model: NodesModel, real: NodesReal, node: RunningNode, other: RunningNode) => void,
) =>
  fc.constantFrom(0, 1).map(
    (at): NodesCommand =>
      asyncCommand(`${at}: ${name}`, (model, real) => {
        const [node, other] = [real.nodes[at], real.nodes[1 - at]];
        if (node !== undefined && other !== undefined) run(model, real, node, other);
      }),
  );

/** Every command is answered once, whether it happens or not. */
function tell(model: NodesModel, real: NodesReal, node: RunningNode, command: CommandOf): void {
  model.commands += 1;
  void node.command(command).then((result) => real.results.push(result));
}

const nodesCommands: fc.Arbitrary<NodesCommand>[] = [
  ofNode("dial", (model, real, node, other) => {
    tell(model, real, node, { type: "command/dial", address: addressOfNode(other) });
  }),
  ofNode("disconnect", (model, real, node, other) => {
    tell(model, real, node, { type: "command/disconnect", peerId: other.peerId });
  }),
  ofNode("submit", (model, real, node) => {
    tell(model, real, node, { type: "command/submit", pool: "transaction", bytes: Uint8Array.of(1) });
  }),
  ofNode("stop", (_model, real, node) => {
    real.stops.push(node.stop());
  }),
  fc.constantFrom(0, 1, 10, 60, 150).map((ms) => asyncCommand(`${ms} ms`, () => pause(ms))),
];

test("shell: nodes that dial, are told to and stop at any time answer everything and leave nothing", async () => {
  const before = sockets();
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.commands(nodesCommands, { maxCommands: 10, size: "max" }),
      (scheduler, commands) =>
        withoutRejections(async () => {
          const { model, real } = await startNodes();
          try {
            await fc.scheduledModelRun(scheduler, () => ({ model, real }), commands);
          } finally {
            await Promise.all([...real.stops, ...real.nodes.map((node) => node.stop())]);
          }
          expect(await Promise.all(real.nodes.map(({ ended }) => ended))).toEqual([undefined, undefined]);
          await turn();
          expect(real.results).toHaveLength(model.commands);
          const states = real.nodes.map(({ state }) => state());
          await pause(5);
          for (const [at, node] of real.nodes.entries()) {
            expect(node.state()).toBe(states[at]);
            expect((await node.command({ type: "command/work", isOn: true })).tag).toBe("unavailable");
          }
        }),
    ),
    { numRuns: runs(6) },
  );
  await pause(10);
  expect(sockets()).toEqual(before);
});
