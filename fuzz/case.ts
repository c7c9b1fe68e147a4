import { z } from "zod";
import { fromJson, type Json, toJson } from "../core/plain.ts";
import { FAULT_NAMES } from "./faults.ts";
import type { Scenario } from "./scenario-arbitrary.ts";
import { VERDICTS } from "./sim-items.ts";

/** A scenario in a file: a run that failed once, made as small as it gets. */
export interface FuzzCase {
  /** What it has shown. */
  readonly about: string;
  readonly scenario: Scenario;
}

const FORMAT = "pollen-fuzz-case-1";
const NODES_MAX = 1_000;

/** JSON with a line for each event, to be read and edited. */
export const formatCase = ({ about, scenario }: FuzzCase): string => {
  const { events, ...rest } = scenario;
  const lines = events.map((event) => `    ${JSON.stringify(toJson(event))}`);
  const head = JSON.stringify(toJson({ format: FORMAT, about, scenario: rest }), null, 2);
  const list = lines.length === 0 ? "[]" : `[\n${lines.join(",\n")}\n  ]`;
  return `${head.slice(0, -2)},\n  "events": ${list}\n}\n`;
};

/** @throws Error that says what is wrong with it */
export function parseCase(text: string): FuzzCase {
  let json: unknown;
  try {
    json = fromJson(JSON.parse(text) as Json);
  } catch (error) {
    throw new Error(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = caseSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`${issue?.path.join(".") || "it"}: ${issue?.message}`);
  }
  const { about, scenario, events } = parsed.data;
  return { about, scenario: { ...scenario, events } };
}

const count = z
  .int()
  .min(0)
  .max(2 ** 31);
const ms = z.int().min(0).max(3_600_000);
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);

const transaction = z.strictObject({
  fee: z
    .bigint()
    .min(0n)
    .max(2n ** 64n - 1n),
  sender: hex32,
  nonce: count,
  fromHeight: count.exactOptional(),
  verdict: z.enum(VERDICTS),
  salt: count,
});

const event = z.discriminatedUnion("tag", [
  z.strictObject({ tag: z.literal("submit"), node: count, transaction }),
  z.strictObject({ tag: z.literal("submitSnark"), node: count, job: count, fee: count }),
  z.strictObject({ tag: z.literal("run"), ms }),
  z.strictObject({ tag: z.literal("produce"), node: count, back: count }),
  z.strictObject({ tag: z.literal("cut"), link: count, isSilent: z.boolean() }),
  z.strictObject({ tag: z.literal("stall"), link: count, ways: z.enum(["there", "back", "both"]), ms }),
  z.strictObject({ tag: z.literal("dials"), link: count, isBoth: z.boolean() }),
  z.strictObject({ tag: z.literal("freeze"), node: count, ms }),
  z.strictObject({ tag: z.literal("restart"), node: count }),
  z.strictObject({ tag: z.literal("crash"), node: count, inputs: count, effects: count, downMs: ms }),
  z.strictObject({ tag: z.literal("leap"), node: count, ms }),
]);

const caseSchema = z.strictObject({
  format: z.literal(FORMAT),
  about: z.string(),
  scenario: z.strictObject({
    seed: z.int(),
    nodes: z.int().min(2).max(NODES_MAX),
    parents: z.array(count),
    extraDials: z.array(z.tuple([count, count])),
    capacities: z.array(z.int().min(1).max(100_000)),
    workers: z.array(count),
    isBatchOnly: z.boolean(),
    transactionsMax: z.int().min(1).max(200).exactOptional(),
    slotsPerEpoch: z.int().min(3).max(100_000).exactOptional(),
    // A fault that did not exist yet when the case was saved is off.
    faults: z.strictObject(
      Object.fromEntries(FAULT_NAMES.map((name) => [name, z.int().min(0).max(5).default(0)])) as Record<
        (typeof FAULT_NAMES)[number],
        z.ZodDefault<z.ZodInt>
      >,
    ),
  }),
  events: z.array(event),
});
