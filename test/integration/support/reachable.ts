import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { rootCertificates } from "node:tls";
import { Engine, Image } from "../../../src/index.js";
import type { TestEngine } from "./engines.js";

const patienceMs = 15_000;

/** What is asked for in an index: something that each has. */
const probes = {
  pypi: () => new URL("pip/", `${pypiUrl()}/`).href,
  npm: () => new URL("npm", npmUrl()).href,
} as const;

/** An index of packages that tests may need. */
export type PublicIndex = keyof typeof probes;

const known = new Map<string, Promise<string | undefined>>();

/** The simple index that this machine's pip asks, without a slash at the end. */
export function pypiUrl(): string {
  const set = process.env["PIP_INDEX_URL"] ?? output("pip", ["config", "get", "global.index-url"]);
  return (set || "https://pypi.org/simple").replace(/\/+$/, "");
}

/** The registry that this machine's npm asks, with a slash at the end: npm has a default of its own. */
export function npmUrl(): string {
  return `${output("npm", ["config", "get", "registry"]).replace(/\/+$/, "")}/`;
}

/** Why this process does not reach PyPI; `undefined` if it does. Asked once a process. */
export function noPypi(): Promise<string | undefined> {
  return once("pypi", () => probeHere(probes.pypi()));
}

/** Why this process does not reach npm's registry; `undefined` if it does. Asked once a process. */
export function noNpm(): Promise<string | undefined> {
  return once("npm", () => probeHere(probes.npm()));
}

/**
 * Why build steps on an engine do not reach an index, with this machine's authorities; `undefined` if they do. Asked
 * once a process and engine. A reason is for `ctx.skip(reason)`.
 */
export function unreachableFromSteps(index: PublicIndex, engine: TestEngine): Promise<string | undefined> {
  return once(`${index} ${engine.name}`, async () => {
    const here = await (index === "pypi" ? noPypi() : noNpm());
    if (here !== undefined) return here;
    return probeFromStep(probes[index](), engine);
  });
}

/** The file of authorities that this machine trusts beyond those that images bring; `undefined` if there is none. */
export function authoritiesFile(): string | undefined {
  const path = process.env["SSL_CERT_FILE"] ?? process.env["NODE_EXTRA_CA_CERTS"];
  return path !== undefined && existsSync(path) ? path : undefined;
}

/**
 * An image whose later steps trust what this machine trusts: behind a proxy that opens TLS they reach no public index
 * otherwise. The file stays in the image. Nothing is added where the machine has no authorities of its own.
 */
export function trustingThisMachine(image: Image): Image {
  const file = authoritiesFile();
  return file === undefined ? image : trusting(image, file);
}

/** An image whose later steps trust the authorities of a PEM file, whatever program asks. The file stays in the image. */
export function trusting(image: Image, file: string): Image {
  const path = "/etc/kiln-test-authorities.pem";
  return image
    .addLocalFile(file, path, { copy: true })
    .env(Object.fromEntries(authorityVariables.map((name) => [name, path])));
}

/** Where programs look for a file of authorities: OpenSSL, uv and Go; pip; Python's requests; Node; curl; git. */
const authorityVariables = [
  "SSL_CERT_FILE",
  "PIP_CERT",
  "REQUESTS_CA_BUNDLE",
  "NODE_EXTRA_CA_CERTS",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
];

function once(key: string, probe: () => Promise<string | undefined>): Promise<string | undefined> {
  const found = known.get(key) ?? probe();
  known.set(key, found);
  return found;
}

/** Why this process does not reach a URL, trusting what the machine trusts; `undefined` if it does. */
export function probeHere(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    if (!/^https?:/.test(url)) {
      resolve(`${url} is not on the network`);
      return;
    }
    const file = authoritiesFile();
    const ca = file === undefined ? undefined : [...rootCertificates, readFileSync(file, "utf8")];
    const signal = AbortSignal.timeout(patienceMs);
    const call = url.startsWith("https:")
      ? requestHttps(url, { method: "HEAD", signal, ...(ca === undefined ? {} : { ca }) })
      : requestHttp(url, { method: "HEAD", signal });
    call.once("error", (error) => resolve(`${url} cannot be reached: ${error.message}`));
    call.once("response", ({ statusCode = 0 }) => {
      resolve(statusCode < 400 ? undefined : `${url} answers ${statusCode}`);
      call.destroy();
    });
    call.end();
  });
}

const askFromStep = `import sys, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=${patienceMs / 1000})
    print("reached")
except Exception as error:
    print("reason:", error)
`;

/** Why steps on an engine do not reach a URL, trusting what the machine trusts; `undefined` if they do. */
export async function probeFromStep(url: string, { address, name }: TestEngine): Promise<string | undefined> {
  const engine = await Engine.connect({ host: address });
  try {
    const image = trustingThisMachine(Image.fromRegistry("python:3.13.3-slim-bookworm")).runCommands(
      `python -c '${askFromStep}' '${url}' # ${Date.now()}`,
    );
    const build = engine.build(image);
    let said = "";
    for await (const event of build) if (event.type === "log") said += event.text;
    await build.result;
    if (/^reached$/m.test(said)) return undefined;
    return `steps on the ${name} engine do not reach ${url}: ${/reason: (.*)/.exec(said)?.[1] ?? said}`;
  } finally {
    await engine.close();
  }
}

function output(command: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : "";
}
