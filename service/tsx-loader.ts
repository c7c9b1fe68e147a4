import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** For `--import`: with it a process of ours runs TypeScript, from whatever directory it is started. */
export const TSX_LOADER = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
