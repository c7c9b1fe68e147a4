import type { DiscoveryMessage } from "../core/channels/discovery.ts";
import type { AttemptId, PeerId, RequestId } from "../core/ids.ts";
import { OUTGOING_RESERVE, PEERS_ANSWER_MAX, TRANSACTION_CAPACITY_DEFAULT } from "../core/limits.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import { type Config, DEFAULT_ADMISSION, initialState, type State } from "../core/state.ts";
import { incomingMax } from "../reducers/admission-budgets.ts";
import { keptBook, withBook } from "../reducers/book/kept.ts";
import { CHAIN, CHAIN_ID, START_MS } from "../reducers/testing/chain.ts";
import {
  ATTACKERS,
  anyOf,
  drawn,
  HONEST,
  isAttacker,
  isSeed,
  leavesToBeChosen,
  peerIdOf,
  SEEDS,
  strangerOf,
} from "./eclipse-hosts.ts";
import { createLoneCore, type LoneCore, type LoneWorld, SEALED, type Stranger } from "./lone-core.ts";
import { type Clock, createClock } from "./sim-clock.ts";
import { identityOf } from "./sim-identity.ts";
import { createRandom } from "./sim-random.ts";

/**
 * A node that starts without a past among attackers: it is the production core, with all its rules; the others are
 * stand-ins. The attacker has a fifth of the groups of addresses, makes four fifths of all that is told, wants ten
 * times as many slots as there are for who comes, takes every dial and never leaves. Does the node keep an honest peer
 * of its own choice?
 */
export interface EclipseOptions {
  readonly seed: number;
  /** Between the cold start and the crash, and after that until the end. */
  readonly lifeMs: number;
  /** Of a hundred dials of an honest node so many come in; half of the others find nobody, half no slot. */
  readonly honestPercent: number;
  readonly peersMax: number;
}

/** As few slots as have the full reserve: every offer costs. */
export const DEFAULT_ECLIPSE = {
  lifeMs: 300_000,
  honestPercent: 70,
  peersMax: 4 * OUTGOING_RESERVE,
} as const;

/** At the end of a life. */
export interface Peerage {
  /** Peers of its own choice: dialed, and by nobody's order. */
  readonly chosen: number;
  readonly chosenHonest: number;
  readonly incoming: number;
  readonly incomingHonest: number;
}

export interface EclipsePlayed {
  readonly beforeCrash: Peerage;
  readonly atEnd: Peerage;
  /** Of all addresses that were told. */
  readonly attackedPercent: number;
}

const INBOUND_PER_SLOT = 10;
const ATTACKED_SHARE = 0.8;
const TOLD_BY_SEED = 40;
const SEED_STAYS_MS = 2_000;
const DOWN_MS = 10_000;
/** All attackers have tried to come within this time. */
const COME_MS = 5_000;
/** An attacker that was sent away, or refused, is back after some of this time. */
const BACK_MS = 300_000;
const HONEST_DIALS_MS = 20_000;
/** An attacker that has hung up itself is back, and one that is a relay asks again, after this time. */
const AGAIN_MS = 1_000;
const HONEST_STAYS_MS = 1_200_000;

export function playEclipse(options: EclipseOptions): EclipsePlayed {
  const { seed, peersMax } = options;
  const clock = createClock(START_MS);
  const config = configOf(peersMax);
  const world = createWorld(clock, options, config);
  const begin = (life: number): State =>
    initialState(config, `${life}${seed.toString(16)}`.padStart(64, "0"), clock.nowMs);

  const first = world.live(begin(1));
  const beforeCrash = peerageOf(first.state);
  first.kill();
  clock.advanceTo(clock.nowMs + DOWN_MS);
  const second = world.live(withBook(begin(2), keptBook(first.state)));
  return { beforeCrash, atEnd: peerageOf(second.state), attackedPercent: world.attackedPercent() };
}

function createWorld(clock: Clock, { seed, lifeMs, honestPercent }: EclipseOptions, config: Config) {
  const random = createRandom(seed);
  const told = { all: 0, attacked: 0 };
  const connected = new Map<PeerId, AttemptId>();
  const coming = ATTACKERS.slice(0, INBOUND_PER_SLOT * incomingMax({ config }));
  const isComing = new Set(coming);
  let core: LoneCore;
  let requests = 0;

  /** For as long as this process is there. */
  const later = (ms: number, run: () => void): void => {
    const current = core;
    clock.after(ms, () => {
      if (core === current) run();
    });
  };

  const attack = (who: Stranger, afterMs: number): void =>
    later(afterMs, () => {
      if (!connected.has(peerIdOf(who))) core.knock(who, () => attack(who, backMs()));
    });
  const backMs = (): number => random.between(BACK_MS / 2, BACK_MS);

  const honestDials = (): void =>
    later(random.between(0, 2 * HONEST_DIALS_MS), () => {
      const who = anyOf(random, HONEST);
      if (!connected.has(peerIdOf(who))) core.knock(who, () => {});
      honestDials();
    });

  /** At any time at least four fifths of all that was told is the attacker's: the honest have heard of it too. */
  function addressesOf(who: Stranger): readonly string[] {
    const count = isSeed(who) ? TOLD_BY_SEED : PEERS_ANSWER_MAX;
    const least = Math.ceil(ATTACKED_SHARE * (told.all + count) - told.attacked);
    const attacked = isAttacker(who) ? count : Math.max(0, Math.min(count, least));
    told.all += count;
    told.attacked += attacked;
    return [...drawn(random, ATTACKERS, attacked), ...drawn(random, HONEST, count - attacked)].map(
      ({ address }) => formatMultiaddr(address),
    );
  }

  function relay(who: Stranger, attemptId: AttemptId, said: DiscoveryMessage): void {
    const answer = (message: DiscoveryMessage): void =>
      core.say(attemptId, { channel: "signaling/discovery", message });
    if (said.tag === "discover")
      answer({ tag: "discovered", target: anyOf(random, ATTACKERS).identity.publicKey });
    if (said.tag === "accept") answer({ tag: "answer", reply: SEALED });
    if (said.tag === "accept" || said.tag === "reject")
      later(AGAIN_MS, () => {
        if (connected.has(peerIdOf(who))) answer({ tag: "getNext" });
      });
  }

  const world: LoneWorld = {
    strangerOf,
    dialed: (who) => {
      const attemptId = connected.get(peerIdOf(who));
      if (attemptId !== undefined && !leavesToBeChosen(who)) return "alreadyConnected";
      if (attemptId !== undefined) {
        core.hangUp(attemptId);
        if (isComing.has(who)) attack(who, AGAIN_MS);
      }
      if (isAttacker(who) || isSeed(who) || random.int(100) < honestPercent) return "taken";
      return random.chance(0.5) ? "capacity" : "unreachable";
    },
    ready: (who, attemptId) => {
      connected.set(peerIdOf(who), attemptId);
      if (isAttacker(who))
        core.say(attemptId, { channel: "signaling/discovery", message: { tag: "getNext" } });
      else {
        const staysMs = isSeed(who) ? SEED_STAYS_MS : random.between(0, 2 * HONEST_STAYS_MS);
        later(staysMs, () => core.hangUp(attemptId));
      }
    },
    heard: (who, attemptId, { channel, message }) => {
      if (channel === "rpc" && message.tag === "request") {
        const addresses = message.body.tag === "peers" ? addressesOf(who) : [];
        const body = { tag: "peers", addresses } as const;
        core.say(attemptId, { channel, message: { tag: "response", id: message.id, body } });
      }
      if (channel === "signaling/discovery" && isAttacker(who)) relay(who, attemptId, message);
    },
    ended: (who) => {
      connected.delete(peerIdOf(who));
      if (isComing.has(who)) attack(who, backMs());
    },
  };

  return {
    /** @returns the process after its life */
    live: (start: State): LoneCore => {
      core = createLoneCore(start, clock, world);
      for (const who of coming) attack(who, random.between(0, COME_MS));
      for (const { address } of SEEDS) {
        core.give({ type: "command/dial", requestId: ++requests as RequestId, address });
      }
      honestDials();
      core.runUntil(clock.nowMs + lifeMs);
      return core;
    },
    attackedPercent: () => Math.floor((100 * told.attacked) / told.all),
  };
}

function peerageOf({ peers, attempts, targets }: State): Peerage {
  const peerage = { chosen: 0, chosenHonest: 0, incoming: 0, incomingHonest: 0 };
  for (const { peerId, live } of peers.values()) {
    const target = live === null ? null : (attempts.get(live.attemptId)?.target ?? null);
    const isHonest = !isAttacker(strangerOf(peerId));
    if (live?.direction === "incoming") {
      peerage.incoming += 1;
      if (isHonest) peerage.incomingHonest += 1;
    } else if (target !== null && !targets.has(formatMultiaddr(target))) {
      peerage.chosen += 1;
      if (isHonest) peerage.chosenHonest += 1;
    }
  }
  return peerage;
}

function configOf(peersMax: number): Config {
  const { publicKey, peerId } = identityOf("eclipse victim");
  return {
    publicKey,
    peerId,
    chainId: CHAIN_ID,
    userAgent: "pollen/eclipse",
    listen: `/ip4/60.1.1.1/tcp/7300/http/p2p/${peerId}`,
    peersMax,
    peersMin: peersMax / 2,
    allowPrivateCandidates: false,
    admission: DEFAULT_ADMISSION,
    chain: CHAIN,
    capacity: TRANSACTION_CAPACITY_DEFAULT,
    produces: false,
    workFee: null,
  };
}
