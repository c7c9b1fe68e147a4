import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { type ProcessEvents, SIGNAL_ECHO_MS, untilEnd } from "./lifetime.ts";

class FakeProcess extends EventEmitter implements ProcessEvents {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "the first %s ends in order, its echo changes nothing, the second one exits with %i",
  async (signal, code) => {
    const events = new FakeProcess();
    let nowMs = 1_000;
    const end = untilEnd(events, () => nowMs);
    events.emit(signal, signal);
    expect(await end).toEqual({ tag: "signal", signal });
    nowMs += SIGNAL_ECHO_MS;
    events.emit(signal, signal);
    expect(events.exits).toEqual([]);
    nowMs += 1;
    events.emit(signal, signal);
    expect(events.exits).toEqual([code]);
  },
);

test("a different signal is no echo", async () => {
  const events = new FakeProcess();
  const end = untilEnd(events, () => 0);
  events.emit("SIGINT", "SIGINT");
  events.emit("SIGTERM", "SIGTERM");
  expect(await end).toMatchObject({ signal: "SIGINT" });
  expect(events.exits).toEqual([143]);
});

test("the end of the parent and an error that nobody caught are ends too", async () => {
  const orphan = new FakeProcess();
  const orphaned = untilEnd(orphan, () => 0);
  orphan.emit("disconnect");
  expect(await orphaned).toEqual({ tag: "orphaned" });
  const failing = new FakeProcess();
  const failed = untilEnd(failing, () => 0);
  const error = new Error("bug");
  failing.emit("uncaughtException", error);
  expect(await failed).toEqual({ tag: "uncaught", error });
});
