import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { runCli } from "./support/run-cli.js";

interface Vector {
  readonly name: string;
  readonly definition: string;
  readonly digests: readonly string[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../conformance/vectors/llb-vectors.json", import.meta.url), "utf8"),
) as readonly Vector[];
const main = new URL("../../dist/cli/main.js", import.meta.url).pathname;

/** Runs the CLI with bytes in and bytes out. */
function pipe(args: readonly string[], input: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.once("error", reject);
    child.once("close", () => resolve(Buffer.concat(chunks)));
    child.stdin.end(input);
  });
}

it.each(vectors.filter(({ name }) => ["merge", "file-copy", "chain-50", "exec-proxy"].includes(name)))(
  "dumps and encodes Go's definition $name to the same bytes, each op with its digest",
  async ({ definition, digests }) => {
    const bytes = Buffer.from(definition, "base64");
    const json = await pipe(["llb", "dump"], bytes);
    const { def } = JSON.parse(json.toString("utf8")) as { def: readonly { digest: string }[] };
    expect(def.map(({ digest }) => digest)).toEqual(digests);
    expect((await pipe(["llb", "encode"], json)).equals(bytes)).toBe(true);
  },
);

it("keeps what it does not know: fields of a newer protocol survive dump and encode", async () => {
  const foreign = Buffer.concat([
    Buffer.from([0xba, 0x06, 0x02, 0x68, 0x69]),
    Buffer.from(vectors[0]?.definition ?? "", "base64"),
  ]);
  const json = await pipe(["llb", "dump"], foreign);
  expect((await pipe(["llb", "encode"], json)).equals(foreign)).toBe(true);
});

it("draws text and DOT", async () => {
  const bytes = Buffer.from(vectors.find(({ name }) => name === "merge")?.definition ?? "", "base64");
  expect((await pipe(["llb", "graph"], bytes)).toString("utf8")).toContain("merge");
  expect((await pipe(["llb", "graph", "--format", "dot"], bytes)).toString("utf8")).toMatch(/^digraph/);
});

it("refuses bytes that are no definition, and JSON that is none", async () => {
  const binary = await runCli(["llb", "dump"], { input: Buffer.from([0xff, 0xff, 0xff]) });
  expect(binary.code).toBe(2);
  expect(binary.stderr).toContain("[ERR_KILN_INVALID_DEFINITION]");
  const json = await runCli(["llb", "encode"], { input: Buffer.from("{") });
  expect(json.code).toBe(2);
  expect(json.stderr).toContain("not JSON");
});
