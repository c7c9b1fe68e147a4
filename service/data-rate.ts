/** How rates are written in options and configuration files. */
export const RATE_EXAMPLES = "500kB/s, 2MB/s or 1.5MiB/s";

const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
};

/** @returns whole bytes per second, above 0; undefined for what is no rate. `/s` may be left out */
export function parseBytesPerSecond(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(B|[kMG]B|[KMG]iB)(?:\/s)?$/.exec(text) ?? [];
  const bytes = Math.floor(Number(amount) * (UNIT_BYTES[unit] ?? Number.NaN));
  return bytes > 0 ? bytes : undefined;
}
