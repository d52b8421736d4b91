export { newInstanceName, readServiceEnvironment, type ServiceEnvironment } from "./environment.ts";
export { type Command, readCommand, serveCommand } from "./from-command.ts";
export { type ServedUpstream, serveUpstream } from "./from-upstream.ts";
export { type ComfyUiJobsOptions, createComfyUiJobs } from "./jobs/comfyui-jobs.ts";
export { type ComfyUiWorkflow, fillComfyUiWorkflow, parseComfyUiWorkflow } from "./jobs/comfyui-workflow.ts";
export { createJobService, type JobServiceOptions } from "./jobs/create-job-service.ts";
export type { JobBackend, JobContent, JobOrder, JobState, JobView } from "./jobs/job-backend.ts";
export { type PictureHead, readPictureHead } from "./picture-head.ts";
export type { FormFile } from "./read-form.ts";
export type { RealtimeEvent, RealtimeHandler, RealtimeRequest, RealtimeSocket } from "./realtime.ts";
export {
  type BytesResponse,
  bytes,
  type EventStreamResponse,
  eventStream,
  type JsonResponse,
  json,
  type ServiceResponse,
} from "./response.ts";
export { type RunningService, type RunServiceOptions, runService } from "./run-service.ts";
export {
  defaultServiceLimits,
  defineService,
  type HandledOperationId,
  type Handler,
  type Handlers,
  type ModelInput,
  type OwnEndpoint,
  type Service,
  type ServiceContext,
  type ServiceDefinition,
  type ServiceLimits,
  type ServiceRequest,
} from "./service.ts";
export { createUpstream, type Upstream, type UpstreamAnswer, type UpstreamCall } from "./upstream.ts";
export { readUpstream, type UpstreamSettings, type WrappedServer } from "./upstream-file.ts";
export { type WatchedBackend, type WatchOptions, watchBackend } from "./watch-backend.ts";
export { type ServedWork, type ServeWorkOptions, serveWork } from "./work/serve-work.ts";
export type * from "./work/work.ts";
