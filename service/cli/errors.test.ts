import { CommanderError } from "commander";
import { expect, test } from "vitest";
import { listenError, reportOf, systemCode, UserError, userErrorOf } from "./errors.ts";

test("exit codes: 1 for users' errors, 2 for usage, 70 for bugs, 0 for the help that was asked for", () => {
  expect(reportOf(new UserError("a: do b"))).toEqual({ exitCode: 1, text: "pollen: a: do b" });
  expect(reportOf(new CommanderError(1, "commander.unknownOption", ""))).toEqual({ exitCode: 2, text: null });
  expect(reportOf(new CommanderError(0, "commander.help", ""))).toEqual({ exitCode: 0, text: null });
  expect(reportOf(new TypeError("x"))).toMatchObject({
    exitCode: 70,
    text: expect.stringContaining("TypeError: x"),
  });
  expect(reportOf(undefined)).toMatchObject({ exitCode: 70 });
});

test("a user's error is one line whatever it quotes", () => {
  expect(reportOf(new UserError("a\n  b")).text).toBe("pollen: a b");
  expect(userErrorOf(new Error("what; what to do; or that")).message).toBe("what: what to do; or that");
});

test("an address that cannot be listened on: which one, what to do, and a port that is free", () => {
  const address = { host: "::1", port: 7_300 };
  expect(listenError("--admin", address, "EADDRINUSE", 7_301).message).toBe(
    "port 7300 on ::1 is in use: stop the other process, or choose another port with --admin [::1]:7301",
  );
  for (const code of ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOTFOUND", "EOTHER"]) {
    expect(listenError("--listen", address, code, undefined).message).toMatch(/^.*::1.*: .* with --listen$/);
  }
});

test("the code of a system error is found through its causes", () => {
  const system = Object.assign(new Error("x"), { code: "EACCES", syscall: "open" });
  expect(systemCode(new Error("y", { cause: system }))).toBe("EACCES");
  expect(systemCode(Object.assign(new Error("x"), { code: "ERR_INVALID_ARG_TYPE" }))).toBe(undefined);
  expect(systemCode("text")).toBe(undefined);
});
