import { z } from "zod";

/** The error body of OpenAI's API. */
export const errorAnswerSchema = z.object({
  error: z.looseObject({
    message: z.string().min(1),
    type: z.string().min(1),
    param: z.string().nullable().optional(),
    code: z.string().nullable().optional(),
  }),
});

const usageSchema = z
  .looseObject({
    prompt_tokens: z.int().nonnegative(),
    completion_tokens: z.int().nonnegative(),
    total_tokens: z.int().nonnegative(),
  })
  .refine((usage) => usage.total_tokens === usage.prompt_tokens + usage.completion_tokens, {
    path: ["total_tokens"],
    error: "is not prompt_tokens plus completion_tokens",
  });

const toolCallSchema = z.looseObject({
  id: z.string().min(1),
  type: z.literal("function"),
  function: z.looseObject({ name: z.string().min(1), arguments: z.string() }),
});

export const chatAnswerSchema = z.looseObject({
  id: z.string().min(1),
  object: z.literal("chat.completion"),
  created: z.int().positive(),
  model: z.string().min(1),
  choices: z
    .array(
      z.looseObject({
        index: z.int().nonnegative(),
        message: z.looseObject({
          role: z.literal("assistant"),
          content: z.string().nullable().optional(),
          tool_calls: z.array(toolCallSchema).optional(),
        }),
        finish_reason: z.string().min(1),
      }),
    )
    .min(1),
  usage: usageSchema,
});
export type ChatAnswer = z.infer<typeof chatAnswerSchema>;

export const completionAnswerSchema = z.looseObject({
  id: z.string().min(1),
  object: z.literal("text_completion"),
  created: z.int().positive(),
  model: z.string().min(1),
  choices: z
    .array(z.looseObject({ index: z.int().nonnegative(), text: z.string(), finish_reason: z.string().min(1) }))
    .min(1),
  usage: usageSchema,
});

export const embeddingAnswerSchema = z.looseObject({
  object: z.literal("list"),
  model: z.string().min(1),
  data: z
    .array(
      z.looseObject({
        object: z.literal("embedding"),
        index: z.int().nonnegative(),
        embedding: z.array(z.number()).min(1),
      }),
    )
    .min(1),
  usage: z.looseObject({ prompt_tokens: z.int().nonnegative(), total_tokens: z.int().nonnegative() }),
});

export const chatChunkSchema = z.looseObject({
  id: z.string().min(1),
  object: z.literal("chat.completion.chunk"),
  created: z.int().positive(),
  model: z.string().min(1),
  choices: z.array(
    z.looseObject({
      index: z.int().nonnegative(),
      delta: z.looseObject({ content: z.string().nullable().optional() }),
      finish_reason: z.string().nullable().optional(),
    }),
  ),
  usage: usageSchema.nullable().optional(),
});

export const modelListSchema = z.looseObject({
  object: z.literal("list"),
  data: z.array(
    z.looseObject({
      id: z.string().min(1),
      object: z.literal("model"),
      created: z.int().nonnegative(),
      owned_by: z.string(),
    }),
  ),
});
