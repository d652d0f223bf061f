import { KilnError } from "../errors.js";
import { captureCallSite } from "../internal/call-site.js";
import { checkOptions } from "../internal/check-options.js";
import type { Platform } from "../oci/platform.js";
import { capability } from "./capabilities.js";
import {
  type ConstraintOptions,
  type Constraints,
  constraintKeys,
  resolveConstraints,
} from "./constraints.js";
import { Definition } from "./definition.js";
import { DigestMap } from "./digest-map.js";
import { writeOp } from "./encode-op.js";
import type { EncodedOp } from "./encoded-op.js";
import { fileCaps } from "./file-caps.js";
import { fileInputs } from "./file-node.js";
import { execInputs, lowerExec, outputIndex } from "./lower-exec.js";
import { lowerFile } from "./lower-file.js";
import type { InputFields, OpFields, OpMetadataFields, PlatformFields } from "./op-fields.js";
import { MetadataPool, mergeMetadata } from "./op-metadata.js";
import { createOpWriter, storeOp } from "./op-store.js";
import type { SourceLocation } from "./source-map.js";
import { circularSourceMap, SourceMapCollector } from "./source-map-collector.js";
import { type HasStateProps, propsOf, usableOutput } from "./state-props.js";
import type { Output, SourceNode, Vertex } from "./vertex.js";

/** Options of {@link marshal}: constraints of every op that does not say otherwise, and what the daemon can do. */
export interface MarshalOptions extends ConstraintOptions {
  /**
   * Ids of the daemon's capabilities, where they are known. A command then relies on the daemon's default PATH, or
   * gets one from here if the daemon has none.
   */
  readonly supportedCaps?: ReadonlySet<string> | undefined;
}

const linuxAmd64: Platform = Object.freeze({ os: "linux", architecture: "amd64" });

/**
 * Encodes the graph that makes a state.
 *
 * A pure function: the same state and options give the same bytes, on every machine. The platform defaults to
 * `linux/amd64`, never to that of the client. Takes time in proportion to the number of ops and never recurses over
 * their depth.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT`, also for a `local()` with neither `sessionId` nor `localUniqueId`, and
 * `ERR_KILN_UNKNOWN_OPTION`.
 */
export function marshal(state: HasStateProps, options: MarshalOptions = {}): Definition {
  const call = "marshal()";
  checkOptions(call, options, ["supportedCaps", ...constraintKeys]);
  const { output } = propsOf(call, "state", state);
  usableOutput(call, "the state", output);
  const base = resolveConstraints(call, options);
  return marshalOutput(output, { base, supportedCaps: options.supportedCaps, open: new Set() });
}

interface MarshalContext {
  readonly base: Constraints;
  readonly supportedCaps: ReadonlySet<string> | undefined;
  /** Outputs whose graphs are being marshalled, one within the other: source files in states. */
  readonly open: ReadonlySet<Output>;
}

function marshalOutput(output: Output | undefined, context: MarshalContext): Definition {
  if (output === undefined) return new Definition({ ops: [], metadata: new Map(), source: undefined });
  if (context.open.has(output)) throw circularSourceMap();
  const graph = new Marshaller(context);
  graph.addAll(output.vertex);
  return graph.finish(output, (state) =>
    marshalOutput(propsOf("marshal()", "state", state).output, {
      ...context,
      open: new Set([...context.open, output]),
    }),
  );
}

interface LoweredOp {
  readonly fields: OpFields;
  readonly caps: readonly string[];
}

const none: readonly never[] = Object.freeze([]);
const plainFileCaps: readonly string[] = Object.freeze([capability.file]);

class Marshaller {
  readonly #context: MarshalContext;
  readonly #done = new Map<Vertex, EncodedOp>();
  readonly #ops: EncodedOp[] = [];
  readonly #metadata = new DigestMap<OpMetadataFields>();
  readonly #pool = new MetadataPool();
  readonly #sources = new SourceMapCollector();
  readonly #unsentCaps = new Set<string>();
  readonly #platforms = new Map<Platform, PlatformFields>();

  readonly #target: { readonly supportedCaps: ReadonlySet<string> | undefined; readonly os: string };

  constructor(context: MarshalContext) {
    this.#context = context;
    const { supportedCaps, base } = context;
    this.#target = { supportedCaps, os: (base.platform ?? linuxAmd64).os };
  }

  /** Encodes a vertex after all that it depends on, with a stack of its own: graphs are deeper than call stacks. */
  addAll(last: Vertex): void {
    const pending: Vertex[] = [last];
    // For every pending vertex whether its inputs have been put on the stack.
    const opened: boolean[] = [false];
    while (pending.length > 0) {
      const top = pending.length - 1;
      const vertex = pending[top] as Vertex;
      if (opened[top] === true) {
        pending.length = top;
        opened.length = top;
        if (!this.#done.has(vertex)) this.#add(vertex);
        continue;
      }
      opened[top] = true;
      const inputs = inputsOf(vertex);
      for (let index = inputs.length - 1; index >= 0; index -= 1) {
        const input = (inputs[index] as Output).vertex;
        if (this.#done.has(input)) continue;
        pending.push(input);
        opened.push(false);
      }
    }
  }

  finish(output: Output, marshalState: (state: HasStateProps) => Definition): Definition {
    const last = encode({ inputs: [this.#resolve(output)] });
    this.#ops.push(last);
    const caps: Record<string, boolean> = { [capability.constraints]: true, [capability.platform]: true };
    for (const metadata of new Set(this.#metadata.values())) {
      if (metadata.ignoreCache === true) caps[capability.ignoreCache] = true;
      const description = metadata.description;
      if (description !== undefined && Object.keys(description).length > 0)
        caps[capability.description] = true;
      if (metadata.exportCache !== undefined) caps[capability.exportCache] = true;
    }
    this.#metadata.set(last.digest, { ...this.#metadata.get(last.digest), caps });
    return new Definition({
      ops: this.#ops,
      metadata: this.#metadata,
      source: this.#sources.finish(marshalState),
      vertices: this.#done,
      unsentCaps: this.#unsentCaps,
    });
  }

  readonly #resolve = (output: Output): InputFields => {
    const op = this.#done.get(output.vertex);
    if (op === undefined) throw new TypeError("an input is used before it is encoded");
    const index = output.vertex.kind === "exec" ? outputIndex(output.vertex, output.mount) : output.index;
    return { digest: op.digest, index };
  };

  #add(vertex: Vertex): void {
    if (vertex.kind === "definition") {
      this.#record(vertex, vertex.op, vertex.metadata, vertex.locations);
      return;
    }
    const own = vertex.constraints;
    const { fields, caps } = this.#lower(vertex);
    const metadata = this.#pool.of(this.#context.base, own, caps);
    this.#record(vertex, encode(fields), metadata, own.locations);
  }

  #record(
    vertex: Vertex,
    op: EncodedOp,
    metadata: OpMetadataFields,
    locations: readonly SourceLocation[],
  ): void {
    this.#done.set(vertex, op);
    if (locations.length > 0) this.#sources.add(op.digest, locations);
    const known = this.#metadata.get(op.digest);
    if (known === metadata) return;
    this.#metadata.set(op.digest, known === undefined ? metadata : mergeMetadata(known, metadata));
    if (known === undefined) this.#ops.push(op);
  }

  #lower(vertex: Exclude<Vertex, { kind: "definition" }>): LoweredOp {
    const constraints = this.#filters(vertex.constraints);
    switch (vertex.kind) {
      case "source":
        return this.#lowerSource(vertex, constraints);
      case "exec": {
        const platform = this.#platform(vertex.constraints.platform ?? vertex.container.platform);
        const { inputs, exec, caps } = lowerExec(vertex, this.#resolve, this.#target);
        return { fields: { inputs, platform, constraints, op: { case: "exec", value: exec } }, caps };
      }
      case "file": {
        const { inputs, file } = lowerFile(vertex, this.#resolve);
        for (const cap of fileCaps(file)) this.#unsentCaps.add(cap);
        return { fields: { inputs, constraints, op: { case: "file", value: file } }, caps: plainFileCaps };
      }
      case "merge": {
        const inputs = vertex.inputs.map(this.#resolve);
        const value = { inputs: inputs.map((_, input) => ({ input })) };
        return { fields: { inputs, constraints, op: { case: "merge", value } }, caps: none };
      }
      case "diff": {
        const inputs = inputsOf(vertex).map(this.#resolve);
        const value = { lower: { input: 0 }, upper: { input: vertex.upper === undefined ? -1 : 1 } };
        return { fields: { inputs, constraints, op: { case: "diff", value } }, caps: none };
      }
      case "passthrough": {
        const inputs = vertex.inputs.map(this.#resolve);
        const value = { id: vertex.id, outputs: vertex.outputs };
        return { fields: { inputs, constraints, op: { case: "passthrough", value } }, caps: none };
      }
      case "build": {
        const attrs: Record<string, string> =
          vertex.filename === "" ? {} : { "llbbuild.filename": vertex.filename };
        const value = { builder: -1, inputs: { "buildkit.llb.definition": { input: 0 } }, attrs };
        const inputs = [this.#resolve(vertex.source)];
        const platform = this.#platform(vertex.constraints.platform);
        return { fields: { inputs, platform, constraints, op: { case: "build", value } }, caps: none };
      }
    }
  }

  #filters(own: Constraints): NonNullable<OpFields["constraints"]> {
    const { filters } = this.#context.base;
    return { filter: own.filters.length === 0 ? filters : [...filters, ...own.filters] };
  }

  #lowerSource(node: SourceNode, constraints: OpFields["constraints"]): LoweredOp {
    const { identifier } = node;
    const platform = /^(?:docker-image|oci-layout):\/\//.test(identifier)
      ? this.#platform(node.constraints.platform)
      : undefined;
    let attrs = node.attrs;
    const caps: string[] = [];
    if (identifier.startsWith("local://") && attrs["local.session"] === undefined) {
      const unique = node.constraints.localUniqueId ?? this.#context.base.localUniqueId;
      if (unique === undefined || unique === "") throw noUniqueId(identifier);
      attrs = { ...attrs, "local.unique": unique };
      caps.push(capability.localUnique);
    }
    return { fields: { platform, constraints, op: { case: "source", value: { identifier, attrs } } }, caps };
  }

  #platform(own: Platform | undefined): PlatformFields {
    const platform = own ?? this.#context.base.platform ?? linuxAmd64;
    let fields = this.#platforms.get(platform);
    if (fields === undefined) {
      const { os, architecture, variant, osVersion, osFeatures } = platform;
      fields = {
        OS: os,
        Architecture: architecture,
        Variant: variant,
        OSVersion: osVersion,
        OSFeatures: osFeatures,
      };
      this.#platforms.set(platform, fields);
    }
    return fields;
  }
}

function encode(fields: OpFields): EncodedOp {
  const writer = createOpWriter();
  writeOp(writer, fields);
  return storeOp(writer);
}

function inputsOf(vertex: Vertex): readonly Output[] {
  switch (vertex.kind) {
    case "source":
      return [];
    case "exec":
      return execInputs(vertex);
    case "file":
      return fileInputs(vertex);
    case "merge":
    case "passthrough":
    case "definition":
      return vertex.inputs;
    case "diff":
      return vertex.upper === undefined ? [vertex.lower] : [vertex.lower, vertex.upper];
    case "build":
      return [vertex.source];
  }
}

function noUniqueId(identifier: string): KilnError {
  return new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `marshal(): ${identifier} belongs to no session and has no unique id`,
    {
      hint: "Pass sessionId to local(), or localUniqueId to marshal(): a new one for every build.",
      location: captureCallSite(),
    },
  );
}
