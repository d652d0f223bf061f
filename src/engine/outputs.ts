export {
  type Compression,
  type DockerTarOptions,
  type DockerTarOutput,
  dockerTar,
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
  type TarOutput,
} from "../solver/outputs.js";
export { classicStoreHint } from "../solver/preflight.js";
export { type FailedStep, SolveError, type SolveErrorOptions } from "../solver/solve-error.js";
