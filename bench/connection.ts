import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { type DialAddress, parseMultiaddr } from "../core/multiaddr.ts";
import { parseLine } from "../core/recording.ts";
import { ephemeralKey } from "../service/key-file.ts";
import { startNode } from "../service/node.ts";
import { DEFAULT_SETTINGS } from "../service/node-settings.ts";
import { segmentName } from "../service/recorder.ts";
import type { ListenerUsage } from "./listener.ts";
import { median, print, rounded } from "./measure.ts";

/** From the command to dial to ready, between two processes over loopback, and which step takes how long. */

const DIALS = 20;

/** The inputs of the dialer at which one step ends and the next begins. */
const STEPS = [
  ["command/dial", "event/localDescription", "create the offer"],
  ["event/localDescription", "event/signalSealed", "sign and seal it"],
  ["event/signalSealed", "event/signalAnswered", "HTTP: the listener opens, verifies, answers, signs"],
  ["event/signalAnswered", "event/signatureChecked", "open and verify the answer"],
  ["event/signatureChecked", "event/connected", "ICE and DTLS"],
  ["event/connected", "ready", "SCTP and both Hellos"],
] as const;

export async function benchConnection(): Promise<void> {
  const { process: listener, address } = await startListener();
  const dials: ReadonlyMap<string, number>[] = [];
  for (let dial = 0; dial < DIALS; dial++) dials.push(await timeDial(address));
  listener.disconnect();
  const total = dials.map(
    (times) => (times.get("ready") ?? Number.NaN) - (times.get("command/dial") ?? Number.NaN),
  );
  print({
    bench: "dial to ready",
    dials: DIALS,
    medianMs: median(total),
    maxMs: rounded(Math.max(...total)),
  });
  for (const [from, to, step] of STEPS) {
    const spans = dials.map((times) => (times.get(to) ?? Number.NaN) - (times.get(from) ?? Number.NaN));
    print({ bench: "dial to ready", step, medianMs: median(spans) });
  }
}

/** A node in a process of its own. It ends when the process is disconnected. */
export interface Listener {
  readonly process: ChildProcess;
  readonly address: DialAddress;
  /** What it has in use. It collects its garbage first, which takes processor time. */
  readonly ask: () => Promise<ListenerUsage>;
  /** Processor time of it so far, microseconds. */
  readonly cpuUs: () => Promise<number>;
  /** What requests have cost so far is not asked for. */
  readonly forget: () => void;
}

export async function startListener(...args: readonly string[]): Promise<Listener> {
  const listener = fork(new URL("./listener.ts", import.meta.url), args, {
    execArgv: ["--expose-gc", "--import", "tsx"],
  });
  const [text]: unknown[] = await once(listener, "message");
  const parsed = parseMultiaddr(String(text));
  if (parsed.tag !== "address") throw new Error(`the listener has no address: ${parsed.detail}`);
  const askFor = async (wanted: "usage" | "cpu"): Promise<unknown> => {
    listener.send(wanted);
    const [answer]: unknown[] = await once(listener, "message");
    return answer;
  };
  return {
    process: listener,
    address: parsed.address,
    ask: async () => (await askFor("usage")) as ListenerUsage,
    cpuUs: async () => Number(await askFor("cpu")),
    forget: () => listener.send("forget"),
  };
}

/** When each kind of input came first: whole milliseconds, from the recording of the dialer. */
async function timeDial(address: DialAddress): Promise<ReadonlyMap<string, number>> {
  const directory = mkdtempSync(join(tmpdir(), "pollen-bench-"));
  const node = await startNode({
    ...DEFAULT_SETTINGS,
    key: ephemeralKey(),
    peers: [address],
    record: directory,
    log: pino({ level: "silent" }),
  });
  let live = node.state().peers.get(address.peerId)?.live;
  while (!live) {
    await new Promise((resolve) => setImmediate(resolve));
    live = node.state().peers.get(address.peerId)?.live;
  }
  await node.stop();
  const times = new Map<string, number>([["ready", live.sinceMs]]);
  for (const text of readFileSync(join(directory, segmentName(0)), "utf8")
    .trimEnd()
    .split("\n")) {
    const line = parseLine(text);
    if (line.tag === "input" && !times.has(line.input.type)) times.set(line.input.type, line.timeMs);
  }
  rmSync(directory, { recursive: true });
  return times;
}
