import { TextDecoder } from "node:util";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { StatusResponse, Vertex, VertexStatus } from "../gen/moby/buildkit/v1/control_pb.js";
import type { LogClip, SolveEvent } from "../model/events.js";
import { type MaskedStream, SecretMasks } from "../session/secret-masks.js";
import { ClipFinder } from "./log-clip.js";

/** The end of what a vertex printed, kept for its error. */
const tailLines = 20;
const tailBytes = 16 * 1024;

interface VertexState {
  name: string;
  /** `started` of the run that is being reported, in ms; a vertex may run more than once in a build. */
  startedAt: number | undefined;
  /** When that was heard of, by this process's own clock. */
  heardAt: number;
  ended: boolean;
  cached: boolean;
  error: string;
}

interface StreamState {
  readonly decoder: TextDecoder;
  readonly clips: ClipFinder;
  readonly masked: MaskedStream;
  received: number;
}

interface LogState {
  readonly streams: Map<number, StreamState>;
  readonly clips: LogClip[];
  tail: string;
}

/**
 * Turns the daemon's status messages into events.
 *
 * The daemon resends a whole vertex on each change and may report it again after it ended (a local source
 * is first hashed and then copied); each change becomes one event, repeats none. Log bytes are decoded
 * across message borders, per vertex and stream.
 *
 * What is printed, warned of or failed with has `***` in place of the values in `masks`, wherever message borders cut them.
 */
export class StatusTracker {
  readonly #emit: (event: SolveEvent) => void;
  readonly #masks: SecretMasks;
  readonly #vertices = new Map<string, VertexState>();
  readonly #logs = new Map<string, LogState>();
  readonly #progress = new Map<string, string>();

  constructor(emit: (event: SolveEvent) => void, masks: SecretMasks = new SecretMasks()) {
    this.#emit = emit;
    this.#masks = masks;
  }

  /** A text of the daemon's with the values of secrets masked. */
  mask(daemonText: string): string {
    return this.#masks.mask(daemonText);
  }

  /** Digests of all vertices seen so far. */
  get vertices(): IterableIterator<string> {
    return this.#vertices.keys();
  }

  /** The daemon's name of a vertex. */
  nameOf(vertex: string): string | undefined {
    return this.#vertices.get(vertex)?.name;
  }

  /** The vertex that failed with `error` non-empty and not by being cancelled, if exactly that is known. */
  firstFailed(): string | undefined {
    for (const [digest, state] of this.#vertices) {
      if (state.error !== "" && !isCancelText(state.error)) return digest;
    }
    return undefined;
  }

  /** For how long the vertex has been running that started last, in milliseconds since that was heard of. */
  youngestMs(): number | undefined {
    let youngest: number | undefined;
    const now = performance.now();
    for (const { startedAt, heardAt, ended } of this.#vertices.values()) {
      if (startedAt === undefined || ended) continue;
      youngest = Math.min(youngest ?? Number.POSITIVE_INFINITY, now - heardAt);
    }
    return youngest;
  }

  /** All vertices whose last run failed, those that were cancelled aside. */
  failures(): readonly { readonly vertex: string; readonly name: string; readonly error: string }[] {
    return [...this.#vertices].flatMap(([vertex, { name, error }]) =>
      error === "" || isCancelText(error) ? [] : [{ vertex, name, error }],
    );
  }

  /** The last lines a vertex printed, oldest first; at most 20 lines or 16 KiB. */
  logTail(vertex: string): readonly string[] {
    const log = this.#logs.get(vertex);
    const held = [...(log?.streams.values() ?? [])]
      .map(({ clips, masked }) => this.mask(`${masked.held}${clips.held}`))
      .join("");
    return `${log?.tail ?? ""}${held}`
      .split(/\r?\n/)
      .filter((line, index, all) => line !== "" || index < all.length - 1)
      .slice(-tailLines);
  }

  /** Which limits of the daemon's cut the output of a vertex; each one once. */
  logClips(vertex: string): readonly LogClip[] {
    return this.#logs.get(vertex)?.clips ?? [];
  }

  /** Takes one message of the Status stream. */
  push(response: StatusResponse): void {
    for (const vertex of response.vertexes) this.#vertex(vertex);
    for (const status of response.statuses) this.#status(status);
    for (const log of response.logs) {
      this.#log(log.vertex, Number(log.stream), log.msg, timestampMs(log.timestamp));
    }
    for (const warning of response.warnings) {
      this.#emit({
        type: "warning",
        vertex: warning.vertex,
        level: Number(warning.level),
        message: this.mask(text(warning.short)),
        detail: warning.detail.map((bytes) => this.mask(text(bytes))),
        url: this.mask(warning.url),
      });
    }
  }

  /** Flushes what half-received characters, markers and values of secrets are left. Call once, after the last message. */
  end(): void {
    for (const [vertex, { streams }] of this.#logs) {
      for (const [stream, { decoder, clips, masked }] of streams) {
        const rest = masked.push(`${clips.end()}${decoder.decode()}`);
        this.#logText(vertex, stream, `${rest}${masked.end()}`, Date.now());
      }
    }
  }

  #vertex(vertex: Vertex): void {
    let state = this.#vertices.get(vertex.digest);
    if (state === undefined) {
      state = { name: vertex.name, startedAt: undefined, heardAt: 0, ended: false, cached: false, error: "" };
      this.#vertices.set(vertex.digest, state);
    }
    state.name = vertex.name;
    const base = { vertex: vertex.digest, name: vertex.name, inputs: vertex.inputs };
    if (vertex.cached) {
      if (state.cached) return;
      state.cached = true;
      state.ended = true;
      this.#emit({ type: "vertex.cached", ...base, at: timestampMs(vertex.completed ?? vertex.started) });
      return;
    }
    if (vertex.started === undefined) return;
    const startedAt = timestampMs(vertex.started);
    if (state.startedAt !== startedAt) {
      state.startedAt = startedAt;
      state.heardAt = performance.now();
      state.ended = false;
      this.#emit({ type: "vertex.started", ...base, at: startedAt });
    }
    if (vertex.completed === undefined || state.ended) return;
    state.ended = true;
    const error = this.mask(vertex.error);
    state.error = error;
    const at = timestampMs(vertex.completed);
    const durationMs = Math.max(0, at - startedAt);
    if (error === "") this.#emit({ type: "vertex.done", ...base, at, durationMs });
    else {
      this.#emit({
        type: "vertex.failed",
        ...base,
        at,
        durationMs,
        error,
        canceled: isCancelText(error),
      });
    }
  }

  #status(status: VertexStatus): void {
    const key = `${status.vertex}\0${status.ID}`;
    const done = status.completed !== undefined;
    const fingerprint = `${status.current}/${status.total}/${done}`;
    if (this.#progress.get(key) === fingerprint) return;
    this.#progress.set(key, fingerprint);
    this.#emit({
      type: "progress",
      vertex: status.vertex,
      id: status.ID,
      name: status.name === "" ? status.ID : status.name,
      current: Number(status.current),
      total: Number(status.total),
      done,
      at: timestampMs(status.timestamp),
    });
  }

  #log(vertex: string, number: number, bytes: Uint8Array, at: number): void {
    let log = this.#logs.get(vertex);
    if (log === undefined) {
      log = { streams: new Map(), clips: [], tail: "" };
      this.#logs.set(vertex, log);
    }
    let stream = log.streams.get(number);
    if (stream === undefined) {
      stream = {
        decoder: new TextDecoder(),
        clips: new ClipFinder(),
        masked: this.#masks.stream(),
        received: 0,
      };
      log.streams.set(number, stream);
    }
    stream.received += bytes.length;
    const decoded = stream.decoder.decode(bytes, { stream: true });
    for (const piece of stream.clips.push(decoded, stream.received)) {
      if (typeof piece === "string") this.#logText(vertex, number, stream.masked.push(piece), at);
      else this.#logClip(vertex, { stream: streamName(number), ...piece }, at);
    }
  }

  #logText(vertex: string, stream: number, decoded: string, at: number): void {
    if (decoded === "") return;
    const log = this.#logs.get(vertex);
    if (log !== undefined) log.tail = (log.tail + decoded).slice(-tailBytes);
    this.#emit({ type: "log", vertex, stream: streamName(stream), text: decoded, at });
  }

  #logClip(vertex: string, clip: LogClip, at: number): void {
    const known = this.#logs.get(vertex)?.clips;
    if (known?.some(({ stream, limit }) => stream === clip.stream && limit === clip.limit) === false) {
      known.push(clip);
    }
    this.#emit({ type: "log.clipped", vertex, ...clip, at });
  }
}

function streamName(stream: number): "stdout" | "stderr" {
  return stream === 2 ? "stderr" : "stdout";
}

function timestampMs(timestamp: Timestamp | undefined): number {
  if (timestamp === undefined) return Date.now();
  return Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6;
}

const decoder = new TextDecoder();

function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Whether the daemon's error text says that the vertex was cancelled rather than that it failed. */
function isCancelText(error: string): boolean {
  return error.includes("context canceled") || error.includes("code = Canceled");
}
