import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";

/** A run that has caught a mutant. */
const placeSchema = z.strictObject({ suite: z.string(), seed: z.int().positive() });
export type Place = z.infer<typeof placeSchema>;

/**
 * Where each mutant was caught the last time: it is looked for there first, so that a whole hunt takes an hour, not a
 * day. A place that is out of date costs one run.
 */
const placesSchema = z.record(z.string(), placeSchema);

/** @throws Error if the file is not one of these */
export const readPlaces = (path: string): Map<string, Place> =>
  new Map(Object.entries(placesSchema.parse(JSON.parse(readFileSync(path, "utf8")))));

export function writePlaces(path: string, places: ReadonlyMap<string, Place>): void {
  const lines = [...places.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { suite, seed }]) => `  "${name}": { "suite": "${suite}", "seed": ${seed} }`);
  writeFileSync(path, `{\n${lines.join(",\n")}\n}\n`);
}
