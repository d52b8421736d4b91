import { z } from "zod";

const count = z.int().nonnegative();

/** Tokens as the newer APIs count them. */
const inputOutputSchema = z.looseObject({ input_tokens: count, output_tokens: count });

const outputItemSchema = z.looseObject({
  type: z.string().min(1),
  content: z.array(z.looseObject({ type: z.string().min(1), text: z.string().optional() })).optional(),
});

export const responseAnswerSchema = z.looseObject({
  id: z.string().min(1),
  object: z.literal("response"),
  created_at: z.number().positive(),
  model: z.string().min(1),
  status: z.enum(["completed", "incomplete"]),
  output: z.array(outputItemSchema),
  usage: inputOutputSchema
    .extend({ total_tokens: count })
    .refine((usage) => usage.total_tokens === usage.input_tokens + usage.output_tokens, {
      path: ["total_tokens"],
      error: "is not input_tokens plus output_tokens",
    }),
});

/** Any event of a stream whose events say what they are. */
export const typedEventSchema = z.looseObject({ type: z.string().min(1) });
export type TypedEvent = z.infer<typeof typedEventSchema>;

export const messageAnswerSchema = z.looseObject({
  id: z.string().min(1),
  type: z.literal("message"),
  role: z.literal("assistant"),
  model: z.string().min(1),
  content: z.array(z.looseObject({ type: z.string().min(1), text: z.string().optional() })),
  stop_reason: z.string().min(1),
  usage: inputOutputSchema,
});

export const tokenCountSchema = z.looseObject({ input_tokens: z.int().positive() });

export const moderationAnswerSchema = z.looseObject({
  id: z.string().min(1),
  model: z.string().min(1),
  results: z.array(
    z.looseObject({
      flagged: z.boolean(),
      categories: z.record(z.string(), z.boolean()),
      category_scores: z.record(z.string(), z.number()),
    }),
  ),
});

export const rerankAnswerSchema = z.looseObject({
  results: z.array(z.looseObject({ index: count, relevance_score: z.number() })),
});

export const ocrAnswerSchema = z.looseObject({
  model: z.string().min(1),
  pages: z.array(z.looseObject({ index: count, markdown: z.string() })).min(1),
  usage_info: z.looseObject({ pages_processed: count }),
});

export const toolResultSchema = z.looseObject({
  content: z.array(z.looseObject({ type: z.string().min(1) })),
  structuredContent: z.looseObject({}).optional(),
  isError: z.boolean().optional(),
});

export const imagesAnswerSchema = z.looseObject({
  created: z.int().positive(),
  data: z.array(z.looseObject({ b64_json: z.string().optional(), url: z.string().optional() })).min(1),
});

export const transcriptSchema = z.looseObject({ text: z.string() });

export const jobSchema = z.looseObject({
  id: z.string().min(1).max(256),
  object: z.string().min(1),
  model: z.string().min(1),
  status: z.enum(["queued", "in_progress", "completed", "failed"]),
  progress: z.number().min(0).max(100).optional(),
  created_at: z.int().positive(),
});

export const deletedJobSchema = z.looseObject({ id: z.string().min(1), deleted: z.literal(true) });

/** `session.created` and `session.updated`. */
export const sessionEventSchema = z.looseObject({
  type: z.enum(["session.created", "session.updated"]),
  event_id: z.string().min(1),
  session: z.looseObject({}),
});

export const realtimeErrorSchema = z.looseObject({
  type: z.literal("error"),
  event_id: z.string().min(1),
  error: z.looseObject({ type: z.string().min(1), message: z.string().min(1) }),
});

export const realtimeResponseSchema = z.looseObject({
  type: z.literal("response.done"),
  response: z.looseObject({
    id: z.string().min(1),
    status: z.enum(["completed", "incomplete"]),
    usage: inputOutputSchema,
  }),
});
