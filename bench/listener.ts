import { subscribe } from "node:diagnostics_channel";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { pino } from "pino";
import { DEFAULT_ADMISSION } from "../core/state.ts";
import { ephemeralKey } from "../service/key-file.ts";
import { startNode } from "../service/node.ts";
import { admissionPerIp, DEFAULT_SETTINGS } from "../service/node-settings.ts";
import { cpuUs, p99 } from "./measure.ts";
import { type Usage, usage } from "./usage.ts";

/** What a listener answers its parent with. */
export interface ListenerUsage extends Usage {
  readonly halfOpenMax: number;
  readonly endings: Readonly<Record<string, number>>;
  readonly peers: number;
  readonly delayMsP99: number;
  /** Processor time of the process from the head of an HTTP request to its answer; those that are open at once share it. */
  readonly requestMsP99: number;
}

/** A node in a process of its own, for the others to dial; ends with its parent. `flood`: with the limits of 3.2. */
const isFlooded = process.argv.includes("flood");
const node = await startNode({
  ...DEFAULT_SETTINGS,
  key: ephemeralKey(),
  listen: { host: "127.0.0.1", port: 0 },
  peersMax: isFlooded ? 100 : 500,
  admission: isFlooded ? DEFAULT_ADMISSION : admissionPerIp(10_000),
  trustedProxies: isFlooded ? ["127.0.0.1"] : [],
  log: pino({ level: "silent" }),
});

const SAMPLE_MS = 20;
const DELAY_RESOLUTION_MS = 5;
let halfOpenMax = 0;
setInterval(() => {
  const halfOpen = [...node.state().attempts.values()].filter(({ phase }) => phase.tag !== "ready").length;
  halfOpenMax = Math.max(halfOpenMax, halfOpen);
}, SAMPLE_MS).unref();

let requestsMs: number[] = [];
/** What each has cost so far, us. */
const open = new Map<object, number>();
let sharedUs = cpuUs();
function share(): void {
  const nowUs = cpuUs();
  for (const [request, us] of open) open.set(request, us + (nowUs - sharedUs) / open.size);
  sharedUs = nowUs;
}
subscribe("http.server.request.start", (about) => {
  share();
  open.set((about as { request: object }).request, 0);
});
subscribe("http.server.response.finish", (about) => {
  share();
  const { request } = about as { request: object };
  requestsMs.push((open.get(request) ?? Number.NaN) / 1_000);
  open.delete(request);
});

const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
delay.enable();

process.on("disconnect", () => process.exit());
process.on("message", (wanted) => {
  if (wanted === "forget") {
    requestsMs = [];
    return;
  }
  if (wanted === "cpu") {
    process.send?.(cpuUs());
    return;
  }
  // What is in use: without what is only waiting to be collected.
  globalThis.gc?.();
  const { endings, peers } = node.state();
  // The histogram counts the time between two looks: what is above its resolution is delay.
  const delayMsP99 = Math.max(0, delay.percentile(99) / 1e6 - DELAY_RESOLUTION_MS);
  const requestMsP99 = requestsMs.length === 0 ? 0 : p99(requestsMs);
  requestsMs = [];
  const answer: ListenerUsage = {
    ...usage(),
    halfOpenMax,
    endings,
    peers: peers.size,
    delayMsP99,
    requestMsP99,
  };
  process.send?.(answer);
  delay.reset();
});
process.send?.(node.address);
