import { expect, test } from "vitest";
import { within } from "./within.ts";

test("what is waited for has its time: its value or its error in it, and nothing but late after it", async () => {
  expect(await within(60_000, Promise.resolve(1))).toBe(1);
  await expect(within(60_000, Promise.reject(new Error("x")))).rejects.toThrow("x");
  expect(await within(1, new Promise(() => undefined))).toBe("late");
});
