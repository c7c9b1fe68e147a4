import { execFileSync } from "node:child_process";
import fc from "fast-check";

/**
 * Random tests start from the commit under test: everybody who tests one commit tests the same cases, and every
 * commit tests new ones. POLLEN_TEST_SEED overrides it.
 */
fc.configureGlobal({ seed: Number(process.env["POLLEN_TEST_SEED"] ?? seedOfCommit()) });

function seedOfCommit(): number {
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return Number.parseInt(commit.slice(0, 8), 16) | 0;
  } catch {
    return 0;
  }
}
