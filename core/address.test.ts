import { describe, expect, test } from "vitest";
import { addressGroup, isLocalAddress, isLoopback, type Reach, reachOf } from "./address.ts";

describe("reach of an address", () => {
  const CASES: readonly (readonly [string, Reach | undefined])[] = [
    ["8.8.8.8", "public"],
    ["2606:4700::1111", "public"],
    ["127.0.0.1", "local"],
    ["127.255.255.254", "local"],
    ["::1", "local"],
    ["10.0.0.1", "local"],
    ["172.16.0.1", "local"],
    ["172.31.255.255", "local"],
    ["172.32.0.1", "public"],
    ["192.168.1.1", "local"],
    ["169.254.169.254", "local"],
    ["100.64.0.1", "local"],
    ["fd00::1", "local"],
    ["fe80::1", "local"],
    ["::ffff:10.0.0.1", "local"],
    ["::ffff:127.0.0.1", "local"],
    ["::ffff:8.8.8.8", "public"],
    ["::FFFF:7f00:1", "local"],
    ["0.0.0.0", "unusable"],
    ["::", "unusable"],
    ["224.0.0.1", "unusable"],
    ["ff02::1", "unusable"],
    ["255.255.255.255", "unusable"],
    ["192.0.2.1", "unusable"],
    ["2001:db8::1", "unusable"],
    ["64:ff9b::a00:1", "unusable"],
    ["2002:a00:1::1", "unusable"],
    ["2001::1", "unusable"],
    ["localhost", undefined],
    ["example.com", undefined],
    ["abcd.local", undefined],
    ["", undefined],
    ["127.1", undefined],
    ["2130706433", undefined],
    ["0x7f000001", undefined],
    ["0177.0.0.1", undefined],
    ["127.0.0.1 ", undefined],
    ["127.0.0.1:80", undefined],
    ["[::1]", undefined],
    ["1.2.3.256", undefined],
  ];
  test.each(CASES)("%s is %s", (text, reach) => {
    expect(reachOf(text)).toBe(reach);
    expect(isLocalAddress(text)).toBe(reach === "local");
  });

  test("loopback is 127.0.0.0/8 and ::1, mapped ones included, and nothing else", () => {
    for (const text of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
      expect(isLoopback(text)).toBe(true);
    for (const text of ["10.0.0.1", "::2", "localhost", "128.0.0.1"]) expect(isLoopback(text)).toBe(false);
  });
});

describe("address groups", () => {
  test.each([
    ["20.30.40.50", "20.30.40.0/24"],
    ["::ffff:20.30.40.50", "20.30.40.0/24"],
    ["2a01:4f8:1234:5678:9abc:def0:1234:5678", "2a01:4f8:1234:5600::/56"],
    ["not an address", "not an address"],
  ])("%s belongs to %s", (text, group) => {
    expect(addressGroup(text)).toBe(group);
  });

  test("every bit beyond the prefix is ignored, every bit within it counts", () => {
    const ipv4 = [20, 30, 40, 50];
    for (let bit = 0; bit < 32; bit++) {
      const other = ipv4
        .map((byte, index) => (index === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte))
        .join(".");
      expect(addressGroup(other) === addressGroup("20.30.40.50")).toBe(bit >= 24);
    }
    const ipv6 = [
      0x2a, 0x01, 0x04, 0xf8, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78,
    ];
    for (let bit = 0; bit < 128; bit++) {
      const other = ipv6.map((byte, index) => (index === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
      expect([bit, addressGroup(textOf(other)) === addressGroup(textOf(ipv6))]).toEqual([bit, bit >= 56]);
    }
  });
});

const textOf = (bytes: readonly number[]): string =>
  Array.from({ length: 8 }, (_, index) =>
    ((((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)) >>> 0).toString(16),
  ).join(":");
