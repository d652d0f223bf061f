export type { Build, BuildOptions, BuildResult, CacheSummary } from "./engine/build.js";
export { type ConnectOptions, Engine } from "./engine/engine.js";
export type { SecretProvider } from "./engine/gather-secrets.js";
export { NoDaemonError } from "./engine/no-daemon-error.js";
export {
  type Compression,
  type DockerImageOutput,
  type DockerTarOptions,
  type DockerTarOutput,
  dockerImage,
  dockerTar,
  type FailedStep,
  type FileTarget,
  filesTar,
  type LayerOptions,
  type LocalOutput,
  localDir,
  type OciLayoutOutput,
  type OciOptions,
  type OciTarOutput,
  type Output,
  ociLayout,
  ociTar,
  type RegistryOptions,
  type RegistryOutput,
  registry,
  SolveError,
  type SolveErrorOptions,
  type TarOutput,
} from "./engine/outputs.js";
export type { Run, RunOptions } from "./engine/run.js";
export { type CallSite, KilnError, type KilnErrorCode, type KilnErrorOptions } from "./errors.js";
export type { ChainState } from "./image/chain-state.js";
export { compile } from "./image/compile.js";
export {
  type AppliedStep,
  defineStep,
  type Step,
  type StepDefinition,
  type StepNeeds,
} from "./image/define-step.js";
export { FilePatternMatcher } from "./image/file-pattern-matcher.js";
export { Image, type Variadic } from "./image/image.js";
export type { CacheMount, CopyTreeRequest, LowerContext, RunRequest } from "./image/lower-context.js";
export { needsOf } from "./image/needs-of.js";
export { Secret } from "./image/secret.js";
export type { AddLocalDirOptions, AddLocalFileOptions } from "./image/steps/add-local.js";
export type { AptInstallOptions } from "./image/steps/apt-install.js";
export type { EnvOptions } from "./image/steps/env.js";
export type { FromOciLayoutOptions } from "./image/steps/from-oci-layout.js";
export type { RunCommandsOptions } from "./image/steps/run-commands.js";
export type { StepOptions } from "./image/steps/step-options.js";
export type { BuildRecord, OutputRecord, StepRecord } from "./model/build-record.js";
export type { DaemonFacts, DeviceFact, ImageStoreKind, WorkerFact } from "./model/daemon.js";
export type {
  BuildEvent,
  LogClip,
  LogClippedEvent,
  LogEvent,
  LogsDroppedEvent,
  PhaseEvent,
  PlannedEvent,
  ProgressEvent,
  SolveEvent,
  VertexCachedEvent,
  VertexDoneEvent,
  VertexFailedEvent,
  VertexStartedEvent,
  WarningEvent,
} from "./model/events.js";
export type { BaseFact, Facts, LayoutBaseFact, RegistryBaseFact, TreeFact } from "./model/facts.js";
export type {
  BaseNeed,
  DeviceNeed,
  FileNeed,
  LayoutBaseNeed,
  Needs,
  RegistryBaseNeed,
  SecretNeed,
  TreeNeed,
} from "./model/needs.js";
export type { Plan, PlanCommand, PlanStep } from "./model/plan.js";
export type { SecretOrigin, SecretVariable } from "./model/secret.js";
export { formatPlatform, type Platform, parsePlatform } from "./oci/platform.js";
export type { Candidate } from "./rpc/discover.js";
export type { TlsOptions } from "./rpc/tls-options.js";
export type { Credentials, CredentialsProvider } from "./session/credentials.js";
export type { FinishedResult } from "./session/exporter.js";
export type { RegistryTls } from "./session/fetch-token.js";
export type { CheckedSource, SourceDecision, SourceVerifier } from "./session/policy-verifier.js";
export type { SecretSource } from "./session/secrets.js";
export type { SshSource } from "./session/ssh-source.js";
export type { UploadSource } from "./session/upload.js";
export type { Annotation, Annotations } from "./solver/annotations.js";
export type { CacheExport, CacheImport } from "./solver/caches/cache-options.js";
export type { FailedSource } from "./solver/failed-source.js";
export type { OutputChooser } from "./solver/output-chooser.js";
export type { IgnoredFailure } from "./solver/solve.js";
export type { SolveSettings } from "./solver/solve-settings.js";
export type {
  AttestationOptions,
  ProvenanceOptions,
  SbomOptions,
} from "./solver/supply-chain/attestation-options.js";
export type { SourcePolicy, SourceRule, SourceSelector } from "./solver/supply-chain/source-policy.js";
