import { spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type StepServer, type StepServerOptions, serveSteps } from "./step-server.js";
import { moduleName } from "./wheel.js";

/**
 * Serves the repositories of a directory (see `Repository` of `moving-sources.ts`) by git's smart HTTP, through
 * `git http-backend`. A repository's URL is `URL/NAME`; with a work tree, `URL/NAME/.git` serves as well.
 */
export function startGitServer(dir: string, options: StepServerOptions = {}): Promise<StepServer> {
  return serveSteps(options, (request, response) => runBackend(dir, request, response));
}

/** Files of a Python package that pip builds from its repository with nothing but Python: no setuptools, no index. */
export function pythonRepositoryFiles(name: string, version: string): Record<string, string> {
  const module = moduleName(name);
  return {
    "pyproject.toml":
      `[project]\nname = ${JSON.stringify(name)}\nversion = ${JSON.stringify(version)}\n\n` +
      `[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n`,
    [`${module}/__init__.py`]: `__version__ = ${JSON.stringify(version)}\n`,
    "backend.py": `import os, zipfile

STEM = "${module}-${version}"

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = STEM + "-py3-none-any.whl"
    info = STEM + ".dist-info/"
    files = {
        "${module}/__init__.py": open("${module}/__init__.py").read(),
        info + "METADATA": "Metadata-Version: 2.1\\nName: ${name}\\nVersion: ${version}\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[info + "RECORD"] = "".join(path + ",,\\n" for path in [*files, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
`,
  };
}

/** One request of CGI. */
function runBackend(dir: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, search } = new URL(request.url ?? "/", "http://x");
  const { headers } = request;
  const variables = {
    GIT_PROJECT_ROOT: dir,
    GIT_HTTP_EXPORT_ALL: "1",
    // The server's owner and the repositories' may differ, as in containers.
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory",
    GIT_CONFIG_VALUE_0: "*",
    PATH_INFO: decodeURIComponent(pathname),
    QUERY_STRING: search.slice(1),
    REQUEST_METHOD: request.method ?? "GET",
    CONTENT_TYPE: headers["content-type"] ?? "",
    HTTP_CONTENT_ENCODING: headers["content-encoding"] ?? "",
    GIT_PROTOCOL: String(headers["git-protocol"] ?? ""),
  };
  return new Promise((resolve, reject) => {
    const child = spawn("git", ["http-backend"], {
      env: { ...process.env, ...variables },
      stdio: ["pipe", "pipe", "ignore"],
    });
    child.once("error", reject);
    request.pipe(child.stdin).on("error", () => {});
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      child.stdout.off("data", onData);
      for (const line of head.subarray(0, end).toString().split("\r\n")) {
        const [, name = "", value = ""] = /^([^:]+): *(.*)$/.exec(line) ?? [];
        if (name === "Status") response.statusCode = Number.parseInt(value, 10);
        else response.setHeader(name, value);
      }
      response.write(head.subarray(end + 4));
      child.stdout.pipe(response);
    };
    child.stdout.on("data", onData);
    response.once("close", () => {
      child.kill();
      resolve();
    });
    child.once("close", (code) => {
      if (!response.headersSent) reject(new Error(`git http-backend ended with ${code}`));
    });
  });
}
