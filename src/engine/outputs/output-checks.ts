import { lstat, realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { checkFile, stampFile } from "../../internal/file-stamp.js";
import type { OutputRecord } from "../../model/build-record.js";
import { checkLayout, stampLayout } from "../../oci/check-layout.js";
import { parseDigest } from "../../oci/digest.js";
import { parseImageName } from "../../oci/image-name.js";
import { layoutNames } from "../../oci/layout-writer.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import type { TlsOptions } from "../../rpc/tls-options.js";
import type { FileTarget, Output } from "../../solver/outputs.js";
import type { RegistryAccess } from "../registries/registry-access.js";
import {
  type DirectoryScanner,
  type DirectoryStamp,
  directoryDifference,
  scanDirectory,
} from "./directory-stamp.js";
import { type ImagePlace, publishedReference } from "./image-place.js";
import { type OutputStamp, type RegistryRef, readStamps } from "./output-stamp.js";

/** What outputs are stamped and checked with. */
export interface OutputCheckContext {
  /** The daemon of the build, for images in its store. */
  readonly daemon: { readonly address: string; readonly tls?: TlsOptions | undefined };
  readonly registries: Pick<RegistryAccess, "client">;
  /** Where images are published, and under which name the build is; `undefined` = it is not. */
  readonly images: ImagePlace;
  readonly publish: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long registries and Docker may take, in milliseconds. Default 10 s. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: (() => number) | undefined;
  /** Who walks the directories of outputs. Default {@link scanDirectory}. */
  readonly scan?: DirectoryScanner | undefined;
}

/** What {@link stampOutputs} made: stamps, or why one of the outputs cannot be checked later. */
export type StampedOutputs =
  | { readonly stamps: readonly OutputStamp[] }
  | { readonly stamps: undefined; readonly reason: string };

/** What {@link checkOutputs} is told beside the context of both. */
export interface CheckOutputsOptions extends OutputCheckContext {
  /** Told the stamps as they would be taken now, if all is there but some are not what they were. */
  readonly onRefreshed?: ((stamps: readonly OutputStamp[]) => void) | undefined;
}

/** Larger tars are not read to be stamped: another version of one is another one then. */
const readLimit = 256 * 1024 * 1024;

/**
 * Stamps what a build has just written, for {@link checkOutputs}. Asks no registry and no daemon.
 *
 * `outputs` have absolute paths and are those that `records` are of; one more record is that of the published name. Rejects
 * with the signal's reason alone.
 */
export async function stampOutputs(
  outputs: readonly Output[],
  records: readonly OutputRecord[],
  context: OutputCheckContext,
): Promise<StampedOutputs> {
  const { publish, signal } = context;
  if (records.length !== outputs.length + (publish === undefined ? 0 : 1)) {
    return { stamps: undefined, reason: "the build has not told what it made of each output" };
  }
  const stamps: OutputStamp[] = [];
  for (const [index, record] of records.entries()) {
    const output = outputs[index];
    try {
      stamps.push(
        await (output === undefined ? stampPublished(record, context) : stampOutput(output, record, context)),
      );
    } catch (error) {
      signal?.throwIfAborted();
      return { stamps: undefined, reason: wordsOf(error) };
    }
  }
  return { stamps };
}

/**
 * Whether everything that was stamped is still there as it was written: `undefined`, or why not, in words. Never yes where
 * it is not sure: whatever fails, or cannot be told, counts as not there.
 *
 * `stamps` are those of {@link stampOutputs}, read back from JSON; `outputs` what the next build asks for, with absolute
 * paths. Loads no gRPC. Rejects with the signal's reason alone.
 */
export async function checkOutputs(
  outputs: readonly Output[],
  stamps: unknown,
  options: CheckOutputsOptions,
): Promise<undefined | string> {
  const { signal, publish, onRefreshed } = options;
  signal?.throwIfAborted();
  try {
    const before = readStamps(stamps);
    if (before.length !== outputs.length + (publish === undefined ? 0 : 1)) {
      return "other outputs were written than are wanted";
    }
    const checked = await Promise.all(
      before.map((stamp, index) =>
        checkStamp(outputs[index], stamp, options).catch((error: unknown) => {
          signal?.throwIfAborted();
          return wordsOf(error);
        }),
      ),
    );
    const after: OutputStamp[] = [];
    for (const one of checked) {
      if (typeof one === "string") return one;
      after.push(one);
    }
    if (after.some((stamp, index) => stamp !== before[index])) onRefreshed?.(after);
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    return wordsOf(error);
  }
}

async function stampOutput(
  output: Output,
  { digest }: OutputRecord,
  context: OutputCheckContext,
): Promise<OutputStamp> {
  switch (output.type) {
    case "registry": {
      const known = digestOf(output.names, digest);
      const refs = refsOf(output.names, output.options.pushByDigest === true ? known : undefined);
      return { type: "registry", refs, digest: known, insecure: output.options.insecure === true };
    }
    case "docker-image":
      return { type: "docker-image", names: output.names, digest: digestOf(output.names, digest) };
    case "oci-layout": {
      const dir = resolve(output.dir);
      const wanted = { digest: digestOf([dir], digest), tag: layoutNames(output.options.name).tag };
      const layout = await stampLayout(dir, wanted, context);
      return { type: "oci-layout", dir, place: await realpath(dir), layout };
    }
    case "local": {
      const dir = resolve(output.dir);
      return { type: "local", dir, place: await realpath(dir), stamp: await stampDirectory(dir, context) };
    }
    case "oci-tar":
    case "docker-tar":
    case "tar": {
      const file = fileOf(output.target);
      const { size } = await lstat(file);
      const stamp = await stampFile(file, size > readLimit ? undefined : "read", context);
      if (stamp.version !== undefined || stamp.sha256 !== undefined)
        return { type: output.type, file, stamp };
      throw new Error(`${file} is too large to be read, and its times do not tell`);
    }
    default:
      return output satisfies never;
  }
}

async function stampPublished(
  { type, target: name, digest: told }: OutputRecord,
  context: OutputCheckContext,
): Promise<OutputStamp> {
  const { images } = context;
  if (type !== "published") throw new Error("the build has not told what it published");
  const digest = digestOf([name], told);
  if (images.kind === "directory") {
    const layout = await stampLayout(images.dir, { digest, tag: name }, context);
    return { type: "published", name, digest, at: { kind: "directory", dir: images.dir, layout } };
  }
  const [found] = refsOf([publishedReference(images.repository, name)], undefined);
  if (found === undefined) throw new Error(`${name} makes no reference`);
  const { repository, ref } = found;
  return { type: "published", name, digest, at: { kind: "registry", repository, ref } };
}

async function stampDirectory(dir: string, context: OutputCheckContext): Promise<DirectoryStamp> {
  const { scan = scanDirectory, signal } = context;
  for (let attempt = 0; ; attempt += 1) {
    const { unsettled, ...stamp } = await scan(dir, context);
    if (unsettled === undefined) return stamp;
    if (attempt >= 3) throw new Error(`${dir} is still being written: ${unsettled}`);
    await delay(25, undefined, signal === undefined ? {} : { signal });
  }
}

/** The stamp as it is now: the same object, where nothing changed; or why it does not hold. */
async function checkStamp(
  output: Output | undefined,
  stamp: OutputStamp,
  options: CheckOutputsOptions,
): Promise<OutputStamp | string> {
  const mismatch = "other outputs were written than are wanted";
  if (output === undefined) {
    if (stamp.type !== "published") return mismatch;
    return checkPublished(stamp, options);
  }
  switch (output.type) {
    case "registry": {
      if (stamp.type !== "registry") return mismatch;
      const { digest, insecure } = stamp;
      if (insecure !== (output.options.insecure === true)) return mismatch;
      const refs = refsOf(output.names, output.options.pushByDigest === true ? digest : undefined);
      if (JSON.stringify(refs) !== JSON.stringify(stamp.refs)) return mismatch;
      const problems = await Promise.all(refs.map((ref) => checkRef(ref, digest, insecure, options)));
      return problems.find((problem) => problem !== undefined) ?? stamp;
    }
    case "docker-image":
      if (stamp.type !== "docker-image" || !sameList(stamp.names, output.names)) return mismatch;
      return (await checkDocker(stamp.names, stamp.digest, options)) ?? stamp;
    case "oci-layout": {
      const dir = resolve(output.dir);
      if (stamp.type !== "oci-layout" || stamp.dir !== dir) return mismatch;
      if (stamp.layout.tag !== layoutNames(output.options.name).tag) return mismatch;
      const moved = await movedTo(dir, stamp.place);
      if (moved !== undefined) return moved;
      const checked = await checkLayout(dir, stamp.layout, options);
      if ("problem" in checked) return checked.problem;
      return sameJson(checked.stamp, stamp.layout) ? stamp : { ...stamp, layout: checked.stamp };
    }
    case "local": {
      const dir = resolve(output.dir);
      if (stamp.type !== "local" || stamp.dir !== dir) return mismatch;
      const moved = await movedTo(dir, stamp.place);
      if (moved !== undefined) return moved;
      const { scan = scanDirectory } = options;
      const difference = directoryDifference(stamp.stamp, await scan(dir, options));
      return difference === undefined ? stamp : `${dir} ${difference}`;
    }
    case "oci-tar":
    case "docker-tar":
    case "tar": {
      const file = fileOf(output.target);
      if (stamp.type !== output.type || stamp.file !== file) return mismatch;
      const checked = await checkFile(file, stamp.stamp, options);
      if ("problem" in checked) return `${file} ${checked.problem}`;
      return checked.stamp === stamp.stamp ? stamp : { ...stamp, stamp: checked.stamp };
    }
    default:
      return output satisfies never;
  }
}

async function checkPublished(
  stamp: Extract<OutputStamp, { readonly type: "published" }>,
  options: CheckOutputsOptions,
): Promise<OutputStamp | string> {
  const { images, publish = "" } = options;
  const name = parseImageName(publish).text;
  if (stamp.name !== name) return "other outputs were written than are wanted";
  const { at, digest } = stamp;
  if (at.kind === "directory") {
    const isSame = images.kind === "directory" && images.dir === at.dir;
    if (!isSame || at.layout.digest !== digest || at.layout.tag !== name) {
      return `${name} was published elsewhere`;
    }
    const checked = await checkLayout(at.dir, at.layout, options);
    if ("problem" in checked) return checked.problem;
    return sameJson(checked.stamp, at.layout) ? stamp : { ...stamp, at: { ...at, layout: checked.stamp } };
  }
  const [ref] =
    images.kind === "registry" ? refsOf([publishedReference(images.repository, name)], undefined) : [];
  if (ref?.repository !== at.repository || ref.ref !== at.ref) return `${name} was published elsewhere`;
  return (await checkRef(ref, digest, false, options)) ?? stamp;
}

/** One HEAD. */
function checkRef(
  { name, repository, ref }: RegistryRef,
  digest: string,
  insecure: boolean,
  options: CheckOutputsOptions,
): Promise<string | undefined> {
  return inTime(`the registry of ${name}`, options, async (signal) => {
    const client = options.registries.client(repository, { insecure });
    const found = await client.headManifest(ref, { signal });
    if (found === undefined) return `the registry has no ${name} any more`;
    return found.digest === digest ? undefined : `${name} is ${found.digest} now`;
  });
}

function checkDocker(
  names: readonly string[],
  digest: string,
  options: CheckOutputsOptions,
): Promise<string | undefined> {
  const { daemon } = options;
  return inTime(`Docker at ${daemon.address}`, options, async (signal) => {
    const [{ openDockerEndpoint }, { dockerStoredImage }] = await Promise.all([
      import("../../rpc/docker-endpoint.js"),
      import("../../rpc/docker-http.js"),
    ]);
    const endpoint = await openDockerEndpoint(daemon.address, daemon.tls);
    try {
      for (const name of names) {
        const full = formatReference(parseReference(name));
        const found = await dockerStoredImage(endpoint, name, { signal });
        // Docker also finds images by the beginning of their id.
        if (found?.tags.some((tag) => formatReference(parseReference(tag)) === full) !== true) {
          return `Docker has no ${name} any more`;
        }
        if (found.id !== digest) return `${name} is ${found.id} in Docker's store now`;
      }
      return undefined;
    } finally {
      await endpoint.close();
    }
  });
}

/** Runs a question, but no longer than it may take. */
async function inTime<T>(
  whom: string,
  { signal, timeoutMs = 10_000 }: CheckOutputsOptions,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    return await ask(signal === undefined ? timeout : AbortSignal.any([signal, timeout]));
  } catch (error) {
    if (!timeout.aborted || signal?.aborted === true) throw error;
    throw new Error(`${whom} has not answered within ${timeoutMs / 1000} s`);
  }
}

/** What the names of a registry output stand for. */
function refsOf(names: readonly string[], pushedDigest: string | undefined): readonly RegistryRef[] {
  return names.map((name) => {
    const { domain, path, tag, digest } = parseReference(name);
    const ref = pushedDigest ?? (digest === undefined ? tag : undefined);
    if (ref === undefined) throw new Error(`${name} names a digest`);
    return { name, repository: `${domain}/${path}`, ref };
  });
}

function digestOf(names: readonly string[], digest: string | undefined): string {
  if (digest !== undefined) return parseDigest(digest);
  throw new Error(`the daemon has not told the digest of ${names.join(", ")}`);
}

function fileOf(target: FileTarget): string {
  if (typeof target === "string") return resolve(target);
  throw new Error("an output goes to a stream, which cannot be looked at later");
}

/** A directory that is another one, or a link, is not what was written, whatever is in it. */
async function movedTo(dir: string, place: string): Promise<string | undefined> {
  const now = await realpath(dir).catch(() => undefined);
  if (now === place) return undefined;
  return now === undefined ? `${dir} is gone` : `${dir} is a link to ${now} now`;
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
