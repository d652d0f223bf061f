import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  copy,
  decodeDefinition,
  git,
  http,
  image,
  type MarshalOptions,
  marshal,
  merge,
  scratch,
  sourceMap,
} from "../../../src/llb/index.js";
import { rewriteSources, type SourceChange, sourcesOf } from "../../../src/llb/rewrite-sources.js";
import { inSoak } from "../internal/long-runs.js";

const digest = `sha256:${"a".repeat(64)}`;
const commit = "c".repeat(40);

function pin({ identifier, attrs }: { identifier: string; attrs: Readonly<Record<string, string>> }) {
  const change = (to: string, caps: readonly string[] = [], more = {}): SourceChange => ({
    identifier: to,
    attrs: { ...attrs, ...more },
    caps,
  });
  if (identifier.startsWith("docker-image://")) return change(`${identifier}@${digest}`);
  if (identifier.startsWith("git://")) return change(identifier.replace("#main", `#${commit}`));
  return change(identifier, ["source.http.checksum"], { "http.checksum": digest });
}

function graph(pinned: boolean, options: MarshalOptions = {}) {
  const location = { sourceMap: sourceMap("a.ts", { data: "a\n" }), ranges: [{ start: { line: 1 } }] };
  const base = image(pinned ? `alpine:3.20@${digest}` : "alpine:3.20", { location });
  const repository = git("https://example.com/r.git", pinned ? `${commit}:sub` : "main:sub");
  const file = http("https://example.com/f", pinned ? { checksum: digest } : {});
  const step = base.run(["make"], { mounts: [{ target: "/src", source: repository }], location }).root();
  return {
    base,
    file,
    state: merge([step, scratch().file(copy(file, { src: "/f", dest: "/f" }))]),
    marshal() {
      return marshal(this.state, options);
    },
  };
}

describe("a definition with other sources", () => {
  it("has the bytes of the graph that was written with them", () => {
    const plain = graph(false);
    const changed = rewriteSources(plain.marshal(), pin);
    const expected = graph(true).marshal();
    expect(changed.ops.map((op) => op.digest)).toEqual(expected.ops.map((op) => op.digest));
    expect(Buffer.from(changed.toBinary())).toEqual(Buffer.from(expected.toBinary()));
    expect(changed.digestOf(plain.state)).toBe(expected.head()?.digest);
    expect(changed.digestOf(plain.base)).toBe(changed.ops[0]?.digest);
    expect(Object.keys(changed.source?.locations ?? {})).toContain(changed.ops[0]?.digest);
  });

  it("is the same one if nothing changes, and leaves what it was made of alone", () => {
    const definition = graph(false).marshal();
    const before = Buffer.from(definition.toBinary());
    expect(rewriteSources(definition, () => undefined)).toBe(definition);
    rewriteSources(definition, pin);
    expect(Buffer.from(definition.toBinary())).toEqual(before);
  });

  it("keeps what it does not know of foreign ops", () => {
    const { ops } = decodeDefinition(graph(false).marshal().toBinary());
    const field = (number: number, content: Uint8Array): Buffer =>
      Buffer.concat([Buffer.from([number * 8 + 2, ...varint(content.length)]), content]);
    const unknown = field(15, Buffer.from("new"));
    const source = field(3, Buffer.concat([field(1, Buffer.from("http://h/f")), unknown]));
    const op = Buffer.concat([unknown, source]);
    const foreign = decodeDefinition(Buffer.concat([field(1, op), field(1, ops[1]?.bytes ?? op)]));
    const [changed] = rewriteSources(foreign, (one) =>
      one.identifier === "http://h/f" ? { identifier: "http://h/other", attrs: {}, caps: [] } : undefined,
    ).ops;
    const wanted = field(3, Buffer.concat([field(1, Buffer.from("http://h/other")), unknown]));
    expect(Buffer.from(changed?.bytes ?? [])).toEqual(Buffer.concat([unknown, wanted]));
  });

  it("has one op for two that become the same, with the metadata of both", () => {
    const pinned = git("https://example.com/r.git", commit, { description: { a: "b" } });
    const moving = git("https://example.com/r.git", "main", { ignoreCache: true });
    const changed = rewriteSources(marshal(merge([pinned, moving])), pin);
    expect(changed.ops).toHaveLength(3);
    expect(changed.metadata.get(changed.ops[0]?.digest ?? "")).toMatchObject({
      description: { a: "b" },
      ignoreCache: true,
    });
    const digests = new Set(changed.ops.map((op) => op.digest));
    expect([...changed.metadata.keys()].every((one) => digests.has(one))).toBe(true);
  });

  it("takes time in proportion to its ops", () => {
    const length = inSoak(5_000, 20_000);
    let state = image("alpine:3.20");
    for (let index = 0; index < length; index += 1) state = state.run(["echo", String(index)]).root();
    const changed = rewriteSources(marshal(state), pin);
    expect(changed.ops).toHaveLength(length + 2);
    expect(changed.vertices()[0]?.name).toContain(digest);
  });

  it("lists the sources of every vector of BuildKit's own client", () => {
    const url = new URL("../../conformance/vectors/llb-vectors.json", import.meta.url);
    const vectors = JSON.parse(readFileSync(url, "utf8")) as { readonly definition: string }[];
    let sources = 0;
    for (const { definition } of vectors) {
      const decoded = decodeDefinition(new Uint8Array(Buffer.from(definition, "base64")));
      const kinds = decoded.vertices().filter(({ kind }) => kind === "source");
      expect(sourcesOf(decoded).map(({ op }) => op.digest)).toEqual(kinds.map((vertex) => vertex.digest));
      const same = rewriteSources(decoded, ({ identifier, attrs }) => ({ identifier, attrs, caps: [] }));
      expect(same).toBe(decoded);
      sources += kinds.length;
    }
    expect(sources).toBeGreaterThan(20);
  });
});

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, value >> 7];
}
