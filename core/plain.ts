import { base64 } from "@scure/base";
import { assert } from "./assert.ts";
import { type Key, SortedMap } from "./sorted-map.ts";

/**
 * Values of the core as JSON and back, exactly: recordings are made of it. What JSON lacks is an object with one
 * reserved key: `{"$u64": "12"}`, `{"$bytes": "AAE="}`, `{"$map": [[key, value], ...]}`.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export function toJson(value: unknown): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      assert(Number.isFinite(value), "a number in the state is finite");
      return value;
    case "bigint":
      return { $u64: value.toString() };
    case "object":
      return objectToJson(value);
    default:
      assert(false, `the state is plain: it has no ${typeof value}`);
  }
}

/** @throws RangeError for JSON that toJson does not make */
export function fromJson(json: Json): unknown {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(fromJson);
  const [only, ...others] = Object.entries(json as { readonly [key: string]: Json });
  if (only?.[0].startsWith("$") && others.length === 0) return reservedFromJson(only[0], only[1]);
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, fromJson(value)]));
}

function objectToJson(value: object | null): Json {
  if (value === null) return null;
  if (value instanceof Uint8Array) return { $bytes: base64.encode(value) };
  if (value instanceof SortedMap) {
    return { $map: Array.from(value.entries(), ([key, entry]) => [key, toJson(entry)]) };
  }
  if (Array.isArray(value)) return value.map(toJson);
  const prototype: unknown = Object.getPrototypeOf(value);
  assert(
    prototype === Object.prototype || prototype === null,
    "the state is plain: it has no class instances",
  );
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, toJson(entry)]));
}

function reservedFromJson(key: string, json: Json): unknown {
  if (key === "$u64" && typeof json === "string" && /^\d{1,20}$/.test(json)) return BigInt(json);
  if (key === "$bytes" && typeof json === "string") return base64.decode(json);
  if (key === "$map" && Array.isArray(json)) {
    return SortedMap.from(json.map(([name, entry]: [Key, Json]) => [name, fromJson(entry)] as const));
  }
  throw new RangeError(`${key} does not hold what it should`);
}
