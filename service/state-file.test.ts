import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { createStateFile, readStateFile, StateFileError } from "./state-file.ts";

const directory = mkdtempSync(join(tmpdir(), "pollen-state-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let files = 0;
const freshPath = (): string => join(directory, `${++files}`, "things.json");

const format = { version: 3, schema: z.array(z.int()) };
const read = (path: string) => readStateFile(path, format);
const broken = (message: string): never => {
  throw new Error(message);
};
const open = (path: string, onError: (message: string) => void = broken) =>
  createStateFile(path, { version: 3, onError, intervalMs: 5, retryMs: 5 });

function put(path: string, text: string | Uint8Array): string {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test("state file: what was saved last is read again, and nobody else may read it", async () => {
  const path = freshPath();
  expect(read(path)).toEqual({ tag: "absent" });
  const file = open(path);
  for (let count = 0; count < 10; count++) file.save(() => [count]);
  await file.close();
  expect(read(path)).toEqual({ tag: "read", content: [9] });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(path, ".."))).toEqual(["things.json"]);
});

test("state file: it is written without being closed, and many changes are few writes", async () => {
  const path = freshPath();
  const file = open(path);
  let asked = 0;
  for (let count = 0; count < 1_000; count++) {
    file.save(() => {
      asked += 1;
      return [count];
    });
  }
  await until(() => existsSync(path));
  expect(asked).toBe(1);
  await file.close();
  expect(asked).toBe(1);
});

test("state file: what has not changed is not written, and nothing after the end", async () => {
  const path = freshPath();
  const file = open(path);
  file.save(() => [1]);
  await until(() => existsSync(path));
  rmSync(path);
  file.save(() => [1]);
  await file.close();
  file.save(() => [2]);
  await file.close();
  expect(existsSync(path)).toBe(false);
});

const whole = JSON.stringify({ version: 3, content: [1, 2, 3] });

test.each<readonly [string, string | Uint8Array, RegExp]>([
  ["empty", "", /damaged/],
  ["of another kind", "hello", /damaged: not JSON/],
  ["without a version", '{"content":[]}', /damaged: version/],
  ["with another content", '{"version":3,"content":["a"]}', /damaged: \[0\]: expected/],
  ["without content", '{"version":3}', /damaged/],
  ["newer", '{"version":4,"content":{"new":true}}', /version 4, this node reads version 3/],
  ["binary", Uint8Array.of(0, 255, 254), /damaged/],
])("state file: one that is %s is kept aside and does not stand in the way", async (_, text, detail) => {
  const path = put(freshPath(), text);
  const result = read(path);
  expect(result).toEqual({
    tag: "setAside",
    movedTo: expect.stringContaining(`${path}.unread-`),
    detail: expect.stringMatching(detail),
  });
  expect(readFileSync(result.tag === "setAside" ? result.movedTo : "").equals(Buffer.from(text))).toBe(true);
  expect(read(path)).toEqual({ tag: "absent" });
  const file = open(path);
  file.save(() => [7]);
  await file.close();
  expect(read(path)).toEqual({ tag: "read", content: [7] });
});

test("state file: torn at any byte it is never half read", () => {
  for (let length = 0; length < whole.length; length++) {
    expect(read(put(freshPath(), whole.slice(0, length))).tag).toBe("setAside");
  }
  expect(read(put(freshPath(), whole))).toEqual({ tag: "read", content: [1, 2, 3] });
});

test("state file: what a crash left half written is not looked at, and replaced by the next write", async () => {
  const path = put(freshPath(), whole);
  put(`${path}.partial`, whole.slice(0, 9));
  expect(read(path).tag).toBe("read");
  const file = open(path);
  file.save(() => [4]);
  await file.close();
  expect(read(path)).toEqual({ tag: "read", content: [4] });
  expect(existsSync(`${path}.partial`)).toBe(false);
});

test("state file: one that cannot be written is said once, and written when it can be", async () => {
  const path = freshPath();
  put(join(path, ".."), "a file where the directory should be");
  const errors: string[] = [];
  const file = open(path, (message) => errors.push(message));
  file.save(() => [1]);
  await until(() => errors.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(errors).toEqual([expect.stringContaining(`${path} cannot be written`)]);
  rmSync(join(path, ".."));
  await until(() => existsSync(path));
  await file.close();
  expect(read(path)).toEqual({ tag: "read", content: [1] });
});

test("state file: what is there and no file is an error that says what to do", () => {
  const path = freshPath();
  mkdirSync(path, { recursive: true });
  expect(() => read(path)).toThrow(new StateFileError(`${path} is not a regular file; move it away`));
});

test.skipIf(process.getuid?.() === 0)("state file: one that may not be read is an error, and stays", () => {
  const path = put(freshPath(), whole);
  chmodSync(path, 0);
  expect(() => read(path)).toThrow(/cannot be read \(EACCES\); change its permissions/);
  expect(existsSync(path)).toBe(true);
});
