import { readdirSync, readFileSync } from "node:fs";
import { cpuUs } from "./measure.ts";

/** What a process has in use. Linux only. */
export interface Usage {
  readonly rssBytes: number;
  readonly threads: number;
  readonly descriptors: number;
  /** What keeps Node.js alive: timers, sockets, and so on. */
  readonly handles: number;
  /** Processor time so far, microseconds. */
  readonly cpuUs: number;
}

export function usage(): Usage {
  const [, threads] = /^Threads:\s*(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return {
    rssBytes: process.memoryUsage().rss,
    threads: Number(threads),
    descriptors: readdirSync("/proc/self/fd").length,
    handles: process.getActiveResourcesInfo().length,
    cpuUs: cpuUs(),
  };
}
