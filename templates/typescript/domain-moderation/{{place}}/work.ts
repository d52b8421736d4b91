import type { Work } from "nexus/service-kit";

const signs = {
  violence: /\b(kill|murder|attack|bomb)\w*/i,
  harassment: /\b(idiot|stupid|moron)\w*/i,
};

/** Looks for a few words. Put a model here. */
export const work: Work<"moderation"> = ({ texts }) =>
  texts.map((text) => {
    const scores = Object.entries(signs).map(([category, sign]) => [category, sign.test(text) ? 0.9 : 0.01]);
    return Object.fromEntries(scores);
  });
