#!/usr/bin/env node
// The `pollen` command: the sources run as they are, in this very process.
import { register } from "tsx/esm/api";

register();
const { main } = await import("./main.ts");
await main(process.argv.slice(2));
