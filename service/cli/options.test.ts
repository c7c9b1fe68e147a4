import { Command, InvalidArgumentError } from "commander";
import { expect, test } from "vitest";
import { settingSchemas } from "../config.ts";
import { duration, listParserOf, numberParserOf, parserOf } from "./options.ts";

test("an option argument has the meaning its setting has in a file", () => {
  expect(parserOf(settingSchemas.listen)("[::1]:7300")).toEqual({ host: "::1", port: 7_300 });
  expect(parserOf(settingSchemas.logLevel)("warn")).toBe("warn");
  expect(numberParserOf(settingSchemas.maxPeers)("12")).toBe(12);
  const list = listParserOf(settingSchemas.trustedProxy);
  expect(list("::1", list("10.0.0.0/8", undefined))).toEqual(["10.0.0.0/8", "::1"]);
});

test.each(["", "-1", "1.5", "1e3", "0x10", "twelve", " 1", "0", "99999999999999999999"])(
  "the number %o is refused",
  (text) => {
    expect(() => numberParserOf(settingSchemas.maxPeers)(text)).toThrow(InvalidArgumentError);
  },
);

test("0 is a duration only where it has a meaning", () => {
  expect(duration({ orZero: false })("2m")).toBe(120_000);
  expect(() => duration({ orZero: false })("0")).toThrow(/or 1h\.$/);
  expect(duration({ orZero: true })("0")).toBe(0);
  expect(() => duration({ orZero: true })("0s")).toThrow(/or 1h, or 0\.$/);
});

test("what is refused says what is expected, for lists without an index", () => {
  expect(() => parserOf(settingSchemas.listen)("7300")).toThrow(/^expected HOST:PORT/);
  expect(() => listParserOf(settingSchemas.trustedProxy)("x", [])).toThrow(/^"x" is neither/);
});

test("no parser returns null: commander would take the option for one without argument", async () => {
  const command = new Command().option("--listen <address>", "", parserOf(settingSchemas.listen));
  await command.parseAsync(["--listen", "none"], { from: "user" });
  expect(command.opts()).toEqual({ listen: "none" });
});
