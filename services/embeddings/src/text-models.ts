export { type KeepTextModelsOptions, type KeptModel, type KeptModels, keepTextModels } from "./keep-text-models.ts";
export { parseRequest } from "./parse-request.ts";
export { readTextModelSettings, type TextModelSettings } from "./settings.ts";
export { mannersOf, marked, type TextRole } from "./text-manners.ts";
export type { TextModel } from "./text-model.ts";
export { cosine, shortened, toLengthOne } from "./vectors.ts";
export type { TextInput } from "./worker-messages.ts";
