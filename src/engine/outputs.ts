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
  ociLayout,
  ociTar,
  type Output,
  type RegistryOptions,
  type RegistryOutput,
  registry,
  type TarOutput,
} from "../solver/outputs.js";
export { type FailedStep, SolveError, type SolveErrorOptions } from "../solver/solve-error.js";
export { classicStoreHint } from "../solver/preflight.js";
