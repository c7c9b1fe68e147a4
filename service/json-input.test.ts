import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { parseJson, parseValue } from "./json-input.ts";

const schema = z
  .strictObject({
    peers: z.array(z.string()),
    max: z.int().min(1).max(9),
    level: z.enum(["info", "debug"]),
    name: z.string().min(1),
  })
  .partial();

test.each([
  ["{", /^not JSON: /],
  ["5", /^expected object, got 5$/],
  ["null", /^expected object, got null$/],
  ['{"peers":"x"}', /^peers: expected array, got "x"$/],
  ['{"peers":["a",{}]}', /^peers\[1\]: expected string, got an object$/],
  ['{"max":"1"}', /^max: expected number, got "1"$/],
  ['{"max":1.5}', /^max: expected int, got 1.5$/],
  ['{"max":0}', /^max: expected at least 1, got 0$/],
  ['{"max":10}', /^max: expected at most 9, got 10$/],
  ['{"level":"loud"}', /^level: expected one of "info", "debug", got "loud"$/],
  ['{"name":""}', /^name: expected a text that is not empty, got ""$/],
  ['{"peer":[]}', /^unknown key "peer"; did you mean "peers"\?$/],
  ['{"__proto__":1}', /^unknown key "__proto__"; did you mean/],
  [`{"name":${"[".repeat(70)}${"]".repeat(70)}}`, /^name: expected string, got an array$/],
])("%s says what is wrong and where", (text, detail) => {
  const parsed = parseJson(schema, text);
  expect(parsed).toEqual({ tag: "failed", details: [expect.stringMatching(detail)] });
});

test("every mistake is named, but not every one of thousands of unknown keys", () => {
  expect(parseValue(schema, { max: 0, level: 1 })).toMatchObject({ details: [/max/, /level/].map(matching) });
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`key${index}`, 1]));
  expect(parseValue(schema, many)).toMatchObject({ details: { length: 3 } });
});

const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

test("any JSON is either parsed or explained in short lines", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const parsed = parseJson(schema, text);
      if (parsed.tag === "parsed") return;
      expect(parsed.details.length).toBeGreaterThan(0);
      for (const detail of parsed.details) expect(detail).toMatch(/^[^\n]{1,200}$/);
    }),
  );
});
