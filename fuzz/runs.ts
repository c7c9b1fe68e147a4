/** How often a random test is run: POLLEN_FUZZ_RUNS multiplies the few runs that everybody waits for. */
export const runs = (few: number): number => Math.ceil(few * Number(process.env["POLLEN_FUZZ_RUNS"] ?? 1));

/** For tests that raise their runs: as many times as long. */
export const runsTimeoutMs = (ms: number): number => runs(1) * ms;
