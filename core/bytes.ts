/** Lowercase hexadecimal text of bytes: hashes, keys and nonces in the state. */
export type Hex = string;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The value of each lowercase hexadecimal digit by its character code, NO_DIGIT for every other character. */
const NO_DIGIT = 255;
const DIGITS = new Uint8Array(128).fill(NO_DIGIT);
for (const [value, digit] of Array.from("0123456789abcdef").entries()) DIGITS[digit.charCodeAt(0)] = value;

export function toHex(bytes: Uint8Array): Hex {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** @throws RangeError unless the text is lowercase hexadecimal of even length */
export function fromHex(text: Hex): Uint8Array {
  if (text.length % 2 !== 0) throw new RangeError("hexadecimal text has an odd length");
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    const high = DIGITS[text.charCodeAt(2 * index)] ?? NO_DIGIT;
    const low = DIGITS[text.charCodeAt(2 * index + 1)] ?? NO_DIGIT;
    if (high === NO_DIGIT || low === NO_DIGIT) throw new RangeError("not lowercase hexadecimal text");
    bytes[index] = high * 16 + low;
  }
  return bytes;
}

/** True for lowercase hexadecimal text of exactly `length` bytes. */
export function isHex(text: string, length: number): boolean {
  return text.length === 2 * length && /^[0-9a-f]*$/.test(text);
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Bytes of ASCII text: labels of hashes. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Little-endian bytes of an unsigned integer. */
export function uintBytes(value: bigint | number, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  let rest = BigInt(value);
  for (let index = 0; index < width; index++) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}
