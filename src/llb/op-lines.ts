import type { ChownOpt, ExecOp, FileAction, FileOp, Mount, Op } from "../gen/pb/ops_pb.js";
import { sha256 } from "../oci/digest.js";
import { sortedKeys } from "./byte-order.js";

const networks = ["sandbox", "host", "none"];
const securities = ["sandbox", "insecure"];
const sharings = ["shared", "private", "locked"];
const contentCaches = ["default", "on", "off"];

/** The op in words: one line for its kind, then one for every part. `inputs` are the names of its inputs. */
export function describeOpLines(op: Op, inputs: readonly string[]): readonly string[] {
  const body = op.op;
  const named = (index: bigint): string =>
    index < 0n ? "scratch" : (inputs[Number(index)] ?? `input ${index}`);
  switch (body.case) {
    case "source": {
      const { identifier, attrs } = body.value;
      return [
        `source ${quote(identifier)}`,
        ...sortedKeys(attrs).map((key) => `${quote(key)}: ${quote(attrs[key] ?? "")}`),
      ];
    }
    case "exec":
      return execLines(body.value, named);
    case "file":
      return fileLines(body.value, inputs);
    case "merge":
      return [`merge ${body.value.inputs.map(({ input }) => named(input)).join(" ")}`];
    case "diff":
      return [`diff ${named(body.value.lower?.input ?? -1n)} -> ${named(body.value.upper?.input ?? -1n)}`];
    case "build": {
      const { builder, attrs, inputs: own } = body.value;
      return [
        `build${builder < 0n ? "" : ` with ${named(builder)}`}`,
        ...sortedKeys(own).map((key) => `input ${quote(key)} from ${named(own[key]?.input ?? -1n)}`),
        ...sortedKeys(attrs).map((key) => `${quote(key)}: ${quote(attrs[key] ?? "")}`),
      ];
    }
    case "passthrough": {
      const { id, outputs } = body.value;
      return [`passthrough ${quote(id)} ${inputs.join(" ")}`, `outputs ${outputs.map(named).join(" ")}`];
    }
    default:
      return [`unknown op ${inputs.join(" ")}`];
  }
}

/** The text as it is if it is one plain word, else in JSON's quotes. */
export function quote(text: string): string {
  return /^[\w@%+=:,./#*{}$-]+$/.test(text) ? text : JSON.stringify(text);
}

type NameInput = (index: bigint) => string;

function execLines(exec: ExecOp, named: NameInput): readonly string[] {
  const meta = exec.meta;
  const lines = [`exec ${(meta?.args ?? []).map(quote).join(" ")}`];
  const say = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") lines.push(`${name} ${quote(value)}`);
  };
  say("cwd", meta?.cwd === "/" ? "" : meta?.cwd);
  say("user", meta?.user);
  say("hostname", meta?.hostname);
  say("cgroup parent", meta?.cgroupParent);
  if (exec.network !== 0) lines.push(`network ${networks[exec.network] ?? exec.network}`);
  if (exec.security !== 0) lines.push(`security ${securities[exec.security] ?? exec.security}`);
  for (const line of meta?.env ?? []) lines.push(`env ${quote(line)}`);
  for (const { Host, IP } of meta?.extraHosts ?? []) lines.push(`host ${quote(Host)} ${quote(IP)}`);
  for (const { Name, Soft, Hard } of meta?.ulimit ?? []) lines.push(`ulimit ${quote(Name)} ${Soft}:${Hard}`);
  const codes = meta?.validExitCodes ?? [];
  if (codes.length > 0) lines.push(`valid exit codes ${codes.join(" ")}`);
  if (meta?.removeMountStubsRecursive === false) lines.push("mount stubs stay");
  if (meta?.proxyEnv !== undefined) {
    const { httpProxy, httpsProxy, ftpProxy, noProxy, allProxy } = meta.proxyEnv;
    const proxies = Object.entries({ httpProxy, httpsProxy, ftpProxy, noProxy, allProxy });
    lines.push(
      ["proxy", ...proxies.flatMap(([key, value]) => (value === "" ? [] : [`${key}=${quote(value)}`]))].join(
        " ",
      ),
    );
  }
  for (const { ID, name, optional } of exec.secretenv) {
    lines.push(`secret ${quote(ID)} as env ${quote(name)}${optional ? " optional" : ""}`);
  }
  for (const { name, optional } of exec.cdiDevices)
    lines.push(`device ${quote(name)}${optional ? " optional" : ""}`);
  for (const mount of exec.mounts) lines.push(mountLine(mount, named));
  return lines;
}

function mountLine(mount: Mount, named: NameInput): string {
  const words = ["mount", quote(mount.dest)];
  const grant = mount.secretOpt ?? mount.SSHOpt;
  if (grant !== undefined) {
    const { ID, uid, gid, mode, optional } = grant;
    words.push(mount.secretOpt === undefined ? "ssh" : "secret", quote(ID), `${uid}:${gid}`, octal(mode));
    if (optional) words.push("optional");
    return words.join(" ");
  }
  if (mount.cacheOpt !== undefined) {
    words.push(
      "cache",
      quote(mount.cacheOpt.ID),
      sharings[mount.cacheOpt.sharing] ?? String(mount.cacheOpt.sharing),
    );
  }
  if (mount.TmpfsOpt !== undefined) words.push("tmpfs", String(mount.TmpfsOpt.size));
  else words.push("from", named(mount.input));
  if (mount.selector !== "") words.push(`path ${quote(mount.selector)}`);
  if (mount.readonly) words.push("readonly");
  if (mount.contentCache !== 0)
    words.push(`content cache ${contentCaches[mount.contentCache] ?? mount.contentCache}`);
  if (mount.output >= 0n) words.push(`-> .${mount.output}`);
  return words.join(" ");
}

function fileLines(file: FileOp, inputs: readonly string[]): readonly string[] {
  const named: NameInput = (index) => {
    if (index < 0n) return "scratch";
    const position = Number(index) - inputs.length;
    return position >= 0 ? `action ${position}` : (inputs[Number(index)] ?? `input ${index}`);
  };
  return ["file", ...file.actions.map((action, index) => `${index}: ${actionLine(action, named)}`)];
}

function actionLine({ action, input, secondaryInput, output }: FileAction, named: NameInput): string {
  const words: string[] = [`on ${named(input)}`];
  switch (action.case) {
    case "mkdir": {
      const { path, mode, makeParents, owner, timestamp } = action.value;
      words.push(
        "mkdir",
        quote(path),
        octal(mode),
        ...flags({ makeParents }),
        ...common(owner, timestamp, named),
      );
      break;
    }
    case "mkfile": {
      const { path, mode, data, owner, timestamp } = action.value;
      words.push("mkfile", quote(path), octal(mode), content(data), ...common(owner, timestamp, named));
      break;
    }
    case "symlink": {
      const { oldpath, newpath, owner, timestamp } = action.value;
      words.push("symlink", quote(newpath), "->", quote(oldpath), ...common(owner, timestamp, named));
      break;
    }
    case "rm": {
      const { path, allowNotFound, allowWildcard } = action.value;
      words.push("rm", quote(path), ...flags({ allowNotFound, allowWildcard }));
      break;
    }
    case "copy": {
      const {
        src,
        dest,
        owner,
        timestamp,
        mode,
        modeStr,
        $typeName: _,
        $unknown: __,
        ...rest
      } = action.value;
      words.push("copy", quote(src), "from", named(secondaryInput), "to", quote(dest));
      if (modeStr !== "") words.push(`mode ${quote(modeStr)}`);
      else if (mode !== -1) words.push(octal(mode));
      const { includePatterns, excludePatterns, requiredPaths, ...booleans } = rest;
      words.push(...flags(booleans));
      for (const [name, list] of Object.entries({ includePatterns, excludePatterns, requiredPaths })) {
        if (list.length > 0) words.push(`${name} ${JSON.stringify(list)}`);
      }
      words.push(...common(owner, timestamp, named));
      break;
    }
    default:
      words.push("unknown action");
  }
  if (output >= 0n) words.push(`-> .${output}`);
  return words.join(" ");
}

function flags(values: Readonly<Record<string, boolean>>): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => (value ? [name] : []));
}

function common(owner: ChownOpt | undefined, timestamp: bigint, named: NameInput): readonly string[] {
  const words: string[] = [];
  for (const part of ["user", "group"] as const) {
    const choice = owner?.[part]?.user;
    if (choice?.case === "byID") words.push(`${part} ${choice.value}`);
    else if (choice?.case === "byName") {
      words.push(`${part} ${quote(choice.value.name)} of ${named(choice.value.input)}`);
    }
  }
  if (timestamp !== -1n) words.push(`time ${timestamp}`);
  return words;
}

const longestContent = 80;

function content(data: Uint8Array): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(data.subarray(0, longestContent));
  const isText = !text.includes("\uFFFD") && data.length <= longestContent;
  return isText ? JSON.stringify(text) : `${data.length} bytes ${sha256(data).slice(0, 19)}`;
}

function octal(mode: number): string {
  return `0${(mode >>> 0).toString(8)}`;
}
