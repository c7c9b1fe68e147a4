import type { Hash, JobId } from "../ids.ts";
import { byte, hexRun, join, run, u16, u32, u64 } from "./bytes.ts";

// What occurs in more than one message.

export const priorityA = {
  value: { class: 0x0102, hash: hexRun<Hash>(0x40, 32) },
  bytes: join(u16(0x0102), run(0x40, 32)),
};
export const priorityB = {
  value: { class: 65_535, hash: hexRun<Hash>(0, 32) },
  bytes: join(u16(65_535), run(0, 32)),
};
export const cursor = {
  value: { epoch: 0x1122334455667788n, next: 300n },
  bytes: join(u64(0x1122334455667788n), u64(300n)),
};

export const infos = [
  {
    value: { hash: hexRun<Hash>(0x50, 32), fee: 1_000_000_007n, sender: hexRun(0x60, 32), nonce: 9 },
    bytes: join(run(0x50, 32), u64(1_000_000_007n), run(0x60, 32), u32(9)),
  },
  {
    value: {
      hash: hexRun<Hash>(0x51, 32),
      fee: 2n ** 64n - 1n,
      sender: hexRun(0x61, 32),
      nonce: 0xffff_fffe,
    },
    bytes: join(run(0x51, 32), u64(2n ** 64n - 1n), run(0x61, 32), u32(0xffff_fffe)),
  },
] as const;

export const snarkInfo = {
  value: { jobId: hexRun<JobId>(0x70, 32), hash: hexRun<Hash>(0x71, 32), fee: 77n, prover: hexRun(0x72, 32) },
  bytes: join(run(0x70, 32), run(0x71, 32), u64(77n), run(0x72, 32)),
};

export const commitment = {
  value: {
    jobId: hexRun<JobId>(0x73, 32),
    fee: 78n,
    snarker: hexRun(0x74, 32),
    issuedAt: 1_700_000_000_000n,
    signature: hexRun(0x75, 64),
  },
  unsigned: join(run(0x73, 32), u64(78n), run(0x74, 32), u64(1_700_000_000_000n)),
  signature: run(0x75, 64),
};
export const commitmentBytes = join(commitment.unsigned, commitment.signature);

/** Consensus: minWindowDensity, the count 11 and eleven densities, vrfOutput, stakingLock, nextLock. */
export const header = {
  value: {
    parent: hexRun<Hash>(0x80, 32),
    height: 1_001,
    slot: 2_002,
    epoch: 3,
    consensus: {
      minWindowDensity: 44,
      subWindowDensities: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
      vrfOutput: hexRun(0x81, 32),
      stakingLock: hexRun<Hash>(0x82, 32),
      nextLock: hexRun<Hash>(0x83, 32),
    },
    creator: hexRun(0x84, 32),
    timestamp: 1_700_000_123_456n,
    bodyRoot: hexRun(0x85, 32),
    ledgerRoot: hexRun<Hash>(0x86, 32),
    signature: hexRun(0x87, 64),
  },
  unsigned: join(
    run(0x80, 32),
    u32(1_001),
    u32(2_002),
    u32(3),
    join(u32(44), u32(11), ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(u32)),
    join(run(0x81, 32), run(0x82, 32), run(0x83, 32)),
    run(0x84, 32),
    u64(1_700_000_123_456n),
    run(0x85, 32),
    run(0x86, 32),
  ),
  signature: run(0x87, 64),
};
export const headerBytes = join(header.unsigned, header.signature);

/** Two transactions and one snark. */
export const body = {
  value: { transactions: [hexRun<Hash>(0xa0, 32), hexRun<Hash>(0xa1, 32)], snarks: [snarkInfo.value] },
  bytes: join(u32(2), run(0xa0, 32), run(0xa1, 32), u32(1), snarkInfo.bytes),
};

export const ranges = {
  value: [
    { from: 0n, to: 5n, body: { tag: "fingerprint", count: 6, xor: 0x0a0bn, sum: 0x0c0dn } },
    { from: 6n, to: 2n ** 64n - 1n, body: { tag: "ids", ids: [7n, 2n ** 63n] } },
  ],
  bytes: join(
    u32(2),
    join(u64(0n), u64(5n), byte(0), u32(6), u64(0x0a0bn), u64(0x0c0dn)),
    join(u64(6n), u64(2n ** 64n - 1n), byte(1), u32(2), u64(7n), u64(2n ** 63n)),
  ),
} as const;
