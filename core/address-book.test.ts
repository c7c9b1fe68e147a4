import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AddressBook,
  type BookEntry,
  confirm,
  emptyBook,
  fail,
  forget,
  hear,
  isTellable,
  pick,
  prove,
  type Source,
  sample,
  update,
} from "./address-book.ts";
import type { PeerId } from "./ids.ts";
import {
  BOOK_GROUP_PARTS,
  BOOK_NEW_BUCKETS,
  BOOK_NEW_SLOTS,
  BOOK_PER_SOURCE_MAX,
  BOOK_POOR_FAILURES,
  BOOK_SOURCE_PARTS,
  BOOK_TRIED_BUCKETS,
  BOOK_TRIED_FAILURES,
  BOOK_TRIED_SLOTS,
} from "./limits.ts";
import { type DialAddress, formatMultiaddr } from "./multiaddr.ts";
import { numberedPeer } from "./numbered-peers.fixture.ts";
import { createRng, drawInt, type Rng } from "./rng.ts";

const holderOf = (seed: number): { rng: Rng } => ({
  rng: createRng(seed.toString(16).padStart(64, "0")),
});

const NOW_MS = 1_700_000_000_000;
const SECRET = "5ec4e7".repeat(5);

/** Host `number` of a /24 of its own for each `group`. */
const at = (group: number, number = 1, port = 7_300): DialAddress => ({
  scheme: "http",
  hostKind: "ip4",
  host: `20.${group >> 8}.${group & 255}.${number}`,
  port,
  peerId: numberedPeer(group * 256 + number),
});

const local = (host: string, hostKind: DialAddress["hostKind"] = "ip4"): DialAddress => ({
  ...at(1),
  host,
  hostKind,
});

const sourceIn = (group: number, number = 9): Source => ({
  peerId: numberedPeer(1_000_000 + group * 256 + number),
  remoteAddress: `30.${group >> 8}.${group & 255}.${number}`,
});

const entryOf = (book: AddressBook, address: DialAddress): BookEntry | undefined =>
  book.entries.get(formatMultiaddr(address));
const always = (): boolean => true;

/** What holds of every book. */
function expectSound(book: AddressBook): void {
  expect(book.fresh.keys.size + book.tried.keys.size).toBe(book.entries.size);
  expect(book.fresh.keys.size).toBeLessThanOrEqual(BOOK_NEW_BUCKETS * BOOK_NEW_SLOTS);
  expect(book.tried.keys.size).toBeLessThanOrEqual(BOOK_TRIED_BUCKETS * BOOK_TRIED_SLOTS);
  for (const { keys, members, groups, ranks } of [book.fresh, book.tried]) {
    expect([...members.values()].sort((a, b) => a - b)).toEqual([...keys.keys()]);
    expect([...ranks.keys()]).toEqual(Array.from({ length: groups.size }, (_, rank) => rank));
    for (const [rank, group] of ranks.entries()) expect(groups.get(group)?.rank).toBe(rank);
    const sizes = [...groups.values()].reduce((sum, { size }) => sum + size, 0);
    expect(sizes).toBe(keys.size);
  }
  const counts = new Map<PeerId, number>();
  for (const [key, { address, table, place, source }] of book.entries.entries()) {
    expect(formatMultiaddr(address)).toBe(key);
    expect(book[table].keys.get(place)).toBe(key);
    if (table === "fresh") counts.set(source.peerId, (counts.get(source.peerId) ?? 0) + 1);
  }
  expect(new Map(book.bySource.entries())).toEqual(counts);
  for (const count of counts.values()) expect(count).toBeLessThanOrEqual(BOOK_PER_SOURCE_MAX);
}

describe("address book: what is kept", () => {
  test("any calls in any order keep it sound and bounded", () => {
    const group = fc.nat({ max: 40 });
    const call = fc.record({
      what: fc.constantFrom("hear", "hear", "hear", "prove", "prove", "fail", "forget", "update"),
      address: fc.tuple(group, fc.nat({ max: 20 })).map(([of, number]) => at(of, number)),
      source: fc.tuple(group, fc.nat({ max: 2 })).map(([of, number]) => sourceIn(of, number)),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 400 }), (calls) => {
        let book = emptyBook(SECRET);
        for (const { what, address, source } of calls) {
          const key = formatMultiaddr(address);
          if (what === "hear") book = hear(book, address, source);
          if (what === "prove") book = prove(book, address, source, NOW_MS);
          if (what === "fail") book = fail(book, key, NOW_MS);
          if (what === "forget") book = forget(book, key);
          if (what === "update") book = update(book, key, { nextMs: NOW_MS });
        }
        expectSound(book);
      }),
    );
  });

  test("a flood of any number of addresses fills the tables and no more", () => {
    let book = emptyBook(SECRET);
    for (let number = 0; number < 20_000; number++)
      book = hear(book, at(number % 4_096, number >> 12), sourceIn(number % 3_000));
    for (let number = 0; number < 3_000; number++)
      book = prove(book, at(number % 4_096), sourceIn(0), NOW_MS);
    expectSound(book);
    expect(book.fresh.keys.size).toBeGreaterThan((BOOK_NEW_BUCKETS * BOOK_NEW_SLOTS * 3) / 4);
    expect(book.tried.keys.size).toBeGreaterThan((BOOK_TRIED_BUCKETS * BOOK_TRIED_SLOTS * 3) / 4);
  });

  test("one source has 64 unproven addresses, all sources of one group an eighth of the places", () => {
    let [one, many] = [emptyBook(SECRET), emptyBook(SECRET)];
    for (let number = 0; number < 5_000; number++) {
      one = hear(one, at(number), sourceIn(1));
      many = hear(many, at(number), sourceIn(1, number % 250));
    }
    expect(one.fresh.keys.size).toBeLessThanOrEqual(BOOK_PER_SOURCE_MAX);
    expect(one.fresh.keys.size).toBeGreaterThan(BOOK_PER_SOURCE_MAX - 2);
    expect(many.fresh.keys.size).toBeLessThanOrEqual(BOOK_SOURCE_PARTS * BOOK_NEW_SLOTS);
    expect(many.fresh.keys.size).toBeGreaterThan(BOOK_PER_SOURCE_MAX);
  });

  test("one address group has one bucket per group of sources, and eight proven addresses", () => {
    let [fresh, tried] = [emptyBook(SECRET), emptyBook(SECRET)];
    for (let port = 1; port <= 2_000; port++) {
      fresh = hear(fresh, at(1, port % 250, port), sourceIn(1, port % 250));
      tried = prove(tried, at(1, port % 250, port), sourceIn(port), NOW_MS);
    }
    expect(fresh.fresh.keys.size).toBe(BOOK_NEW_SLOTS);
    expect(tried.tried.keys.size).toBeLessThanOrEqual(BOOK_GROUP_PARTS * BOOK_TRIED_SLOTS);
  });

  test("another secret is another arrangement", () => {
    const placesOf = (secret: string): readonly number[] => {
      let book = emptyBook(secret);
      for (let group = 0; group < 50; group++) book = hear(book, at(group), sourceIn(group));
      return [...book.fresh.keys.keys()];
    };
    expect(placesOf(SECRET)).toEqual(placesOf(SECRET));
    expect(placesOf("00".repeat(16))).not.toEqual(placesOf(SECRET));
  });

  test("what is known is not heard again: neither its source nor its failures change", () => {
    const address = at(1);
    const key = formatMultiaddr(address);
    const failed = fail(hear(emptyBook(SECRET), address, sourceIn(1)), key, NOW_MS + 1);
    const again = hear(failed, address, sourceIn(2));
    expect(again).toBe(failed);
    expect(entryOf(again, address)).toMatchObject({
      source: sourceIn(1),
      failures: 1,
      nextMs: NOW_MS + 1,
    });
  });

  test("an unproven address that has failed often gives its place to another, no other does", () => {
    let book = emptyBook(SECRET);
    const source = sourceIn(1);
    // All of these are for the same 16 places.
    for (let port = 1; port <= 300; port++) book = hear(book, at(1, 1, port), sourceIn(1, port % 200));
    const [first] = [...book.fresh.keys.values()];
    const heardMore = (from: AddressBook): AddressBook => {
      let more = from;
      for (let port = 1_001; port <= 1_300; port++) more = hear(more, at(1, 2, port), source);
      return more;
    };
    expect(heardMore(book)).toBe(book);
    for (let times = 0; times < BOOK_POOR_FAILURES; times++) book = fail(book, first ?? "", NOW_MS);
    expect(heardMore(book).entries.has(first ?? "")).toBe(false);
    expect(heardMore(book).fresh.keys.size).toBe(book.fresh.keys.size);
  });
});

describe("address book: proof", () => {
  test("a proven address leaves the fresh ones, and its source has room for another", () => {
    const address = at(1);
    const book = prove(hear(emptyBook(SECRET), address, sourceIn(1)), address, sourceIn(2), NOW_MS);
    expect(entryOf(book, address)).toMatchObject({
      table: "tried",
      source: sourceIn(1),
      successMs: NOW_MS,
      failures: 0,
    });
    expect([book.fresh.keys.size, book.bySource.size]).toEqual([0, 0]);
  });

  test("who is there stays: the proven address of another takes only a place of one that has failed", () => {
    const addresses = Array.from({ length: 300 }, (_, port) => at(1, 1, port + 1));
    const fill = (from: AddressBook): AddressBook =>
      addresses.reduce((book, address) => prove(book, address, sourceIn(3), NOW_MS), from);
    const full = fill(emptyBook(SECRET));
    const residents = [...full.tried.keys.values()];
    expect([...fill(full).tried.keys.values()]).toEqual(residents);
    const [gone = ""] = residents;
    const changed = addresses
      .filter((address) => formatMultiaddr(address) !== gone)
      .reduce((book, address) => prove(book, address, sourceIn(3), NOW_MS), fail(full, gone, NOW_MS));
    expectSound(changed);
    expect([...changed.tried.keys.values()]).not.toContain(gone);
    expect(changed.tried.keys.size).toBe(full.tried.keys.size);
  });

  test("P25: who came by itself and was found has no place among the proven that are chosen, and keeps one it had", () => {
    const [unknown, heard, chosen] = [at(1), at(2), at(3)];
    let book = prove(hear(emptyBook(SECRET), heard, sourceIn(1)), chosen, sourceIn(1), NOW_MS - 1);
    book = fail(book, formatMultiaddr(chosen), NOW_MS);
    for (const address of [unknown, heard, chosen]) book = confirm(book, address, sourceIn(2), NOW_MS);
    expect(entryOf(book, unknown)).toMatchObject({ table: "fresh", successMs: NOW_MS, source: sourceIn(2) });
    expect(entryOf(book, heard)).toMatchObject({ table: "fresh", successMs: NOW_MS, source: sourceIn(1) });
    expect(entryOf(book, chosen)).toMatchObject({ table: "tried", successMs: NOW_MS, failures: 0 });
    expect(new Set(sample(book, holderOf(1), 64, always))).toEqual(new Set([unknown, heard, chosen]));
  });

  test("after eight failures in a row an address is proven no more; a success in between begins anew", () => {
    const address = at(1);
    const key = formatMultiaddr(address);
    const failTimes = (from: AddressBook, times: number): AddressBook =>
      Array.from({ length: times }).reduce<AddressBook>((book) => fail(book, key, NOW_MS), from);
    const proven = prove(emptyBook(SECRET), address, sourceIn(1), NOW_MS);
    const almost = failTimes(proven, BOOK_TRIED_FAILURES - 1);
    expect(entryOf(almost, address)?.table).toBe("tried");
    expect(entryOf(failTimes(almost, 1), address)).toMatchObject({ table: "fresh", successMs: NOW_MS });
    const again = failTimes(prove(almost, address, sourceIn(1), NOW_MS), BOOK_TRIED_FAILURES - 1);
    expect(entryOf(again, address)?.table).toBe("tried");
  });
});

describe("address book: who is told of what", () => {
  test.each([
    ["20.0.0.1", "ip4", "30.0.0.1", true],
    ["2a01::7", "ip6", "30.0.0.1", true],
    ["20.0.0.1", "ip4", "127.0.0.1", true],
    ["192.168.1.7", "ip4", "30.0.0.1", false],
    ["192.168.1.7", "ip4", "10.0.0.1", true],
    ["fd00::7", "ip6", "30.0.0.1", false],
    ["169.254.169.254", "ip4", "30.0.0.1", false],
    ["::ffff:10.0.0.1", "ip6", "30.0.0.1", false],
    ["127.0.0.1", "ip4", "30.0.0.1", false],
    ["127.0.0.1", "ip4", "10.0.0.1", false],
    ["127.0.0.1", "ip4", "127.0.0.1", true],
    ["::1", "ip6", "30.0.0.1", false],
    ["0.0.0.0", "ip4", "127.0.0.1", false],
    ["224.0.0.1", "ip4", "30.0.0.1", false],
    ["seed.example.org", "dns4", "30.0.0.1", false],
    ["localhost", "dns", "127.0.0.1", false],
    ["20.0.0.1", "ip4", "", true],
    ["10.0.0.1", "ip4", "", false],
  ] as const)("P17: %s (%s) by a peer at %s: %s", (host, hostKind, remoteAddress, isKept) => {
    const address = local(host, hostKind);
    expect(isTellable(address, remoteAddress)).toBe(isKept);
    const book = hear(emptyBook(SECRET), address, { ...sourceIn(1), remoteAddress });
    expect(book.entries.size).toBe(isKept ? 1 : 0);
  });

  test("P17: a sample has proven addresses only that have not failed since, one per peer", () => {
    let book = emptyBook(SECRET);
    for (let group = 0; group < 100; group++) book = hear(book, at(group), sourceIn(group));
    for (let group = 100; group < 200; group++) {
      book = prove(book, at(group), sourceIn(1), NOW_MS);
      book = prove(book, { ...at(group), port: 7_301 }, sourceIn(1), NOW_MS);
    }
    for (let group = 100; group < 110; group++) book = fail(book, formatMultiaddr(at(group)), NOW_MS);
    const told = sample(book, holderOf(1), 64, always);
    expect(told.length).toBe(64);
    expect(new Set(told.map(({ peerId }) => peerId)).size).toBe(64);
    for (const address of told)
      expect(entryOf(book, address)).toMatchObject({ successMs: NOW_MS, failures: 0 });
    expect(sample(book, holderOf(1), 64, always)).toEqual(told);
    expect(sample(book, holderOf(2), 64, always)).not.toEqual(told);
    expect(sample(book, holderOf(1), 64, () => false)).toEqual([]);
  });
});

describe("address book: whom to dial", () => {
  const picksOf = (book: AddressBook, count: number, isWelcome: (entry: BookEntry) => boolean = always) => {
    const holder = holderOf(7);
    return Array.from({ length: count }, () => pick(book, holder, isWelcome));
  };

  test("half of the picks are proven, all of them when nothing else is welcome", () => {
    let book = emptyBook(SECRET);
    for (let group = 0; group < 400; group++) book = hear(book, at(group), sourceIn(group));
    for (let group = 0; group < 10; group++) book = prove(book, at(group), sourceIn(1), NOW_MS);
    const proven = picksOf(book, 1_000).filter((entry) => entry?.table === "tried").length;
    expect(proven).toBeGreaterThan(450);
    expect(proven).toBeLessThan(550);
    const welcome = picksOf(book, 50, ({ table }) => table === "tried");
    expect(welcome.every((entry) => entry?.table === "tried")).toBe(true);
    expect(picksOf(book, 5, () => false)).toEqual([null, null, null, null, null]);
    expect(picksOf(emptyBook(SECRET), 1)).toEqual([null]);
  });

  test("every address has its turn", () => {
    let book = emptyBook(SECRET);
    for (let group = 0; group < 60; group++) book = hear(book, at(group), sourceIn(group));
    for (let group = 0; group < 20; group++) book = prove(book, at(group), sourceIn(1), NOW_MS);
    const seen = new Set(picksOf(book, 5_000).map((entry) => entry?.address.host));
    expect(seen.size).toBe(book.entries.size);
  });

  /**
   * 80 groups, 16 of them of an attacker, who has 4 of 5 addresses that are told of: 20 hosts at each of which 4 keys
   * answer, against one host in each group of the others. All that is told of is real, and proven in random order.
   */
  function poisoned(seed: number): Readonly<Record<"told" | "unproven" | "proven" | "both", number>> {
    const holder = holderOf(seed);
    const isBad = (group: number): boolean => group % 5 === 0;
    const words: (readonly [DialAddress, Source])[] = [];
    for (let teller = 0; teller < 80; teller++) {
      for (let word = 0; word < 60; word++) {
        // Who is honest tells of everybody, as it has heard: 4 of 5 are of the attacker.
        const ofAttacker = isBad(teller) || drawInt(holder, 4) < 3;
        const group = ofAttacker ? 5 * drawInt(holder, 16) : 1 + drawInt(holder, 4) + 5 * drawInt(holder, 16);
        const address = ofAttacker ? at(group, drawInt(holder, 20), 7_300 + drawInt(holder, 4)) : at(group);
        words.push([address, sourceIn(teller)]);
      }
    }
    let book = emptyBook(SECRET);
    const unread = [...words];
    while (unread.length > 0) {
      const [word] = unread.splice(drawInt(holder, unread.length), 1);
      if (word !== undefined) book = hear(book, ...word);
    }
    const shareOf = (from: AddressBook, isWelcome: (entry: BookEntry) => boolean = always): number => {
      const picks = Array.from({ length: 1_000 }, () => pick(from, holder, isWelcome));
      return picks.filter((entry) => isBad(groupNumber(entry))).length / picks.length;
    };
    const unproven = shareOf(book);
    for (let turn = 0; turn < 600; turn++) {
      const entry = pick(book, holder, ({ table }) => table === "fresh");
      if (entry !== null) book = prove(book, entry.address, sourceIn(1), NOW_MS);
    }
    const told = words.filter(([{ host }]) => isBad(Number(host.split(".")[2]))).length / words.length;
    return { told, unproven, proven: shareOf(book, ({ table }) => table === "tried"), both: shareOf(book) };
  }

  const groupNumber = (entry: BookEntry | null): number => Number(entry?.address.host.split(".")[2]);

  // Measured: 20 % of the unproven, a fifth of the groups; of the proven 22 %; 35 % of all when everybody who is honest
  // is proven, and among the rest the attacker is alone.
  test("P17: 16 of 80 groups with 4 of 5 addresses get < 25 % of unproven, < 28 % of proven, < 40 % of all picks", () => {
    for (const { told, unproven, proven, both } of [1, 2, 3, 4].map(poisoned)) {
      expect(told).toBeGreaterThan(0.78);
      expect([unproven < 0.25, proven < 0.28, both < 0.4]).toEqual([true, true, true]);
    }
  });
});
