import type { CryptoEvent, SignalingEvent, TransportEvent } from "../core/actions.ts";
import { offerHash } from "../core/signals.ts";
import { admitOffer, checkOffer, replySealed, sealAnswer } from "./admission.ts";
import { applyReply, openReply, postOffer, sealOffer, verifyReply } from "./dialing.ts";
import type { Rules } from "./rules.ts";
import { attemptOf } from "./state.ts";

/** Events that both directions wait for: the phase of the attempt says whose step it is. */

type SignalEvent =
  | Extract<TransportEvent, { type: "event/localDescription" }>
  | Extract<SignalingEvent, { type: "event/signalAnswered" }>
  | CryptoEvent;

export const signals: Rules<SignalEvent> = {
  "event/localDescription": {
    enabled: (state, { attemptId }) => {
      const phase = state.attempts.get(attemptId)?.phase.tag;
      return phase === "offering" || phase === "answering";
    },
    reduce: (draft, { attemptId, sdp }, context) => {
      const attempt = attemptOf(draft, attemptId);
      if (attempt.phase.tag === "offering") sealOffer(draft, attempt, sdp, context);
      else sealAnswer(draft, attempt, sdp, context);
    },
  },

  "event/signalSealed": {
    enabled: (state, { attemptId }) => {
      const phase = state.attempts.get(attemptId)?.phase.tag;
      return phase === "sealingOffer" || phase === "sealingAnswer" || phase === "sealingRejection";
    },
    reduce: (draft, { attemptId, signed, envelope }, context) => {
      const attempt = attemptOf(draft, attemptId);
      if (attempt.phase.tag === "sealingOffer")
        postOffer(draft, attempt, offerHash(signed), envelope, context);
      else replySealed(draft, attempt, signed, envelope, context);
    },
  },

  "event/signalAnswered": {
    enabled: (state, { attemptId }) => state.attempts.get(attemptId)?.phase.tag === "awaitingReply",
    reduce: (draft, { attemptId, outcome }, context) => {
      openReply(draft, attemptOf(draft, attemptId), outcome, context);
    },
  },

  "event/envelopeOpened": {
    enabled: (state, { attemptId }) => {
      const phase = state.attempts.get(attemptId)?.phase.tag;
      return phase === "openingOffer" || phase === "openingReply";
    },
    reduce: (draft, { attemptId, plaintext }, context) => {
      const attempt = attemptOf(draft, attemptId);
      if (attempt.phase.tag === "openingOffer") checkOffer(draft, attempt, plaintext, context);
      else verifyReply(draft, attempt, plaintext, context);
    },
  },

  "event/signatureChecked": {
    enabled: (state, { attemptId }) => {
      const phase = state.attempts.get(attemptId)?.phase.tag;
      return phase === "verifyingOffer" || phase === "verifyingReply";
    },
    reduce: (draft, { attemptId, valid }, context) => {
      const attempt = attemptOf(draft, attemptId);
      const { phase } = attempt;
      if (phase.tag === "verifyingOffer") admitOffer(draft, attempt, phase.offer, valid, context);
      if (phase.tag === "verifyingReply") applyReply(draft, attempt, phase.reply, valid, context);
    },
  },
};
