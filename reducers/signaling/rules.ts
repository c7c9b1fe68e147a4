import type { RelayAction } from "../../core/actions/relay.ts";
import { DISCOVERY_SILENCE_MS } from "../../core/limits.ts";
import type { Rules } from "../rules.ts";
import { liveAttempt, livePeer } from "../state.ts";
import {
  askRelays,
  canRotate,
  isOffering,
  isSeeking,
  receiveFromRelay,
  seek,
  wantsPeers,
  withdrawOffer,
} from "./dialer.ts";
import {
  answerLate,
  answerOffer,
  giveExchangePermits,
  hasIdleRelays,
  isAnswering,
  lapse,
  receiveOffer,
} from "./listener.ts";
import {
  expireFlow,
  giveDiscoveryPermit,
  isRelaying,
  receiveExchangePermit,
  receiveFromDialer,
  receiveListenersAnswer,
} from "./relay.ts";

/** 7.1 and 7.2: who of dialer, relay and listener each action is for. */
export const signaling: Rules<RelayAction> = {
  "discovery/receive": {
    enabled: (state, { peerId }) => livePeer(state, peerId)?.discovery != null,
    reduce: (draft, { peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      if (live === undefined) return;
      switch (message.tag) {
        case "getNext":
        case "discovered":
        case "answer":
          receiveFromRelay(draft, peerId, live, message, context);
          return;
        default:
          receiveFromDialer(draft, peerId, live, message, context);
      }
    },
  },

  "discovery/seek": {
    enabled: wantsPeers,
    reduce: (draft, _action, context) => {
      seek(draft, context);
    },
  },

  "discovery/rotate": {
    enabled: canRotate,
    reduce: (draft, _action, context) => {
      askRelays(draft, 1, "rotation", context);
    },
  },

  "discovery/silent": {
    enabled: (state, { peerId, attemptId }) => isSeeking(state, peerId, attemptId),
    reduce: (_draft, { attemptId }, { propose }) => {
      const detail = `no answer from the relay within ${DISCOVERY_SILENCE_MS / 1_000} s`;
      propose({ type: "connection/disconnect", attemptId, reason: "timeout", detail });
    },
  },

  "discovery/withdraw": {
    enabled: (state, { peerId, offering }) => isOffering(state, peerId, offering),
    reduce: (draft, { peerId }, context) => {
      withdrawOffer(draft, peerId, context);
    },
  },

  "discovery/givePermit": {
    enabled: (state, { peerId, attemptId }) =>
      !state.stopping && liveAttempt(state, peerId, attemptId)?.discovery?.ours.tag === "idle",
    reduce: (draft, { peerId }, context) => {
      giveDiscoveryPermit(draft, peerId, context);
    },
  },

  "discovery/expire": {
    enabled: (state, { peerId, attemptId }) => isRelaying(state, peerId, attemptId),
    reduce: (draft, { peerId }, context) => {
      expireFlow(draft, peerId, context);
    },
  },

  "exchange/receive": {
    enabled: (state, { peerId }) => livePeer(state, peerId)?.exchange != null,
    reduce: (draft, { peerId, message }, context) => {
      const live = livePeer(draft, peerId);
      if (live === undefined) return;
      switch (message.tag) {
        case "getNext":
          receiveExchangePermit(draft, peerId, live, context);
          return;
        case "offer":
          receiveOffer(draft, peerId, live, message, context);
          return;
        case "answer":
          receiveListenersAnswer(draft, peerId, live, message.reply, context);
      }
    },
  },

  "exchange/givePermits": {
    enabled: (state) => !state.stopping && hasIdleRelays(state),
    reduce: (draft, _action, context) => {
      giveExchangePermits(draft, context);
    },
  },

  "exchange/lapse": {
    enabled: (state, { peerId, attemptId }) => {
      const tag = liveAttempt(state, peerId, attemptId)?.exchange?.ours.tag;
      return tag === "permitGiven" || tag === "lapsed";
    },
    reduce: (draft, { peerId, attemptId }, context) => {
      lapse(draft, peerId, attemptId, context);
    },
  },

  "exchange/answer": {
    enabled: (state, { peerId, answering }) => isAnswering(state, peerId, answering),
    reduce: (draft, { peerId, reply }, context) => {
      answerOffer(draft, peerId, reply, context);
    },
  },

  "exchange/expire": {
    enabled: (state, { peerId, attemptId }) =>
      liveAttempt(state, peerId, attemptId)?.exchange?.ours.tag === "answering",
    reduce: (draft, { peerId }, context) => {
      answerLate(draft, peerId, context);
    },
  },
};
