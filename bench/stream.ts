import { type ChildProcess, fork } from "node:child_process";
import { median, print, rounded } from "./measure.ts";
import type { Order, Report } from "./stream-node.ts";

/**
 * A snapshot of 256 MiB from one process to another over WebRTC, through the whole node, beside what the bare
 * transport carries in the same minute: messages of a chunk's size, as fast as its back-pressure allows. Everything
 * runs on the processors of this machine: both ends, and whatever else it has to do.
 */

const SNAPSHOT_BYTES = 256 * 2 ** 20;
const ROUNDS = 5;
const RATIO_MIN = 0.7;
const RECEIVER_GROWTH_MAX_MIB = 32;
const MIB = 2 ** 20;

/**
 * The memory that one message takes is the garbage collector's after it was used: with the usual young generation of
 * 16 MB up to 32 MB of them gather. So `npm start` takes a quarter of that.
 */
const VARIANTS: readonly (readonly [string, readonly string[]])[] = [
  ["npm start: node --max-semi-space-size=4", ["--max-semi-space-size=4"]],
  ["node", []],
];

interface Round {
  /** Megabytes per second. */
  readonly bare: number;
  /** From the Manifest to the last verified chunk. */
  readonly stream: number;
  /** From the Request on: the first time the sender hashes all of it. */
  readonly total: number;
  readonly receiverGrowthMiB: number;
  readonly senderGrowthMiB: number;
  /** Of both ends together. */
  readonly bareCpuMs: number;
  readonly receiverCpuMs: number;
  readonly senderCpuMs: number;
}

export async function benchStream(): Promise<void> {
  for (const [variant, flags] of VARIANTS) {
    const sender = start(flags);
    const { address, root } = await ask(sender, { tag: "serve", bytes: SNAPSHOT_BYTES }, "serving");
    const rounds: Round[] = [];
    while (rounds.length < ROUNDS) {
      const round = await oneRound(sender, flags, { tag: "fetch", address, root, bytes: SNAPSHOT_BYTES });
      print({ bench: "stream", variant, round: rounds.length, ...roundedAll(round) });
      rounds.push(round);
    }
    sender.disconnect();
    summarize(variant, rounds);
  }
}

async function oneRound(
  sender: ChildProcess,
  flags: readonly string[],
  order: Extract<Order, { tag: "fetch" }>,
): Promise<Round> {
  const bare = await pour(sender, flags);
  const receiver = start(flags);
  await ask(sender, { tag: "measure" }, "usage");
  const { openedMs, doneMs, isWhole } = await ask(receiver, order, "fetched");
  if (!isWhole) throw new Error("what was received is not what was served");
  const received = await ask(receiver, { tag: "measure" }, "usage");
  const sent = await ask(sender, { tag: "measure" }, "usage");
  receiver.disconnect();
  return {
    bare: rate(bare.tookMs),
    stream: rate(doneMs - openedMs),
    total: rate(doneMs),
    receiverGrowthMiB: (received.growthBytes - SNAPSHOT_BYTES) / MIB,
    senderGrowthMiB: sent.growthBytes / MIB,
    bareCpuMs: bare.cpuMs,
    receiverCpuMs: received.cpuMs,
    senderCpuMs: sent.cpuMs,
  };
}

function summarize(variant: string, rounds: readonly Round[]): void {
  const of = (value: (round: Round) => number): number => median(rounds.map(value));
  const ratio = of(({ stream, bare }) => stream / bare);
  const receiverGrowthMiB = of((round) => round.receiverGrowthMiB);
  print({
    bench: "stream",
    variant,
    snapshotMiB: SNAPSHOT_BYTES / MIB,
    megabytesPerSecond: rounded(of(({ stream }) => stream)),
    bareMegabytesPerSecond: rounded(of(({ bare }) => bare)),
    ratio: rounded(ratio),
    cpuRatio: rounded(
      of(({ bareCpuMs, receiverCpuMs, senderCpuMs }) => bareCpuMs / (receiverCpuMs + senderCpuMs)),
    ),
    receiverGrowthMiB: rounded(receiverGrowthMiB),
    senderGrowthMiB: rounded(of((round) => round.senderGrowthMiB)),
    ok: ratio >= RATIO_MIN && receiverGrowthMiB <= RECEIVER_GROWTH_MAX_MIB,
  });
}

/** What the bare transport takes for the same number of bytes. */
async function pour(
  sender: ChildProcess,
  flags: readonly string[],
): Promise<{ readonly tookMs: number; readonly cpuMs: number }> {
  const receiver = start(flags);
  const { sdp: offer } = await ask(receiver, { tag: "offer" }, "description");
  const opened = [next(receiver, "open"), next(sender, "open")];
  const { sdp: answer } = await ask(sender, { tag: "description", sdp: offer }, "description");
  tell(receiver, { tag: "description", sdp: answer });
  await Promise.all(opened);
  for (const side of [sender, receiver]) await ask(side, { tag: "measure" }, "usage");
  await ask(receiver, { tag: "expect", bytes: SNAPSHOT_BYTES }, "expecting");
  const poured = next(receiver, "poured");
  tell(sender, { tag: "pour", bytes: SNAPSHOT_BYTES });
  const { tookMs } = await poured;
  let cpuMs = 0;
  for (const side of [sender, receiver]) cpuMs += (await ask(side, { tag: "measure" }, "usage")).cpuMs;
  receiver.disconnect();
  return { tookMs, cpuMs };
}

function start(flags: readonly string[]): ChildProcess {
  return fork(new URL("./stream-node.ts", import.meta.url), {
    execArgv: [...flags, "--expose-gc", "--import", "tsx"],
  });
}

function ask<Tag extends Report["tag"]>(
  whom: ChildProcess,
  order: Order,
  tag: Tag,
): Promise<Extract<Report, { tag: Tag }>> {
  const answer = next(whom, tag);
  tell(whom, order);
  return answer;
}

function tell(whom: ChildProcess, order: Order): void {
  whom.send(order);
}

function next<Tag extends Report["tag"]>(
  from: ChildProcess,
  tag: Tag,
): Promise<Extract<Report, { tag: Tag }>> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`the process ended (${code}) before ${tag}`));
    const onMessage = (report: Report): void => {
      if (report.tag !== tag) return;
      from.off("message", onMessage);
      from.off("exit", onExit);
      resolve(report as Extract<Report, { tag: Tag }>);
    };
    from.on("message", onMessage);
    from.on("exit", onExit);
    if (!from.connected) onExit(from.exitCode);
  });
}

const rate = (ms: number): number => SNAPSHOT_BYTES / 1_000 / ms;

const roundedAll = (round: Round): Record<string, number> =>
  Object.fromEntries(Object.entries(round).map(([name, value]) => [name, rounded(value)]));
