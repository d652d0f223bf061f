import { formatPlatform } from "../../oci/platform.js";
import type { BuilderVersion } from "../builder-version.js";
import { argumentError, describe } from "../check-args.js";
import type { StepBase } from "../define-step.js";
import type { CacheMount, FileMount, ImageMount, LowerContext } from "../lower-context.js";
import { findPython, giveUp } from "./find-python.js";
import { pipCache, pipEnv } from "./pip-run.js";

/** Options of every step that runs uv. */
export interface UvOptions {
  /**
   * The uv that installs; default: the builder version's, whose wheel is known by its sha256. One named here is whatever
   * the package index gives.
   */
  readonly uvVersion?: string | undefined;
  /**
   * Where uv comes from: `"wheel"` (default) from the package index by the image's own pip, once a daemon; `"image"` from
   * `ghcr.io/astral-sh/uv`. In neither case does it stay in the image.
   */
  readonly uvFrom?: "wheel" | "image" | undefined;
}

/** Keys of {@link UvOptions}. */
export const uvOptionKeys: readonly string[] = ["uvVersion", "uvFrom"];

/** {@link UvOptions} checked. */
export interface CheckedUvOptions {
  readonly uvVersion: string | undefined;
  readonly uvFrom: "wheel" | "image";
}

/** Checks which uv is wanted; throws `ERR_KILN_INVALID_ARGUMENT` with the user's call site. */
export function checkUvOptions(call: string, options: UvOptions | undefined): CheckedUvOptions {
  const { uvVersion, uvFrom = "wheel" } = options ?? {};
  const isVersion = typeof uvVersion === "string" && /^\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?$/.test(uvVersion);
  if (uvVersion !== undefined && !isVersion) {
    throw argumentError(call, `uvVersion must be a full version, got ${describe(uvVersion)}`, {
      hint: 'Write uvVersion: "0.9.1", or leave it out for the one that the builder version pins.',
    });
  }
  if (uvFrom !== "wheel" && uvFrom !== "image") {
    throw argumentError(call, `uvFrom must be "wheel" or "image", got ${describe(uvFrom)}`);
  }
  return { uvVersion, uvFrom };
}

/** The base that holds uv, for a step's needs; none for a wheel. */
export function uvBases(
  { uvVersion, uvFrom }: CheckedUvOptions,
  builder: BuilderVersion,
): Readonly<Record<string, StepBase>> {
  if (uvFrom === "wheel") return {};
  const ref = `ghcr.io/astral-sh/uv:${uvVersion ?? builder.uv.version}`;
  return { uv: { kind: "registry", ref } };
}

/** The line of Modal's Dockerfile that brings uv into the image. */
export function modalUvCopy({ uvVersion = "latest" }: CheckedUvOptions): string {
  return `COPY --from=ghcr.io/astral-sh/uv:${uvVersion} /uv /.uv/uv`;
}

/** What a command needs to run uv. */
export interface UvTool {
  /** A shell script that runs uv with these arguments, in which `$py` is the image's Python. */
  readonly script: (args: string) => string;
  readonly env: readonly (readonly [string, string])[];
  readonly caches: readonly CacheMount[];
  readonly files: readonly FileMount[];
  readonly images: readonly ImageMount[];
}

const home = "/run/kiln/uv";
const pins = "/run/kiln/uv.txt";

/**
 * uv for a command: out of a cache mount that all builds on the daemon share, where the first one puts it, or out of its
 * image. The wheel is fetched by pip, so that mirrors and certificates which pip is told of are used.
 */
export function uvTool(call: string, { uvVersion, uvFrom }: CheckedUvOptions, context: LowerContext): UvTool {
  const { version: pinned, wheels } = context.builder.uv;
  const version = uvVersion ?? pinned;
  const platform = formatPlatform(context.platform);
  const env = [
    ["UV_CACHE_DIR", "/root/.cache/uv"],
    // Debian's own Python is as good as any in an image that has nothing else.
    ["UV_BREAK_SYSTEM_PACKAGES", "1"],
    ["UV_PYTHON_DOWNLOADS", "never"],
    // As patient with an index as pip is.
    ["UV_HTTP_CONNECT_TIMEOUT", "30"],
    ["UV_HTTP_RETRIES", "5"],
    ...pipEnv,
  ] as const;
  const cache: CacheMount = {
    target: "/root/.cache/uv",
    id: `kiln-uv-cache-${platform}`,
    sharing: "shared",
  };
  if (uvFrom === "image") {
    const images = [{ target: home, image: "uv", from: "/uv" }];
    const script = (args: string): string => uvScript(call, `uv=${home}`, args);
    return { script, env, caches: [cache], files: [], images };
  }
  const isPinned = version === pinned;
  const line = [`uv==${version}`, ...(isPinned ? wheels.map((hash) => `--hash=sha256:${hash}`) : [])];
  return {
    script: (args) => uvScript(call, fetchUv(call, version, isPinned), args),
    env,
    caches: [
      { target: home, id: `kiln-uv-${version}-${platform}`, sharing: "shared" },
      pipCache(context),
      cache,
    ],
    files: [{ target: pins, content: `${line.join(" \\\n    ")}\n` }],
    images: [],
  };
}

// uv leaves the files by which its processes wait for one another.
function uvScript(call: string, findUv: string, args: string): string {
  return `${findPython(call)}\n${findUv}\n"$uv" ${args} && rm -f "\${TMPDIR:-/tmp}"/uv-*.lock`;
}

// Images with glibc and with musl share the mount. A uv of a virtual environment's Python has no pip beside it, so
// that of the Python below is taken. The move makes it whole at once for others who wait for it.
function fetchUv(call: string, version: string, isPinned: boolean): string {
  const noPip = giveUp(
    `${call} fetches uv ${version} with pip, and the image's Python has none: start from Image.debianSlim() or Image.fromRegistry(ref, { addPython: "3.13" }), or pass uvFrom: "image".`,
    127,
  );
  const noUv = giveUp(
    `${call} could not fetch uv ${version} from the package index: for a mirror, pass env: { PIP_INDEX_URL: … }; for certificates of your own, caBundle; or take uvFrom: "image".`,
    1,
  );
  const flags = ["--quiet", "--no-deps", "--only-binary", ":all:", ...(isPinned ? ["--require-hashes"] : [])];
  return `case "$(ls /lib 2>/dev/null)" in *ld-musl-*) uv=${home}/musl/uv ;; *) uv=${home}/gnu/uv ;; esac
case "$("$uv" --version 2>/dev/null)" in
"uv ${version}" | "uv ${version} "*) ;;
*)
  pip=
  for p in "$py" "$("$py" -c 'import sys; print(sys.base_prefix)')/bin/python3" /usr/local/bin/python3 /usr/bin/python3; do
    if "$p" -c 'import pip' 2>/dev/null; then pip="$p"; break; fi
  done
  [ -n "$pip" ] || ${noPip}
  if [ -z "\${PIP_INDEX_URL:-}" ] && [ -n "\${UV_DEFAULT_INDEX:-}" ]; then export PIP_INDEX_URL="$UV_DEFAULT_INDEX"; fi
  tmp="$(mktemp -d ${home}/tmp.XXXXXX)" &&
    "$pip" -m pip install ${flags.join(" ")} --target "$tmp" -r ${pins} &&
    mkdir -p "\${uv%/uv}" &&
    mv -f "$tmp/bin/uv" "$uv" &&
    rm -rf "$tmp" || { rm -rf "$tmp"; ${noUv}; }
  ;;
esac`;
}
