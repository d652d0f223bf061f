import type { CallSite, KilnErrorCode } from "../errors.js";
import { RpcError } from "../rpc/rpc-error.js";
import { type FailedSource, failedSource } from "./failed-source.js";
import { type FailedOp, SolveError } from "./solve-error.js";
import type { StatusTracker } from "./status-tracker.js";

interface Meaning {
  readonly pattern: RegExp;
  readonly code: KilnErrorCode;
  readonly hint: string;
}

// The daemon has no codes for these: the status is mostly Unknown, so its fixed phrases decide.
const meanings: readonly Meaning[] = [
  {
    pattern: /unknown entitlement/,
    code: "ERR_KILN_UNSUPPORTED",
    hint: "Check the entitlement's name. `device` came with BuildKit 0.20.",
  },
  {
    pattern: /requested by the build but not allowed|is not allowed|entitlement/i,
    code: "ERR_KILN_ENTITLEMENT",
    hint: "Allow it on both sides: in the build's entitlements, and in the daemon's insecure-entitlements (Docker: builder.entitlements).",
  },
  {
    pattern: /invalid frontend: /,
    code: "ERR_KILN_UNSUPPORTED",
    hint: "Allow the frontend in the daemon's configuration, or use a daemon that has it.",
  },
  {
    pattern: /digest mismatch sha256:|expected checksum to match/i,
    code: "ERR_KILN_DIGEST_MISMATCH",
    hint: "The source is another one than was pinned: lock it again if that is right.",
  },
  {
    pattern: /unknown cache (?:exporter|importer)/,
    code: "ERR_KILN_UNSUPPORTED",
    hint: "This daemon was built without that kind of cache; a Docker's has registry, local, inline and gha.",
  },
  {
    pattern: /\bx509: |tls: failed to verify certificate/,
    code: "ERR_KILN_UNTRUSTED_CERTIFICATE",
    hint:
      "It is the daemon that does not trust that server. Give the daemon the certificate authority: Docker " +
      '/etc/docker/certs.d/HOST/ca.crt, BuildKit ca = ["FILE"] under [registry."HOST"], or its machine\'s own list.',
  },
  {
    pattern: /pull access denied|authorization failed|401 Unauthorized|insufficient_scope|no basic auth/i,
    code: "ERR_KILN_UNAUTHORIZED",
    hint: "Log in to the registry (`docker login HOST`), or pass credentials.",
  },
  {
    pattern:
      /manifest unknown|failed to resolve source metadata|does not exist or may require|\S\/\S+[:@]\S+: not found$/i,
    code: "ERR_KILN_IMAGE_NOT_FOUND",
    hint: "Check the image's name and tag, and that the daemon reaches its registry.",
  },
  {
    pattern:
      /requested experimental feature \S+ (is not supported|has been disabled)|unknown (API )?capability/i,
    code: "ERR_KILN_UNSUPPORTED",
    hint: "The daemon is too old for a feature that this build uses: leave it out, or use a newer BuildKit.",
  },
];

/**
 * Makes a {@link SolveError} of what a Solve call rejected with.
 *
 * The failed op, its exit code and its last output come from the error's typed details where the daemon sent
 * them, else from the status stream. A lost connection and the like stay what they are. Values of secrets are masked, in
 * the cause as well.
 */
export function solveErrorFrom(error: unknown, tracker: StatusTracker): unknown {
  if (!(error instanceof RpcError)) return error;
  if (error.code !== "ERR_KILN_RPC") return error;
  const vertex = detailVertex(error) ?? tracker.firstFailed();
  const exitCode = detailExitCode(error) ?? textExitCode(error.message);
  const vertexName = vertex === undefined ? undefined : tracker.nameOf(vertex);
  const logTail = vertex === undefined ? [] : tracker.logTail(vertex);
  const meaning =
    exitCode === undefined ? meanings.find(({ pattern }) => pattern.test(error.message)) : undefined;
  const code = exitCode !== undefined ? "ERR_KILN_STEP_FAILED" : (meaning?.code ?? "ERR_KILN_SOLVE_FAILED");
  const sources = detailSources(error);
  const message = tracker.mask(error.message);
  return new SolveError(code, `${placeText(sources)}${message}`, {
    cause: message === error.message ? error : withMessage(error, message),
    sources,
    vertex,
    vertexName,
    exitCode,
    logTail,
    logClips: vertex === undefined ? [] : tracker.logClips(vertex),
    hint: meaning?.hint ?? error.hint,
    failedOp: detailOp(error),
  });
}

/** Without the details and the cause: they say the same as the message. */
function withMessage({ status, hint }: RpcError, message: string): RpcError {
  return new RpcError("ERR_KILN_RPC", message, { status, hint, details: [] });
}

function detailOp(error: RpcError): FailedOp | undefined {
  for (const detail of error.details) {
    if (detail.kind !== "solve") continue;
    const { inputIds, mountIds, op } = detail;
    return { inputIds, mountIds, op };
  }
  return undefined;
}

// The daemon adds a detail for each place as the error travels outwards: the op's own comes last.
function detailSources(error: RpcError): readonly FailedSource[] {
  return error.details
    .flatMap((detail) => (detail.kind === "source" ? [failedSource(detail)] : []))
    .reverse();
}

function placeText([source]: readonly FailedSource[]): string {
  const line = source?.ranges[0]?.startLine ?? 0;
  return source === undefined || source.filename === "" || line < 1 ? "" : `${source.filename}:${line}: `;
}

function detailVertex(error: RpcError): string | undefined {
  for (const detail of error.details) if (detail.kind === "vertex") return detail.digest;
  return undefined;
}

function detailExitCode(error: RpcError): number | undefined {
  for (const detail of error.details) if (detail.kind === "exitMessage") return detail.exitCode;
  return undefined;
}

function textExitCode(message: string): number | undefined {
  const match = /exit code: (\d+)$/.exec(message);
  return match === null ? undefined : Number(match[1]);
}

/**
 * The error for a Dockerfile that the daemon's frontend refused, with the step that has it and the line, where it is
 * known.
 */
export function dockerfileErrorFrom(
  error: unknown,
  { title, location }: { readonly title: string; readonly location: CallSite | undefined },
): unknown {
  if (!(error instanceof RpcError) || error.code !== "ERR_KILN_RPC") return error;
  const meaning = meanings.find(({ pattern }) => pattern.test(error.message));
  const sources = detailSources(error);
  return new SolveError(
    meaning?.code ?? "ERR_KILN_SOLVE_FAILED",
    `${title}: ${placeText(sources)}${error.message}`,
    { cause: error, location, sources, hint: meaning?.hint ?? "Correct the Dockerfile." },
  );
}

/** The error for a base image that the daemon could not resolve, with the place that named it. */
export function baseErrorFrom(error: unknown, ref: string, location: CallSite | undefined): unknown {
  if (!(error instanceof RpcError) || error.code !== "ERR_KILN_RPC") return error;
  const meaning = meanings.find(({ pattern }) => pattern.test(error.message));
  return new SolveError(
    meaning?.code ?? "ERR_KILN_SOLVE_FAILED",
    `cannot resolve the base ${ref}: ${error.message}`,
    {
      cause: error,
      location,
      hint: meaning?.hint ?? "Check the image's name, and that the daemon reaches its registry.",
    },
  );
}
