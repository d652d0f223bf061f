import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A request to {@link AwsStub}. */
export interface AwsRequest {
  /** `GetAuthorizationToken`, `AssumeRole`, … */
  readonly action: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Key id, region and service that the request was signed for; empty if it was not signed. */
  readonly signedFor: string;
}

/** AWS's token service and its registry's, on this machine. */
export interface AwsStub extends AsyncDisposable {
  readonly url: string;
  readonly requests: AwsRequest[];
  /** When the next passwords expire, ms since 1970. */
  expiresAt: number;
  /** Answer in place of passwords: status, `__type` and message. */
  refusal: readonly [status: number, type: string, message: string] | undefined;
}

/** Keys that the token service gives. */
export const temporary = {
  id: "ASIATEMPORARY0000001",
  secret: "temporary/Secret+Key",
  token: "temporary==Token",
} as const;

/** Starts a stub. Its passwords are `password-1`, `password-2`, … */
export async function startAws(): Promise<AwsStub> {
  let made = 0;
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk) => {
      body += String(chunk);
    });
    incoming.on("end", () => {
      const form = new URLSearchParams(body);
      const target = String(incoming.headers["x-amz-target"] ?? "");
      const action = target.split(".")[1] ?? form.get("Action") ?? "";
      const [, id = "", region = "", service = ""] =
        /Credential=([^/]+)\/\d+\/([^/]+)\/([^/]+)\//.exec(incoming.headers.authorization ?? "") ?? [];
      const signedFor = [id, region, service].filter((part) => part !== "").join(" ");
      stub.requests.push({ action, headers: incoming.headers, body, signedFor });
      if (action !== "GetAuthorizationToken") {
        const expires = new Date(Date.now() + 3_600_000).toISOString();
        response.writeHead(200, { "content-type": "text/xml" });
        response.end(
          `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials>` +
            `<AccessKeyId>${temporary.id}</AccessKeyId><SecretAccessKey>${temporary.secret}</SecretAccessKey>` +
            `<SessionToken>${temporary.token}</SessionToken><Expiration>${expires}</Expiration></Credentials>` +
            `</${action}Result></${action}Response>`,
        );
        return;
      }
      const [status = 200, type = "", message = ""] = stub.refusal ?? [];
      response.writeHead(status, { "content-type": "application/x-amz-json-1.1" });
      if (stub.refusal !== undefined) {
        response.end(JSON.stringify({ __type: type, message }));
        return;
      }
      made += 1;
      const authorizationToken = Buffer.from(`AWS:password-${made}`).toString("base64");
      const expiresAt = stub.expiresAt / 1000;
      response.end(JSON.stringify({ authorizationData: [{ authorizationToken, expiresAt }] }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stub: AwsStub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    expiresAt: Date.now() + 12 * 3_600_000,
    refusal: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}
