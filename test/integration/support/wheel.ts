import { createHash } from "node:crypto";
import { storedZip } from "./stored-zip.js";

/** A Python package that a test makes up. */
export interface PythonPackage {
  readonly name: string;
  readonly version: string;
  /** `Requires-Dist` lines, e.g. `numpy>=1`. */
  readonly requires?: readonly string[] | undefined;
  /** Requirements by extra. */
  readonly extras?: Readonly<Record<string, readonly string[]>> | undefined;
  /** E.g. `>=3.10`. */
  readonly requiresPython?: string | undefined;
  /** Commands and what they call, e.g. `{ tool: "tool.main:run" }`. */
  readonly scripts?: Readonly<Record<string, string>> | undefined;
  /** Files by path below `site-packages`. Default a module of the package's name with `__version__`. */
  readonly files?: Readonly<Record<string, string>> | undefined;
}

/** A wheel in memory. */
export interface Wheel {
  readonly fileName: string;
  readonly bytes: Buffer;
  readonly metadata: string;
}

/** Writes a package as a pure Python wheel: the same bytes for the same package. */
export function makeWheel(spec: PythonPackage): Wheel {
  const stem = `${moduleName(spec.name)}-${spec.version}`;
  const info = `${stem}.dist-info`;
  const metadata = metadataOf(spec);
  const contents: (readonly [string, Buffer])[] = [
    ...Object.entries(spec.files ?? defaultFiles(spec)),
    [`${info}/METADATA`, metadata] as const,
    [
      `${info}/WHEEL`,
      "Wheel-Version: 1.0\nGenerator: kiln-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    ] as const,
    ...(spec.scripts === undefined ? [] : [[`${info}/entry_points.txt`, entryPoints(spec.scripts)] as const]),
  ].map(([path, text]) => [path, Buffer.from(text)] as const);
  const record = contents.map(([path, content]) => {
    const hash = createHash("sha256").update(content).digest("base64url");
    return `${path},sha256=${hash},${content.length}\n`;
  });
  contents.push([`${info}/RECORD`, Buffer.from(`${record.join("")}${info}/RECORD,,\n`)]);
  return { fileName: `${stem}-py3-none-any.whl`, bytes: storedZip(contents), metadata };
}

/** A package's name as indexes spell it (PEP 503). */
export function indexName(name: string): string {
  return name.replace(/[-_.]+/g, "-").toLowerCase();
}

/** The module that a package of a name has by default. */
export function moduleName(name: string): string {
  return indexName(name).replaceAll("-", "_");
}

function defaultFiles({ name, version }: PythonPackage): Record<string, string> {
  return { [`${moduleName(name)}/__init__.py`]: `__version__ = ${JSON.stringify(version)}\n` };
}

function metadataOf({ name, version, requires = [], extras = {}, requiresPython }: PythonPackage): string {
  const lines = [
    "Metadata-Version: 2.1",
    `Name: ${name}`,
    `Version: ${version}`,
    ...(requiresPython === undefined ? [] : [`Requires-Python: ${requiresPython}`]),
    ...requires.map((line) => `Requires-Dist: ${line}`),
    ...Object.entries(extras).flatMap(([extra, needed]) => [
      `Provides-Extra: ${extra}`,
      ...needed.map((line) => `Requires-Dist: ${line} ; extra == "${extra}"`),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

function entryPoints(scripts: Readonly<Record<string, string>>): string {
  const lines = Object.entries(scripts).map(([name, target]) => `${name} = ${target}\n`);
  return `[console_scripts]\n${lines.join("")}`;
}
