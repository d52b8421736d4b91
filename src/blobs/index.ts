export type { Blob } from "./blob-store.ts";
export { blobsDirectory, findBlob } from "./blob-store.ts";
export { builtinModels, defaultEmbeddingModelId, defaultModelId } from "./builtin-models.ts";
export { defaultTranscriptionModelId, defaultVoiceModelId } from "./builtin-sound-models.ts";
export {
  addModel,
  type Catalogue,
  type CatalogueEntry,
  cataloguePath,
  findEntry,
  loadCatalogue,
  type ModelAddition,
} from "./catalogue.ts";
export { type ModelsConfig, modelsConfigSchema } from "./config.ts";
export { type ListedModel, listModels, type ModelList } from "./list-models.ts";
export { describeSource, type ModelSource, modelSourceSchema, parseModelSource } from "./model-source.ts";
export { type PulledModel, type PullOptions, type PullProgress, pullModel } from "./pull-model.ts";
