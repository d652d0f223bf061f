import { checkOptions } from "../../internal/check-options.js";
import { checkName, checkRecord, wrongArgument } from "../../llb/check-argument.js";
import { Definition } from "../../llb/definition.js";
import { type DockerfileOptions, dockerfileRequest } from "./dockerfile-options.js";

/** A solve by the daemon's own Dockerfile frontend. */
export interface DockerfileSolve {
  readonly frontend: "dockerfile.v0";
  readonly frontendOptions?: DockerfileOptions | undefined;
  /** Graphs in place of local trees, by name: `context`, `dockerfile`, and what `input:NAME` names. */
  readonly frontendInputs?: Readonly<Record<string, Definition>> | undefined;
}

/** A solve by any other frontend. */
export interface FrontendSolve {
  /** Most of all `gateway.v0`, which runs the frontend in the image that the option `source` names. */
  readonly frontend: "gateway.v0" | (string & {});
  /** As the frontend takes them, e.g. `{ source: "docker/dockerfile:1", "build-arg:A": "1" }`. */
  readonly frontendOptions?: Readonly<Record<string, string>> | undefined;
  /** Graphs for the frontend, by the names that its options use. */
  readonly frontendInputs?: Readonly<Record<string, Definition>> | undefined;
}

/** A frontend and all that it is told: what the daemon's request says of it. */
export interface FrontendRequest {
  readonly frontend: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, Definition>>;
}

/** Options that settings of the solve stand for, and those settings. */
const owned: Readonly<Record<string, string>> = {
  "cache-imports": "cacheImports",
  "attest:provenance": "attestations",
  "attest:sbom": "attestations",
};

/** The request for a checked call. Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`. */
export function frontendRequest(call: string, what: DockerfileSolve | FrontendSolve): FrontendRequest {
  checkOptions(call, what, ["frontend", "frontendOptions", "frontendInputs"]);
  const frontend = checkName(call, "frontend", what.frontend);
  const inputs: Record<string, Definition> = {};
  for (const [name, input] of Object.entries(what.frontendInputs ?? {})) {
    if (!(input instanceof Definition)) {
      throw wrongArgument(
        call,
        `frontendInputs.${name} is no Definition`,
        "Pass what marshal(state) returned.",
      );
    }
    inputs[checkName(call, "a key of frontendInputs", name)] = input;
  }
  const options = what.frontendOptions ?? {};
  if (frontend === "dockerfile.v0") {
    const request = dockerfileRequest(call, options as DockerfileOptions);
    return { frontend, attrs: request.attrs, inputs: { ...inputs, ...request.inputs } };
  }
  const attrs = Object.fromEntries(
    checkRecord(call, "frontendOptions", options as Readonly<Record<string, string>>),
  );
  for (const [key, setting] of Object.entries(owned)) {
    if (Object.hasOwn(attrs, key)) {
      throw wrongArgument(call, `frontendOptions has the key ${key}`, `Pass the option ${setting} instead.`);
    }
  }
  if (frontend === "gateway.v0" && !Object.hasOwn(attrs, "source")) {
    throw wrongArgument(
      call,
      "gateway.v0 needs the option source",
      'Name the frontend\'s image: frontendOptions: { source: "docker/dockerfile:1" }.',
    );
  }
  return { frontend, attrs, inputs };
}
