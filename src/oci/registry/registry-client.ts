import { KilnError } from "../../errors.js";
import { type Digest, isDigest, parseDigest, sha256 } from "../digest.js";
import type { ImageIndex, ImageManifest } from "../manifest.js";
import { mediaTypes } from "../media-types.js";
import { parseReference } from "../reference.js";
import { type ReadBlobOptions, readBlob } from "./read-blob.js";
import { readBounded } from "./read-bounded.js";
import {
  RegistryConnection,
  type RegistryConnectionOptions,
  type RegistryRequest,
} from "./registry-connection.js";
import type { Subject } from "./registry-error.js";
import { withRetries } from "./retry.js";
import {
  type BlobSource,
  blobBody,
  type UploadBlobOptions,
  type UploadOutcome,
  uploadBlob,
} from "./upload-blob.js";

/** Options of {@link RegistryClient}. */
export interface RegistryClientOptions extends RegistryConnectionOptions {
  /** Tries after the first one that fails with what may go away by itself. Default 3. */
  readonly retries?: number | undefined;
  /** Wait before the second try, in milliseconds; doubled for each further one. Default 250. */
  readonly backoffMs?: number | undefined;
}

/** A manifest or index, as a registry describes it. */
export interface RemoteManifest {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly mediaType: string;
}

/** Options of a request. */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What the parts of a client work with. */
export interface ClientParts {
  readonly connection: RegistryConnection;
  /** `/v2/NAME`. */
  readonly base: string;
  /** `HOST/NAME`, for messages. */
  readonly repository: string;
  readonly scopes: { readonly pull: readonly string[]; readonly push: readonly string[] };
  readonly retries: number;
  readonly backoffMs: number;
}

/** No registry takes a larger manifest (distribution specification). */
const manifestLimit = 4 * 1024 * 1024;

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

const accept = [
  ...[mediaTypes.ociIndex, mediaTypes.ociManifest],
  ...[mediaTypes.dockerManifestList, mediaTypes.dockerManifest],
].join(", ");

/**
 * One repository of a registry, by the distribution specification: for what a build puts there, not for bases (which the
 * daemon resolves).
 *
 * Connections are kept and used again; they keep no process alive. What may go away by itself (a broken connection, 5xx,
 * 429) is tried again a few times. All methods reject with `ERR_KILN_UNAUTHORIZED`, `ERR_KILN_CONNECT_FAILED`,
 * `ERR_KILN_CONNECTION_LOST`, `ERR_KILN_TLS`, `ERR_KILN_UNTRUSTED_CERTIFICATE`, `ERR_KILN_PROTOCOL`,
 * `ERR_KILN_LIMIT_EXCEEDED`, `ERR_KILN_RPC` with the registry's own words, or the signal's reason. No message holds a
 * credential.
 */
export class RegistryClient {
  /** Registry host as in references (`docker.io`) and repository. */
  readonly domain: string;
  readonly path: string;
  readonly #parts: ClientParts;

  /**
   * `repository`: such as `docker.io/library/debian` or `localhost:5000/app`. Nothing is sent yet. Throws
   * `ERR_KILN_INVALID_REFERENCE`.
   */
  constructor(repository: string, options: RegistryClientOptions = {}) {
    const { domain, path } = parseReference(repository);
    this.domain = domain;
    this.path = path;
    this.#parts = {
      connection: new RegistryConnection(domain, options),
      base: `/v2/${path}`,
      repository: `${domain}/${path}`,
      scopes: { pull: [`repository:${path}:pull`], push: [`repository:${path}:pull,push`] },
      retries: options.retries ?? 3,
      backoffMs: options.backoffMs ?? 250,
    };
  }

  /** What a tag or digest stands for; `undefined` if the registry has no such manifest. */
  async headManifest(ref: string, options: RequestOptions = {}): Promise<RemoteManifest | undefined> {
    const subject = this.#subject(`HEAD ${checkRef(ref)}`);
    const found = await this.#retrying(subject, options, async () => {
      const answer = await this.#send("HEAD", `manifests/${ref}`, { subject, ...options, also: [404] });
      answer.stream.resume();
      if (answer.status === 404) return undefined;
      const digest = answer.headers["docker-content-digest"];
      const size = Number(answer.headers["content-length"]);
      const mediaType = mediaTypeOf(answer.headers["content-type"]);
      // Not every registry says it, or all of it: then the manifest itself has to tell.
      if (typeof digest !== "string" || !isDigest(digest) || !Number.isSafeInteger(size)) return "unsaid";
      if (isDigest(ref) && digest !== ref) throw this.#mismatch(subject, ref, digest);
      return { digest, size, mediaType };
    });
    if (found !== "unsaid") return found;
    try {
      const { digest, bytes, mediaType } = await this.getManifest(ref, options);
      return { digest, size: bytes.length, mediaType };
    } catch (error) {
      if (error instanceof KilnError && error.code === "ERR_KILN_IMAGE_NOT_FOUND") return undefined;
      throw error;
    }
  }

  /**
   * A manifest or index, by tag or digest, checked against the digest that was asked for or that the registry says.
   *
   * Rejects with `ERR_KILN_IMAGE_NOT_FOUND`, `ERR_KILN_DIGEST_MISMATCH`, and `ERR_KILN_LIMIT_EXCEEDED` for more than
   * `limit` bytes, by default 4 MiB.
   */
  getManifest(
    ref: string,
    options: RequestOptions & { readonly limit?: number | undefined } = {},
  ): Promise<RemoteManifest & { readonly bytes: Buffer }> {
    const { limit = manifestLimit, signal } = options;
    const subject = this.#subject(`GET ${checkRef(ref)}`);
    return this.#retrying(subject, options, async () => {
      const answer = await this.#send("GET", `manifests/${ref}`, { subject, signal });
      const bytes = await readBounded(answer.stream, limit);
      const digest = sha256(bytes);
      const said = answer.headers["docker-content-digest"];
      const wanted = isDigest(ref) ? ref : typeof said === "string" && isDigest(said) ? said : digest;
      if (digest !== wanted) throw this.#mismatch(subject, wanted, digest);
      const mediaType = mediaTypeOf(answer.headers["content-type"]) || mediaTypeIn(bytes);
      return { digest, size: bytes.length, mediaType, bytes };
    });
  }

  /** Size of a blob in bytes; `undefined` if the repository has none of that digest. */
  headBlob(digest: string, options: RequestOptions = {}): Promise<{ readonly size: number } | undefined> {
    const subject = this.#subject(`HEAD ${parseDigest(digest)}`, true);
    return this.#retrying(subject, options, async () => {
      const answer = await this.#send("HEAD", `blobs/${digest}`, { subject, ...options, also: [404] });
      answer.stream.resume();
      return answer.status === 404 ? undefined : { size: Number(answer.headers["content-length"]) };
    });
  }

  /**
   * Lets a blob of another repository of the same registry be one of this one as well; false if the registry does not do
   * that, or not with this login: then it has to be uploaded.
   */
  async mountBlob(digest: string, fromRepository: string, options: RequestOptions = {}): Promise<boolean> {
    const from = parseReference(`${this.domain}/${fromRepository}`).path;
    const subject = this.#subject(`mount of ${parseDigest(digest)} from ${from}`, true);
    const query = new URLSearchParams({ mount: digest, from });
    const scopes = [...this.#parts.scopes.push, `repository:${from}:pull`];
    const { connection, base } = this.#parts;
    const answer = await this.#retrying(subject, options, () =>
      connection.send({
        ...{ method: "POST", target: `${base}/blobs/uploads/?${query}`, scopes, subject },
        ...{ headers: { "content-length": "0" }, signal: options.signal, also: [403, 404, 405] },
      }),
    );
    answer.stream.resume();
    const { location } = answer.headers;
    if (answer.status === 202 && location !== undefined) {
      // An upload has begun in place of it, which nobody goes on with.
      const target = connection.resolve(location, answer.url, subject);
      const ended = { method: "DELETE", target, scopes: this.#parts.scopes.push, subject } as const;
      await connection.send({ ...ended, signal: options.signal }).then(
        ({ stream }) => stream.resume(),
        () => options.signal?.throwIfAborted(),
      );
    }
    return answer.status === 201;
  }

  /**
   * Puts a blob into the repository, unless it is there: from a file, or from a stream that can be opened again for a second
   * try. In one piece, or in several where the registry (or a proxy before it) does not take it in one.
   *
   * Rejects with `ERR_KILN_FILE_CHANGED` if the source has not the descriptor's size, with `ERR_KILN_DIGEST_MISMATCH` if
   * not its digest, and with `ERR_KILN_FILE_UNREADABLE`.
   */
  uploadBlob(
    descriptor: { readonly digest: string; readonly size: number },
    source: BlobSource,
    options: UploadBlobOptions = {},
  ): Promise<UploadOutcome> {
    return uploadBlob(this.#parts, descriptor, blobBody(descriptor, source), {
      ...options,
      isThere: async () => (await this.headBlob(descriptor.digest, options))?.size === descriptor.size,
      mount: (from) => this.mountBlob(descriptor.digest, from, options),
    });
  }

  /**
   * Puts a manifest or index under a tag or its digest. What it names has to be there.
   *
   * Rejects with `ERR_KILN_BLOB_NOT_FOUND` where the registry misses a blob, `ERR_KILN_DIGEST_MISMATCH`, and
   * `ERR_KILN_LIMIT_EXCEEDED` for more than 4 MiB.
   */
  async putManifest(
    ref: string,
    mediaType: string,
    manifest: Uint8Array,
    options: RequestOptions = {},
  ): Promise<RemoteManifest> {
    const subject = this.#subject(`PUT ${checkRef(ref)}`);
    const size = manifest.length;
    if (size > manifestLimit) {
      throw new KilnError(
        "ERR_KILN_LIMIT_EXCEEDED",
        `${this.#parts.repository}: a manifest of ${size} bytes`,
        {
          hint: "Registries take 4 MiB at most.",
        },
      );
    }
    const digest = sha256(manifest);
    if (isDigest(ref) && ref !== digest) throw this.#mismatch(subject, ref, digest);
    return this.#retrying(subject, options, async () => {
      const answer = await this.#send("PUT", `manifests/${ref}`, {
        ...{ subject, scopes: this.#parts.scopes.push, ...options },
        headers: { "content-type": mediaType },
        body: { length: size, open: () => oneChunk(manifest) },
      });
      answer.stream.resume();
      const said = answer.headers["docker-content-digest"];
      if (typeof said === "string" && said !== digest) throw this.#mismatch(subject, digest, said);
      return { digest, size, mediaType };
    });
  }

  /**
   * The bytes of a blob, from `start` (default 0) up to but without `end` (default all). A broken connection is taken up
   * where it broke. The whole of a blob is checked against its digest.
   *
   * The loop throws `ERR_KILN_BLOB_NOT_FOUND`, `ERR_KILN_DIGEST_MISMATCH`, `ERR_KILN_TRUNCATED`.
   */
  readBlob(digest: string, options: ReadBlobOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    return readBlob(this.#parts, parseDigest(digest), options);
  }

  /** Closes the connections; requests under way fail. */
  close(): void {
    this.#parts.connection.close();
  }

  #send(
    method: RegistryRequest["method"],
    below: string,
    request: Omit<Partial<RegistryRequest>, "method" | "target"> & { readonly subject: Subject },
  ) {
    const { connection, base, scopes } = this.#parts;
    return connection.send({
      ...{ scopes: scopes.pull, signal: undefined, method, target: `${base}/${below}` },
      ...request,
      headers: { accept, ...request.headers },
    });
  }

  #retrying<T>(subject: Subject, { signal }: RequestOptions, run: () => Promise<T>): Promise<T> {
    const { retries, backoffMs } = this.#parts;
    return withRetries(subject, { retries, backoffMs, signal }, run);
  }

  #subject(what: string, isBlob = false): Subject {
    return { repository: this.#parts.repository, what, isBlob };
  }

  #mismatch({ repository, what }: Subject, wanted: string, found: string): KilnError {
    return new KilnError(
      "ERR_KILN_DIGEST_MISMATCH",
      `${repository}: ${what}: the registry has ${JSON.stringify(found.slice(0, 100))} in place of ${wanted}`,
      { hint: "The registry is damaged, or something between changes what it sends." },
    );
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function checkRef(ref: string): string {
  if (isDigest(ref) || tagPattern.test(ref)) return ref;
  throw new KilnError(
    "ERR_KILN_INVALID_REFERENCE",
    `not a tag or digest: ${JSON.stringify(ref.slice(0, 200))}`,
    {
      hint: "A tag has letters, digits, dots and dashes.",
    },
  );
}

function mediaTypeOf(header: string | undefined): string {
  return (header ?? "").split(";")[0]?.trim() ?? "";
}

function mediaTypeIn(bytes: Buffer): string {
  try {
    const { mediaType } = JSON.parse(bytes.toString("utf8")) as Partial<ImageManifest & ImageIndex>;
    return mediaType ?? mediaTypes.ociManifest;
  } catch {
    return "";
  }
}
