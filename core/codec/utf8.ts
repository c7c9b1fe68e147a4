import { DecodeError } from "./io.ts";

/** UTF-8 exists in every engine with the same meaning, but not in the language's own library: hence these types. */
declare const TextDecoder: new (
  label: "utf-8",
  options: { fatal: true; ignoreBOM: true },
) => { decode(bytes: Uint8Array): string };
declare const TextEncoder: new () => { encode(text: string): Uint8Array };

// ignoreBOM keeps a byte order mark in the text: dropping it would accept two encodings of one string.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export const encodeUtf8 = (text: string): Uint8Array => encoder.encode(text);

export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new DecodeError("is not UTF-8");
  }
}
