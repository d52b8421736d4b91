/** How the streams of an operation end, so that a cut one is not taken for a whole one. */
export interface StreamKind {
  /** Types of the events after which nothing is missing. */
  readonly lastEvents: readonly string[];
  /** Whether `data: [DONE]` ends it, which clients wait for. */
  readonly endsWithDone: boolean;
}

const chat: StreamKind = { lastEvents: [], endsWithDone: true };

/** By operation. Others' streams are whole when they end without an error. */
const kinds: Readonly<Record<string, StreamKind>> = {
  "chat.completions.create": chat,
  "completions.create": chat,
  "messages.create": { lastEvents: ["message_stop"], endsWithDone: false },
  "responses.create": {
    lastEvents: ["response.completed", "response.incomplete", "response.failed"],
    endsWithDone: false,
  },
  "images.generate": { lastEvents: ["image_generation.completed"], endsWithDone: false },
  "images.edit": { lastEvents: ["image_edit.completed"], endsWithDone: false },
  "audio.speech.create": { lastEvents: ["speech.audio.done"], endsWithDone: false },
  "audio.transcriptions.create": { lastEvents: ["transcript.text.done"], endsWithDone: false },
};

const unknownKind: StreamKind = { lastEvents: [], endsWithDone: false };

export function streamKindOf(operationId: string): StreamKind {
  return Object.hasOwn(kinds, operationId) ? (kinds[operationId] ?? unknownKind) : unknownKind;
}
