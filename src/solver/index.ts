export { KilnError, type KilnErrorCode, type KilnErrorOptions } from "../errors.js";
export type { OutputRecord } from "../model/build-record.js";
export type { DaemonFacts, DeviceFact, ImageStoreKind, WorkerFact } from "../model/daemon.js";
export type {
  LogClip,
  LogClippedEvent,
  LogEvent,
  LogsDroppedEvent,
  ProgressEvent,
  SolveEvent,
  VertexCachedEvent,
  VertexDoneEvent,
  VertexFailedEvent,
  VertexStartedEvent,
  WarningEvent,
} from "../model/events.js";
export { RpcError } from "../rpc/rpc-error.js";
export type { SourceRange, StatusDetail } from "../rpc/status-details.js";
export type { TlsOptions } from "../rpc/tls-options.js";
export type { Credentials, CredentialsProvider } from "../session/credentials.js";
export type { FinishedResult } from "../session/exporter.js";
export type { RegistryTls } from "../session/fetch-token.js";
export { type LocalTree, openLocalTree } from "../session/file-sync.js";
export type { CheckedSource, SourceDecision, SourceVerifier } from "../session/policy-verifier.js";
export type { SecretSource } from "../session/secrets.js";
export type { SshSource } from "../session/ssh-source.js";
export type { UploadSource } from "../session/upload.js";
export type { Annotation, Annotations } from "./annotations.js";
export type { HistoryOptions } from "./build-history.js";
export type { DiskUsage, DiskUsageOptions, PruneOptions, PruneResult } from "./cache-control.js";
export type { CacheFilter } from "./cache-filter.js";
export type { CacheRecord, CacheRecordType } from "./cache-record.js";
export type {
  AzblobCache,
  CacheExport,
  CacheExportCommon,
  CacheImport,
  CacheOptions,
  GhaCache,
  InlineCache,
  LocalCache,
  RegistryCache,
  S3Cache,
} from "./caches/cache-options.js";
export {
  Client,
  type ClientOptions,
  type ClientSolveOptions,
  type ClientSolveResult,
  type Solve,
} from "./client.js";
export type { ExportHistoryOptions, HistoryExport } from "./export-history.js";
export type { FailedSource } from "./failed-source.js";
export type {
  BuildOutline,
  BuildTarget,
  FrontendAnswers,
  FrontendQuestion,
  LintReport,
  NeededThing,
} from "./frontend/ask-frontend.js";
export { type DockerfileOptions, dockerfileOptions } from "./frontend/dockerfile-options.js";
export type { DockerfileSolve, FrontendSolve } from "./frontend/frontend-solve.js";
export { Container, type ProcessOptions } from "./gateway/container.js";
export type { ContainerGrant, ContainerMount, ContainerOptions } from "./gateway/container-request.js";
export type { FileInfo, FileType } from "./gateway/file-info.js";
export {
  Gateway,
  type GatewaySolveOptions,
  type ReopenedCommand,
  type ResolvedImage,
  type ResolveImageOptions,
  type WarnOptions,
} from "./gateway/gateway.js";
export { Process, type ProcessExit } from "./gateway/process.js";
export { type AbortOptions, type ReadDirOptions, type ReadFileOptions, Ref } from "./gateway/ref.js";
export {
  type Attestation,
  type AttestationSubject,
  type GatewayResult,
  type GatewayReturn,
  multiPlatform,
  type PlatformResult,
} from "./gateway/result.js";
export type { SourceBlob, SourceId, SourceMeta, SourceMetaOptions } from "./gateway/source-meta.js";
export type { HistoryErrorOptions } from "./history-error.js";
export type { HistoryAttestation, HistoryBlob, HistoryRecord, HistoryResult } from "./history-record.js";
export type { OutputChooser } from "./output-chooser.js";
export {
  type Compression,
  type DockerImageOutput,
  type DockerTarOptions,
  type DockerTarOutput,
  dockerImage,
  dockerTar,
  type FilesOptions,
  type FileTarget,
  filesTar,
  type LayerOptions,
  type LocalDirOptions,
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
  type TarOutput,
} from "./outputs.js";
export type { IgnoredFailure } from "./solve.js";
export { type FailedOp, type FailedStep, SolveError, type SolveErrorOptions } from "./solve-error.js";
export type { BuildFunction } from "./solve-request.js";
export type { SolveSettings } from "./solve-settings.js";
export { readSourceLock, writeSourceLock } from "./source-lock/lock-file.js";
export {
  type LockedDefinition,
  type LockedDefinitionOptions,
  type LockSourcesOptions,
  lockedDefinition,
  lockSources,
} from "./source-lock/lock-sources.js";
export { formatSourceLock, parseSourceLock } from "./source-lock/lock-text.js";
export { type PinOptions, pinDefinition } from "./source-lock/pin-definition.js";
export {
  emptySourceLock,
  type LockedGit,
  type LockedHttp,
  type LockedImage,
  type LockedSource,
  mergeSourceLocks,
  type PullMode,
  type SourceLock,
} from "./source-lock/source-lock.js";
export { sourceLockPolicy } from "./source-lock/source-lock-policy.js";
export type {
  AttestationOptions,
  ProvenanceOptions,
  SbomOptions,
} from "./supply-chain/attestation-options.js";
export type {
  SourceConstraint,
  SourcePolicy,
  SourceRule,
  SourceSelector,
} from "./supply-chain/source-policy.js";
export { parseSourcePolicy } from "./supply-chain/source-policy-json.js";
export type { LayoutTarget } from "./write-layout.js";
