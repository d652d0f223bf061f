import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.js";
import { BytesMessageSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.js";
import { decodeBytesMessage, encodeBytesMessage } from "../../../src/rpc/bytes-message.js";
import { printable, translateCallError } from "../../../src/rpc/node-error.js";
import { RpcError } from "../../../src/rpc/rpc-error.js";
import { decodeStatusDetails } from "../../../src/rpc/status-details.js";

describe("BytesMessage", () => {
  it("is written as protobuf writes it and read back", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }), (chunks) => {
        const joined = Buffer.concat(chunks);
        const encoded = encodeBytesMessage(chunks);
        expect(
          encoded.equals(toBinary(BytesMessageSchema, create(BytesMessageSchema, { data: joined }))),
        ).toBe(true);
        expect(decodeBytesMessage(encoded).equals(joined)).toBe(true);
      }),
      { seed: 1 },
    );
  });

  it("skips unknown fields and refuses what is no message", () => {
    expect(decodeBytesMessage(Buffer.from([0x10, 0x05, 0x0a, 0x01, 0x41, 0x1d, 1, 2, 3, 4])).toString()).toBe(
      "A",
    );
    for (const bad of [[0x0a, 0x05, 0x41], [0x0a], [0x0f], [0x0a, ...Array<number>(11).fill(0xff)]]) {
      expect(() => decodeBytesMessage(Buffer.from(bad))).toThrow(RangeError);
    }
  });
});

function detail(typeUrl: string, json: object | string) {
  const value = new TextEncoder().encode(typeof json === "string" ? json : JSON.stringify(json));
  return { typeUrl: `github.com/moby/buildkit/${typeUrl}+json`, value };
}

function trailer(...details: readonly ReturnType<typeof detail>[]): Buffer {
  return Buffer.from(
    toBinary(StatusSchema, create(StatusSchema, { code: 2, message: "m", details: [...details] })),
  );
}

it("decodes BuildKit's error details, in Go's JSON and in protobuf's", () => {
  const decoded = decodeStatusDetails(
    trailer(
      detail("errdefs.Vertex", { digest: "sha256:a" }),
      detail("gatewayapi.ExitMessage", { Code: 42 }),
      detail("errdefs.Source", {
        info: { filename: "f.ts" },
        ranges: [{ start: { line: 3 }, end: { line: 4, character: 2 } }],
      }),
      detail("errdefs.Solve", { inputIDs: ["i"], mountIDs: ["m"], description: { a: "b" } }),
      detail("stack.Stack", { version: "v1", frames: [{ Name: "f", File: "x.go", Line: 7 }] }),
      detail("new.Thing", { a: 1 }),
      detail("errdefs.Vertex", "not json"),
    ),
  );
  expect(decoded.map(({ kind }) => kind)).toEqual([
    "vertex",
    "exitMessage",
    "source",
    "solve",
    "stack",
    "other",
    "other",
  ]);
  expect(decoded[1]).toEqual({ kind: "exitMessage", exitCode: 42 });
  expect(decoded[2]).toMatchObject({
    filename: "f.ts",
    ranges: [{ startLine: 3, endLine: 4, endCharacter: 2 }],
  });
  expect(decoded[4]).toMatchObject({ frames: [{ name: "f", file: "x.go", line: 7 }] });
  expect(decodeStatusDetails(new Uint8Array([255]))).toEqual([]);
});

function serviceError(code: number, details: string, raw?: Buffer): Error {
  const metadata = {
    get: (key: string) => (key === "grpc-status-details-bin" && raw !== undefined ? [raw] : []),
  };
  return Object.assign(new Error(details), { code, details, metadata });
}

it.each([
  [
    "No connection established. Last error: connect ENOENT /x.sock",
    false,
    "ERR_KILN_CONNECT_FAILED",
    "start the daemon",
  ],
  ["connect EACCES /x.sock", false, "ERR_KILN_CONNECT_FAILED", "docker group"],
  ["connect ECONNREFUSED /x.sock", false, "ERR_KILN_CONNECT_FAILED", "`kiln engine up` if it is Kiln's own"],
  ["getaddrinfo ENOTFOUND nope", false, "ERR_KILN_CONNECT_FAILED", "does not resolve"],
  ["unable to verify the first certificate", false, "ERR_KILN_TLS", "--tlscacert"],
  ["read ECONNRESET", true, "ERR_KILN_CONNECTION_LOST", "restarted daemon"],
])("says what to do about %s", (text, wasReady, code, hint) => {
  const error = translateCallError(serviceError(14, text), {
    address: "docker:///x.sock",
    wasReady,
  }) as RpcError;
  expect(error).toBeInstanceOf(RpcError);
  expect(error.code).toBe(code);
  expect(error.hint).toContain(hint);
  expect(error.message).toContain("docker:///x.sock");
});

it("says of a port that it may be another", () => {
  const error = translateCallError(serviceError(14, "connect ECONNREFUSED 127.0.0.1:5"), {
    address: "tcp://127.0.0.1:5",
    wasReady: false,
  }) as RpcError;
  expect(error.hint).toBe("Nothing listens there: start the daemon, or check the port.");
});

it("keeps status and details of the daemon's own errors", () => {
  const raw = trailer(detail("errdefs.Vertex", { digest: "sha256:a" }));
  const error = translateCallError(serviceError(5, "no such job x", raw), {
    address: "unix:///x",
    wasReady: true,
  }) as RpcError;
  expect(error).toMatchObject({
    code: "ERR_KILN_RPC",
    status: 5,
    statusName: "NOT_FOUND",
    details: [{ kind: "vertex" }],
  });
  const other = new TypeError("not a status");
  expect(translateCallError(other, { address: "", wasReady: true })).toBe(other);
});

it("prints no credentials and no control characters of others", () => {
  expect(printable("GET https://user:secret@host/x\u001b[31m\u0000\tok\n")).toBe(
    "GET https://***@host/x[31m\tok\n",
  );
});
