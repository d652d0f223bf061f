export { busyboxLayout } from "./busybox-layout.js";
export { debianLayout, pythonLayout } from "./debian-layout.js";
export { type EngineUpOptions, engineDown, engineStatus, engineUp, type RunningEngine } from "./engine.js";
export { type EngineKind, engineKinds } from "./engine-files.js";
export { nodeLayout } from "./node-layout.js";
export { PACKAGE_SETS } from "./package-sets.js";
export { ensurePackages, type ProvisionOptions, type UnpackedPackages } from "./packages.js";
export { defaultPrefix } from "./prefix.js";
export type { OnProgress, ProvisionEvent } from "./progress.js";
export { pushLayout } from "./push-layout.js";
export {
  type RegistryAuth,
  type RegistryUpOptions,
  type RunningRegistry,
  registryDown,
  registryStatus,
  registryUp,
} from "./registry.js";
