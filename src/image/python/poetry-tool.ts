import { formatPlatform } from "../../oci/platform.js";
import type { CacheMount, LowerContext } from "../lower-context.js";
import { findPython, giveUp, needPip } from "./find-python.js";
import { pipCache, pipEnv } from "./pip-run.js";

/** What a command needs to run Poetry. */
export interface PoetryTool {
  /** Lines of a shell script that define the command `run_poetry`. */
  readonly script: readonly string[];
  readonly env: readonly (readonly [string, string])[];
  readonly caches: readonly CacheMount[];
}

const home = "/run/kiln/poetry";

/**
 * Poetry of a version for a command: in a virtual environment of its own in a cache mount, which installs into the
 * image's Python; `null` = the Poetry that the image has.
 */
export function poetryTool(call: string, version: string | null, context: LowerContext): PoetryTool {
  const platform = formatPlatform(context.platform);
  const env = [
    ["POETRY_VIRTUALENVS_CREATE", "false"],
    ["POETRY_CACHE_DIR", "/root/.cache/pypoetry"],
    ["POETRY_KEYRING_ENABLED", "false"],
    ...pipEnv,
  ] as const;
  const cache: CacheMount = {
    target: "/root/.cache/pypoetry",
    id: `kiln-poetry-cache-${platform}`,
    sharing: "shared",
  };
  if (version === null) {
    const none = giveUp(
      `${call} was told of a Poetry in the image (poetryVersion: null), and there is none on its PATH.`,
      127,
    );
    const script = [`command -v poetry >/dev/null || ${none}`, 'run_poetry() { poetry "$@"; }'];
    return { script, env, caches: [cache] };
  }
  return {
    script: [findPython(call), needPip(call), fetchPoetry(call, version)],
    env,
    caches: [
      { target: home, id: `kiln-poetry-${version}-${platform}`, sharing: "shared" },
      pipCache(context),
      cache,
    ],
  };
}

// One environment a build of Python: it is bound to that Python's path and ABI. The file poetry_env tells old versions
// that this environment is Poetry's own. A virtual environment that is first on the PATH is the target itself.
function fetchPoetry(call: string, version: string): string {
  const none = giveUp(
    `${call} could not install Poetry ${version} from the package index: for a mirror, pass env: { PIP_INDEX_URL: … }; for certificates of your own, caBundle; for a Poetry in the image, poetryVersion: null.`,
    1,
  );
  const key =
    "import hashlib, sys, sysconfig; print(hashlib.sha256(repr((sys.version, sys.base_prefix, sysconfig.get_config_var('SOABI'))).encode()).hexdigest()[:16])";
  const target = "import sys; print(sys.prefix if sys.prefix != sys.base_prefix else '')";
  const site = "import sysconfig; print(sysconfig.get_path('purelib'))";
  const works = `"$poetry/bin/python" -c "import poetry.console.application" 2>/dev/null`;
  // Fails if another build was quicker, or if what is there is broken.
  const move = `"$py" -c "import os, sys; os.rename(*sys.argv[1:])" "$tmp/venv" "$poetry" 2>/dev/null`;
  return `poetry="${home}/$("$py" -c "${key}")"
if ! ${works}; then
  tmp="$(mktemp -d ${home}/tmp.XXXXXX)" &&
    "$py" -m venv --without-pip "$tmp/venv" &&
    touch "$tmp/venv/poetry_env" &&
    "$py" -m pip install --quiet --target "$("$tmp/venv/bin/python" -c "${site}")" poetry==${version} &&
    { ${move} || ${works} || { mv "$poetry" "$tmp/old" && mv "$tmp/venv" "$poetry"; }; } &&
    rm -rf "$tmp" || { rm -rf "$tmp"; ${none}; }
fi
target="$("$py" -c "${target}")"
if [ -n "$target" ]; then export VIRTUAL_ENV="$target"; fi
run_poetry() { "$poetry/bin/python" -m poetry "$@"; }`;
}
