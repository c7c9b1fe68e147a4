import { defineConfig } from "vitest/config";

// node-datachannel aborts the process when it is loaded in a worker thread: child processes only.
export default defineConfig({
  test: {
    pool: "forks",
    // As many as there are processors: the default leaves one idle.
    maxWorkers: "100%",
    setupFiles: ["./vitest.setup.ts"],
    // Default exports of CommonJS packages as Node.js itself sees them.
    deps: { interopDefault: false },
    include: ["{core,reducers,effects,service,fuzz}/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
