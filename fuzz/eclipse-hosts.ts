import { assert } from "../core/assert.ts";
import type { PeerId } from "../core/ids.ts";
import { ATTACKED_GROUPS, GROUPS, groupOf, hostIn, isAttacked } from "./eclipse-groups.ts";
import type { Stranger } from "./lone-core.ts";
import { identityOf } from "./sim-identity.ts";
import type { Random } from "./sim-random.ts";

/** Who there is beside the victim of fuzz/eclipse.ts: the same hosts for every seed. */

const HOSTS_PER_GROUP = 6;
/** More keys than the slots that they want. */
const ATTACKERS_PER_GROUP = 40;
/** What the operator names. */
const SEEDS_COUNT = 10;
const SEED_NUMBER = 250;

const known = new Map<PeerId, Stranger>();

function strangerIn(group: number, number: number): Stranger {
  const identity = identityOf(`eclipse ${group} ${number}`);
  const host = hostIn(group, number);
  const { peerId } = identity;
  const who = { identity, address: { scheme: "http", hostKind: "ip4", host, port: 7_300, peerId } } as const;
  known.set(peerId, who);
  return who;
}

export function strangerOf(peerId: PeerId): Stranger {
  const who = known.get(peerId);
  assert(who !== undefined, "nobody else is in this world");
  return who;
}

export const peerIdOf = ({ identity }: Stranger): PeerId => identity.peerId;
export const isAttacker = ({ address }: Stranger): boolean => isAttacked(address);
/** Every second attacker: its claim is being verified, and it hopes to be chosen by that. */
export const leavesToBeChosen = ({ address }: Stranger): boolean =>
  isAttacked(address) && groupOf(address) % 2 === 0;
/** Its answers are like everybody's, but it has no time for anybody. */
export const isSeed = ({ address: { host } }: Stranger): boolean => host.endsWith(`.${SEED_NUMBER}`);

const inEach = (from: number, to: number, hosts: number): readonly Stranger[] =>
  Array.from({ length: hosts * (to - from) }, (_, index) =>
    strangerIn(from + (index % (to - from)), 1 + Math.floor(index / (to - from))),
  );

export const ATTACKERS = inEach(0, ATTACKED_GROUPS, ATTACKERS_PER_GROUP);
export const HONEST = inEach(ATTACKED_GROUPS, GROUPS, HOSTS_PER_GROUP);
export const SEEDS = Array.from({ length: SEEDS_COUNT }, (_, index) =>
  strangerIn(ATTACKED_GROUPS + 5 * index, SEED_NUMBER),
);

export function anyOf(random: Random, all: readonly Stranger[]): Stranger {
  const who = all[random.int(all.length)];
  assert(who !== undefined, "there is somebody");
  return who;
}

/** So many different ones. */
export function drawn(random: Random, all: readonly Stranger[], count: number): ReadonlySet<Stranger> {
  const chosen = new Set<Stranger>();
  while (chosen.size < count) chosen.add(anyOf(random, all));
  return chosen;
}
