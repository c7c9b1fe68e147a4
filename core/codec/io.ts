import { assert } from "../assert.ts";

/** Bytes that are not the canonical encoding of a value within its bounds. Caught by `decode` alone. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  readonly path: readonly string[];
  readonly detail: string;

  constructor(detail: string, path: readonly string[] = []) {
    super(path.length === 0 ? detail : `${path.join(".")}: ${detail}`);
    this.detail = detail;
    this.path = path;
  }

  /** The same error, seen from the field or entry around it. */
  within(step: string): DecodeError {
    return new DecodeError(this.detail, [step, ...this.path]);
  }
}

/** Reads little-endian values and never beyond the end. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  #advance(length: number): number {
    if (length > this.left) throw new DecodeError(`needs ${length} bytes, ${this.left} are left`);
    const start = this.#offset;
    this.#offset += length;
    return start;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  /** A view, not a copy: the input must not be written to afterwards. */
  bytes(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }
}

const WRITER_BYTES_START = 256;

export class Writer {
  #bytes = new Uint8Array(WRITER_BYTES_START);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Call it before `#bytes` or `#view` is read: both may be replaced. */
  #extend(length: number): number {
    const start = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, start));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  /** Begins anew, and forgets what an encoding that failed has left. */
  clear(): void {
    this.#length = 0;
  }

  u8(value: number): void {
    assertUint(value, 0xff);
    const start = this.#extend(1);
    this.#view.setUint8(start, value);
  }

  u16(value: number): void {
    assertUint(value, 0xffff);
    const start = this.#extend(2);
    this.#view.setUint16(start, value, true);
  }

  u32(value: number): void {
    assertUint(value, 0xffff_ffff);
    const start = this.#extend(4);
    this.#view.setUint32(start, value, true);
  }

  u64(value: bigint): void {
    assert(value >= 0n && value < 1n << 64n, "a u64 lies within 0 and 2^64 - 1");
    const start = this.#extend(8);
    this.#view.setBigUint64(start, value, true);
  }

  bytes(value: Uint8Array): void {
    const start = this.#extend(value.length);
    this.#bytes.set(value, start);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

function assertUint(value: number, max: number): void {
  assert(Number.isInteger(value) && value >= 0 && value <= max, "an encoded integer lies within its type");
}
