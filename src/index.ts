export type { Build, BuildOptions, BuildResult, CacheSummary } from "./engine/build.js";
export { type ConnectOptions, Engine } from "./engine/engine.js";
export type { ExplainedRefs } from "./engine/explain.js";
export type { SecretProvider } from "./engine/inputs/gather-secrets.js";
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
export type { BuildPlan } from "./engine/plan-only.js";
export type { Mirrors } from "./engine/registries/mirrors.js";
export type { Run, RunOptions } from "./engine/run.js";
export { type CallSite, KilnError, type KilnErrorCode, type KilnErrorOptions } from "./errors.js";
export type { AddPythonOptions, PythonArchive } from "./image/add-python.js";
export { atCallerOf } from "./image/at-caller-of.js";
export { type BuilderVersion, builderVersion, type StandalonePython } from "./image/builder-version.js";
export type { ChainState } from "./image/chain-state.js";
export { argumentError } from "./image/check-args.js";
export { compile } from "./image/compile.js";
export type { ConfigChange } from "./image/config-change.js";
export {
  type AppliedStep,
  type Chain,
  defineStep,
  type NeedsContext,
  type Step,
  type StepBase,
  type StepDefinition,
  type StepNeeds,
  type StepTree,
} from "./image/define-step.js";
export type { ToDockerfileOptions } from "./image/dockerfile/to-dockerfile.js";
export { FilePatternMatcher } from "./image/file-pattern-matcher.js";
export { FrontendNeeded, type FrontendQuestion } from "./image/frontend-question.js";
export { Image, type Variadic } from "./image/image.js";
export type { JavaScriptInstallOptions } from "./image/javascript/install-options.js";
export type { LintOptions } from "./image/lint/lint.js";
export type { LintFinding, LintRuleId, LintSeverity } from "./image/lint/lint-finding.js";
export type { LintLockEntry } from "./image/lint/rule.js";
export type {
  CacheMount,
  CopyArchiveRequest,
  CopyImageRequest,
  CopyTreeRequest,
  DirMount,
  DockerfileRequest,
  FileMount,
  ImageMount,
  LowerContext,
  RunRequest,
  RunRequestParts,
  TreeMount,
} from "./image/lower-context.js";
export { type ModalContext, type ModalLayer, modalLayer } from "./image/modal-layer.js";
export { type FoundFiles, type NeedsOptions, needsOf } from "./image/needs-of.js";
export type { PipOptions } from "./image/python/pip-options.js";
export type { UvOptions } from "./image/python/uv-tool.js";
export { Secret } from "./image/secret.js";
export { shellQuote } from "./image/shell-quote.js";
export { type CheckedStepOptions, checkStepOptions, type StepOptions } from "./image/step-options.js";
export type { CommandTrait, PackageTrait, StepTraits } from "./image/step-traits.js";
export type { AddLocalDirOptions, AddLocalFileOptions } from "./image/steps/add-local.js";
export type { AddLocalPythonSourceOptions } from "./image/steps/add-local-python-source.js";
export type { AptInstallOptions } from "./image/steps/apt-install.js";
export type { CopyFromOptions } from "./image/steps/copy-from.js";
export type { DebianSlimOptions } from "./image/steps/debian-slim.js";
export type { DockerfileCommandsOptions } from "./image/steps/dockerfile-commands.js";
export type { DockerfileStepOptions } from "./image/steps/dockerfile-options.js";
export type { EnvOptions } from "./image/steps/env.js";
export type { FromDockerfileOptions } from "./image/steps/from-dockerfile.js";
export type { FromOciLayoutOptions } from "./image/steps/from-oci-layout.js";
export type {
  FromAwsEcrOptions,
  FromGcpArtifactRegistryOptions,
  FromRegistryOptions,
} from "./image/steps/from-registry.js";
export type { HealthcheckOptions } from "./image/steps/healthcheck.js";
export type { MicromambaOptions } from "./image/steps/micromamba.js";
export type { MicromambaInstallOptions } from "./image/steps/micromamba-install.js";
export type { NodeOptions } from "./image/steps/node.js";
export type { NpmInstallOptions } from "./image/steps/npm-install.js";
export type { PipInstallOptions } from "./image/steps/pip-install.js";
export type { PipInstallFromPyprojectOptions } from "./image/steps/pip-install-from-pyproject.js";
export type { PipInstallFromRequirementsOptions } from "./image/steps/pip-install-from-requirements.js";
export type { PipInstallPrivateReposOptions } from "./image/steps/pip-install-private-repos.js";
export type { PnpmInstallOptions } from "./image/steps/pnpm-install.js";
export type { PoetryInstallFromFileOptions } from "./image/steps/poetry-install-from-file.js";
export type { RunCommandsOptions } from "./image/steps/run-commands.js";
export type { UvPipInstallOptions } from "./image/steps/uv-pip-install.js";
export type { UvSyncOptions } from "./image/steps/uv-sync.js";
export type { ReadFile, ToModalLayersOptions } from "./image/to-modal-layers.js";
export type { BuildRecord, OutputRecord, StepRecord } from "./model/build-record.js";
export type { Cause } from "./model/cause.js";
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
export type { ExplainedBuild, ExplainedStep, Explanation } from "./model/explanation.js";
export type {
  BaseFact,
  Facts,
  ForceFact,
  FrontendFact,
  LayoutBaseFact,
  RegistryBaseFact,
  TreeFact,
} from "./model/facts.js";
export type { Forecast, StepForecast, TreeForecast } from "./model/forecast.js";
export type {
  BaseNeed,
  CaBundleNeed,
  DeviceNeed,
  FileNeed,
  LayoutBaseNeed,
  ListingNeed,
  Needs,
  RegistryAuth,
  RegistryBaseNeed,
  RootfsBaseNeed,
  SecretNeed,
  StoredBaseNeed,
  TreeNeed,
} from "./model/needs.js";
export type { Plan, PlanCommand, PlanStep } from "./model/plan.js";
export type { SecretOrigin, SecretVariable } from "./model/secret.js";
export type { PlanCopy, TreeWay } from "./model/tree-way.js";
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
