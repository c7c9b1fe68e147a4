import { pino } from "pino";
import { DEFAULT_ADMISSION } from "../core/state.ts";
import { ephemeralKey } from "../service/key-file.ts";
import { startNode } from "../service/node.ts";
import { admissionPerIp, DEFAULT_SETTINGS } from "../service/node-settings.ts";
import { usage } from "./usage.ts";

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
let halfOpenMax = 0;
setInterval(() => {
  const halfOpen = [...node.state().attempts.values()].filter(({ phase }) => phase.tag !== "ready").length;
  halfOpenMax = Math.max(halfOpenMax, halfOpen);
}, SAMPLE_MS).unref();

process.on("disconnect", () => process.exit());
// Whatever the parent says, it is answered with what is in use.
process.on("message", () => {
  globalThis.gc?.();
  process.send?.({ ...usage(), halfOpenMax });
});
process.send?.(node.address);
