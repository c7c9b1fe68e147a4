import { readFileSync } from "node:fs";

const packageJson: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

export const VERSION: string = (packageJson as { version: string }).version;

/** What Hello tells peers. */
export const USER_AGENT = `pollen/${VERSION}`;
