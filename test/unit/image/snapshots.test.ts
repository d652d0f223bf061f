import { describe, expect, it } from "vitest";
import { compile } from "../../../src/image/compile.js";
import { defineStep } from "../../../src/image/define-step.js";
import { FilePatternMatcher } from "../../../src/image/file-pattern-matcher.js";
import { Image } from "../../../src/image/image.js";
import { Secret } from "../../../src/image/secret.js";
import { digest, facts } from "./facts.js";

const base = Image.fromRegistry("debian");
const copy = { copy: true } as const;

/** A step whose arguments are these. */
const having = defineStep({
  id: "acme.having",
  version: 3,
  validate: (args: Readonly<Record<string, unknown>>) => args,
  title: () => "acme.having",
  lower: (chain) => chain,
});
const snapshot = (args: Readonly<Record<string, unknown>>): string =>
  Image.fromScratch().step(having, args).toSnapshot().replace("fromScratch v1\n", "");

describe("the snapshot of an image", () => {
  it("shows each step with all that was asked for", () => {
    const image = base
      .aptInstall("git", { recommends: false, env: { A: "1" } })
      .addLocalDir("app", "/app", { copy: true, ignore: ["*.log"] })
      .env({ PORT: "80" })
      .runCommands("make", { secrets: [Secret.fromObject({ TOKEN: "hunter2" })], timeoutMs: 5 })
      .copyFrom(Image.fromRegistry("nginx").runCommands("nginx -t"), "/etc/nginx");
    expect(image.toSnapshot()).toMatchInlineSnapshot(`
      "fromRegistry v1
        ref: "docker.io/library/debian:latest"
        written: "debian"
      aptInstall v1
        options:
          env: [["A","1"]]
        packages: ["git"]
      addLocalDir v1
        ignore: ["*.log"]
        localPath: "app"
        mode: "own"
        remotePath: "/app"
      env v1
        entries: [["PORT","80"]]
        expand: true
      runCommands v1
        commands: ["make"]
        options:
          secrets: ["Secret.fromObject({ TOKEN })"]
          timeoutMs: 5
      copyFrom v1
        from: "/etc/nginx"
        image:
          fromRegistry v1
            ref: "docker.io/library/nginx:latest"
            written: "nginx"
          runCommands v1
            commands: ["nginx -t"]
        to: "/etc/nginx"
      "
    `);
  });

  it("holds no value of a secret", () => {
    const image = base.runCommands("true", { secrets: [Secret.fromObject({ TOKEN: "hunter2" })] });
    expect(image.toSnapshot()).toContain("Secret.fromObject({ TOKEN })");
    expect(snapshot({ deep: [{ secret: Secret.fromObject({ TOKEN: "hunter2" }) }] })).not.toContain(
      "hunter2",
    );
    expect(image.toSnapshot()).not.toContain("hunter2");
  });

  it("is the same whatever the order of keys, and for what is left out or empty", () => {
    expect(snapshot({ b: { d: 1, c: [{ z: 1, y: 2 }] }, a: 1 })).toBe(
      snapshot({
        a: 1,
        b: { c: [{ y: 2, z: 1 }], d: 1 },
        e: undefined,
        f: [],
        g: {},
        h: false,
        i: { j: [] },
      }),
    );
    expect(snapshot({ a: true })).not.toBe(snapshot({ a: false }));
    expect(snapshot({ a: [1, 2] })).not.toBe(snapshot({ a: [2, 1] }));
    expect(snapshot({ a: "" })).not.toBe(snapshot({ a: undefined }));
  });

  it("is the same for paths as Windows and others write them, and keeps other backslashes", () => {
    const chain = (slash: string): Image => {
      const at = (...parts: string[]): string => parts.join(slash);
      return base
        .addLocalDir(at("src", "web"), "/a\\b", {
          copy: true,
          ignore: FilePatternMatcher.fromFile(at("src", ".dockerignore")),
        })
        .addLocalFile(at("src", "a.txt"), "/a", copy)
        .copyFrom(Image.fromOciLayout(at("..", "layouts", "base")), "/x")
        .runCommands("printf 'a\\nb'", {
          secrets: [Secret.fromDotenv(at("env", "prod.env"))],
          caBundle: at("certs", "ca.pem"),
        });
    };
    expect(chain("\\").toSnapshot()).toBe(chain("/").toSnapshot());
    expect(chain("\\").toSnapshot()).toContain("src/web");
    expect(chain("\\").toSnapshot()).toContain("printf 'a\\\\nb'");
    expect(chain("\\").toSnapshot()).toContain("/a\\\\b");
  });

  it("shows bytes, maps, sets, dates and big numbers, in lists too", () => {
    expect(
      snapshot({
        bytes: new Uint8Array([0xff, 0]),
        buffer: Buffer.from("text\r\nlines"),
        date: new Date(0),
        big: 5n,
        map: new Map([
          ["b", 2],
          ["a", 1],
        ]),
        set: new Set(["x"]),
        list: [new TextEncoder().encode("in a list"), { f: () => 1 }, undefined],
        images: [Image.fromScratch().label({ a: "b" })],
      }),
    ).toMatchInlineSnapshot(`
      "acme.having v3
        big: "5n"
        buffer: "text\\nlines"
        bytes: "base64:/wA="
        date: "1970-01-01T00:00:00.000Z"
        images: [["fromScratch v1","label v1","  [[\\"a\\",\\"b\\"]]"]]
        list: ["in a list",{},null]
        map:
          a: 1
          b: 2
        set: ["x"]
      "
    `);
  });

  it("tells bytes that are no text from each other", () => {
    expect(snapshot({ a: new Uint8Array([0xff]) })).not.toBe(snapshot({ a: new Uint8Array([0xfe]) }));
  });
});

describe("the snapshot of a plan", () => {
  const layout = (store: string) =>
    new Map([["0.base", { kind: "oci-layout", store, digest, config: { config: {} } as never } as const]]);

  it("shows steps, config and ops, without what names the machine or the build", () => {
    const image = base.addLocalDir("app", "/app", copy).env({ A: "1" }).runCommands("make");
    const plan = compile(
      image,
      facts({}, { force: { kind: "apart", nonce: "n0nce" }, localUniqueId: "s3ss10n" }),
    );
    expect(plan.toSnapshot()).toMatchInlineSnapshot(`
      "platform linux/amd64
      builder 2026.11
      step 0 fromRegistry debian
      step 1 addLocalDir app → /app
      step 2 env A
      step 3 runCommands make

      config {
       "Env": [
        "A=1"
       ]
      }

      #1 source docker-image://docker.io/library/debian:latest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa [linux/amd64]
         description kiln.step: 0
         description kiln.step.source: true
         description llb.customname: "from docker.io/library/debian:latest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         caps source.image
      #2 source local://<tree 1.source>
         local.sharedkeyhint: <tree 1.source>
         local.unique: <this build>
         description kiln.step: 1
         description kiln.step.source: true
         description llb.customname: "load addLocalDir app → /app"
         caps source.local source.local.sharedkeyhint source.local.unique
      #3 file
         0: on #1 copy / from #2 to /app dirCopyContents createDestPath time 315532802000000000 -> .0
         description kiln.step: 1
         description llb.customname: "addLocalDir app → /app"
         caps file.base
      #4 exec /bin/sh -c make [linux/amd64]
         env A=1
         mount / from #3 -> .0
         mount /run/kiln/nonce secret kiln.nonce.<nonce> 0:0 0400 optional
         description kiln.step: 3
         description kiln.step.command: 0
         description llb.customname: "runCommands make"
         caps exec.meta.base exec.mount.bind exec.mount.secret
      result #4
      "
    `);
  });

  it("is the same with other names of trees and layouts, another session and another nonce", () => {
    const image = base.addLocalDir("app", "/app", copy).addLocalDir("web", "/web", copy).runCommands("make");
    const made = (mark: string): string =>
      compile(
        image,
        facts(
          {},
          {
            bases: layout(`store-${mark}`),
            trees: new Map([
              ["1.source", { name: `kiln-${mark}1`, sharedKeyHint: `${mark}1` }],
              ["2.source", { name: `kiln-${mark}12`, sharedKeyHint: `${mark}12` }],
            ]),
            localUniqueId: `unique-${mark}`,
            force: { kind: "apart", nonce: `nonce-${mark}` },
          },
        ),
      ).toSnapshot();
    expect(made("m1m1")).toBe(made("n2n2"));
    expect(made("m1m1")).not.toContain("m1m1");
  });

  it("is the same for paths as Windows and others write them, and keeps other backslashes", () => {
    const made = (slash: string): string => {
      const ca = ["certs", "ca.pem"].join(slash);
      const image = base
        .addLocalDir(["src", "web"].join(slash), "/a", copy)
        .runCommands("printf 'a\\nb'", { caBundle: ca });
      return compile(
        image,
        facts({}, { caBundles: new Map([["2.options.ca", `kiln.ca.${ca}`]]) }),
      ).toSnapshot();
    };
    expect(made("\\")).toBe(made("/"));
    expect(made("\\")).toContain("step 1 addLocalDir src/web → /a");
    expect(made("\\")).toContain("step 2 runCommands printf 'a\\nb'");
    expect(made("\\")).toContain("kiln.ca.certs/ca.pem");
  });

  it("holds no value of a secret", () => {
    const secret = Secret.fromObject({ TOKEN: "hunter2" });
    const plan = compile(
      base.runCommands("true", { secrets: [secret] }),
      facts({}, { secrets: new Map([["1.options.secret.0", [{ env: "TOKEN", id: "kiln.0.TOKEN" }]]]) }),
    );
    expect(plan.toSnapshot()).toContain("kiln.0.TOKEN");
    expect(plan.toSnapshot()).not.toContain("hunter2");
  });

  it("shows the ops of images that files are copied of", () => {
    const image = base.copyFrom(Image.fromRegistry("debian").runCommands("nginx -t"), "/etc");
    const { bases } = facts();
    const withNested = new Map([...bases, ["1.source/0.base", bases.get("0.base")!]]);
    expect(compile(image, facts({}, { bases: withNested })).toSnapshot()).toContain("nginx -t");
  });
});
