import { anthropicToChat } from "../translate/anthropic-to-chat.ts";
import { chatToAnthropic } from "../translate/chat-to-anthropic.ts";
import { responsesToChat } from "../translate/responses-to-chat.ts";
import type { Translator } from "../translate/translation.ts";

/** All that the gateway can serve in other words. A new pair of dialects is a new row. */
export const translators: readonly Translator[] = [responsesToChat, anthropicToChat, chatToAnthropic];
