export {
  type FileInfoOptions,
  type ImageBlobOptions,
  imageBlob,
  type OciLayoutBlobOptions,
  ociLayoutBlob,
} from "./blob.js";
export type { BuildOptions } from "./build.js";
export type { ConstraintOptions, LinuxResources, ProgressGroup } from "./constraints.js";
export { decodeDefinition } from "./decode-definition.js";
export { Definition } from "./definition.js";
export { type DefinitionJson, definitionFromJson, definitionToJson, type OpJson } from "./definition-json.js";
export { diff } from "./diff.js";
export type { EncodedOp } from "./encoded-op.js";
export type {
  CacheSharing,
  MountOptions,
  NetworkMode,
  ProxyEnv,
  RunDevice,
  RunMount,
  RunOptions,
  RunSecret,
  RunSsh,
  SecurityMode,
} from "./exec-options.js";
export { ExecState } from "./exec-state.js";
export {
  type CopyInput,
  type CopyOptions,
  copy,
  FileAction,
  type FileActionWithState,
  type MkdirOptions,
  type MkfileOptions,
  mkdir,
  mkfile,
  type RmOptions,
  rm,
  type SymlinkOptions,
  symlink,
} from "./file-action.js";
export type { FileOwner } from "./file-owner.js";
export { fromDefinition } from "./from-definition.js";
export { type GitBundle, type GitOptions, type GitSignature, git } from "./git.js";
export { type HttpHeader, type HttpOptions, type HttpSignature, http } from "./http.js";
export { type ImageOptions, image } from "./image.js";
export { type LocalOptions, local } from "./local.js";
export { type MarshalOptions, marshal } from "./marshal.js";
export { merge } from "./merge.js";
export { type OciLayoutOptions, ociLayout } from "./oci-layout.js";
export type { OpMetadataFields, SourceMapFields } from "./op-fields.js";
export type { PassthroughInput } from "./passthrough.js";
export { passthrough } from "./passthrough-states.js";
export { shlex } from "./shlex.js";
export {
  type SourceLocation,
  type SourceMap,
  type SourceMapOptions,
  type SourcePosition,
  type SourceRange,
  sourceMap,
} from "./source-map.js";
export { State, type StateOption, scratch } from "./state.js";
export { toDot } from "./to-dot.js";
export { type TextOptions, toText } from "./to-text.js";
export type { VertexInfo, VertexInput, VertexKind } from "./vertex-info.js";
