/** How durations are written in options and configuration files. */
export const DURATION_EXAMPLES = "500ms, 3s, 2m or 1h";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** @returns ms, above 0; undefined for what is no duration */
export function parseDurationMs(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(amount) * (UNIT_MS[unit] ?? Number.NaN);
  return ms > 0 ? ms : undefined;
}
