import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { KilnError } from "../../../src/errors.js";
import type { Credentials } from "../../../src/session/credentials.js";
import { importPackage, type PackageLoader } from "../../../src/session/registry-credentials/aws-sdk.js";
import {
  credentialsFor,
  type RegistryAuthKind,
} from "../../../src/session/registry-credentials/credentials-for.js";
import type { SecretValues } from "../../../src/session/registry-credentials/credentials-problem.js";
import { parseEcrHost } from "../../../src/session/registry-credentials/ecr-host.js";
import { ExpiringCache } from "../../../src/session/registry-credentials/expiring-cache.js";
import { withRegistryCredentials } from "../../../src/session/registry-credentials/with-registry-credentials.js";
import { type AwsStub, startAws, temporary } from "./aws-stub.js";

const location = { file: "recipe.ts", line: 3, column: 7 };
const ecrHost = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

let dir: string;
let aws: AwsStub;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-credentials-"));
  aws = await startAws();
});

afterEach(async () => {
  await aws[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

type Options = Partial<Parameters<typeof credentialsFor>[3]>;

function find(
  kind: RegistryAuthKind,
  host: string,
  values: SecretValues,
  options: Options = {},
): Promise<Credentials> {
  const env = { PATH: dir, AWS_ENDPOINT_URL: aws.url };
  return credentialsFor(kind, host, values, { env, location, cache: new ExpiringCache(), ...options });
}

async function problem(...args: Parameters<typeof find>): Promise<KilnError> {
  const error = await find(...args).then(
    () => undefined,
    (reason: unknown) => reason as KilnError,
  );
  if (error === undefined) throw new Error("there is no problem");
  // Whatever it says, it says nothing of what the secret holds.
  const said = `${error.stack} ${error.hint} ${JSON.stringify(error)} ${String(error.cause)}`;
  for (const [key, value] of Object.entries(args[2])) {
    if (value !== "" && !/^AWS_(?:REGION|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE)$/.test(key)) {
      expect(said).not.toContain(value);
    }
  }
  expect(error.location).toEqual(location);
  return error;
}

describe("name and password of a registry", () => {
  it("are those of the secret", async () => {
    const values = { REGISTRY_USERNAME: "$oauthtoken", REGISTRY_PASSWORD: "p:a ß ", OTHER: "x" };
    const expected = { username: "$oauthtoken", secret: "p:a ß " };
    expect(await find("basic", "nvcr.io", values)).toEqual(expected);
  });

  it("that are missing are told by their names, with those that are there", async () => {
    expect(
      await problem("basic", "ghcr.io", { REGISTRY_USERNAME: "me-myself", TOKEN: "t0ps3cret" }),
    ).toMatchObject({
      code: "ERR_KILN_SECRET_NOT_FOUND",
      message:
        "the secret with the credentials for ghcr.io lacks REGISTRY_PASSWORD; it has REGISTRY_USERNAME, TOKEN",
    });
    const empty = { REGISTRY_USERNAME: "", REGISTRY_PASSWORD: "" };
    expect((await problem("basic", "ghcr.io", empty)).message).toContain(
      "lacks REGISTRY_USERNAME and REGISTRY_PASSWORD; it has nothing",
    );
  });
});

describe("the key of a Google service account", () => {
  const key = JSON.stringify({ type: "service_account", client_email: "a@b", private_key: "-----KEY-----" });
  const values = { SERVICE_ACCOUNT_JSON: `${key}\n` };

  it.each(["europe-docker.pkg.dev", "us-central1-docker.pkg.dev", "gcr.io", "eu.gcr.io"])(
    "is the password for %s",
    async (host) => {
      expect(await find("gcp", host, values)).toEqual({ username: "_json_key", secret: key });
    },
  );

  it.each(["docker.io", "evilgcr.io", "pkg.dev", "a.pkg.dev.example.com", "x.y.gcr.io", "gcr.io:443"])(
    "is not given to %s",
    async (host) => {
      expect(await problem("gcp", host, values)).toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
    },
  );

  it.each([
    ["/home/me/key.json", "is no JSON"],
    ['{"type":"service_account","private_key":"SECRETPART', "is not valid JSON"],
    ['{"type":"authorized_user","refresh_token":"SECRETPART"}', "is not the key of a service account"],
    ['"SECRETPART"', "is not the key of a service account"],
    ['{"type":"service_account","client_email":"SECRETPART"}', "has no private_key"],
  ])("is not %s", async (text, why) => {
    const error = await problem("gcp", "gcr.io", { SERVICE_ACCOUNT_JSON: text });
    expect(error).toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT", message: expect.stringContaining(why) });
    expect(error.hint).toContain("not the path");
    expect(`${error.stack} ${error.hint}`).not.toContain("SECRETPART");
  });

  it("must be there", async () => {
    expect(await problem("gcp", "gcr.io", {})).toMatchObject({ code: "ERR_KILN_SECRET_NOT_FOUND" });
  });
});

describe("a host of Amazon's ECR", () => {
  it.each([
    [ecrHost, { region: "eu-central-1", fips: false, dualStack: false }],
    [
      "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
      { region: "us-gov-west-1", fips: true, dualStack: false },
    ],
    [
      "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
      { region: "cn-north-1", fips: false, dualStack: false },
    ],
    ["123456789012.dkr-ecr.us-west-2.on.aws", { region: "us-west-2", fips: false, dualStack: true }],
    ["123456789012.dkr-ecr-fips.us-east-1.on.aws", { region: "us-east-1", fips: true, dualStack: true }],
    ["123456789012.dkr.ecr.us-west-2.on.aws", undefined],
    ["1234.dkr.ecr.eu-central-1.amazonaws.com", undefined],
    [`${ecrHost}.example.com`, undefined],
    [`evil-${ecrHost}`, undefined],
    [`${ecrHost}:443`, undefined],
    ["public.ecr.aws", undefined],
  ])("is read from its name alone: %s", (host, expected) => {
    expect(parseEcrHost(host)).toEqual(expected);
  });

  it("is the only one that gets keys of AWS", async () => {
    const values = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: "s3cretKey" };
    expect(await problem("aws", "ghcr.io", values)).toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
    expect((await problem("aws", "public.ecr.aws", values)).hint).toContain("leave the credentials out");
    expect(aws.requests).toEqual([]);
  });
});

const keys = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE00000001", AWS_SECRET_ACCESS_KEY: "s3cret/Key+ofTheAccount" };
const arn = "arn:aws:iam::123456789012:role/puller";

describe("a password of ECR by AWS's SDK", () => {
  it("is asked for with the secret's keys, in the registry's region", async () => {
    const values = { ...keys, AWS_SESSION_TOKEN: "session==", AWS_REGION: "us-east-1" };
    expect(await find("aws", ecrHost, values)).toEqual({ username: "AWS", secret: "password-1" });
    expect(aws.requests).toMatchObject([
      {
        action: "GetAuthorizationToken",
        signedFor: `${keys.AWS_ACCESS_KEY_ID} eu-central-1 ecr`,
        headers: { "x-amz-security-token": "session==" },
      },
    ]);
  });

  it("is asked for in a role that a token gives, in the secret or in a file", async () => {
    const file = join(dir, "token");
    writeFileSync(file, "token-of-the-file\n");
    const role = { AWS_ROLE_ARN: arn, AWS_REGION: "us-east-1" };
    const env = { AWS_ENDPOINT_URL_ECR: aws.url, AWS_ENDPOINT_URL_STS: aws.url };
    const cases = [
      [{ AWS_WEB_IDENTITY_TOKEN: "token-of-the-secret" }, env, "token-of-the-secret"],
      [{ AWS_WEB_IDENTITY_TOKEN_FILE: file }, env, "token-of-the-file"],
      [{}, { ...env, AWS_WEB_IDENTITY_TOKEN_FILE: file }, "token-of-the-file"],
    ] as const;
    for (const [more, environment, token] of cases) {
      aws.requests.length = 0;
      await find("aws", ecrHost, { ...role, ...more }, { env: environment });
      const [taken, asked] = aws.requests;
      expect(taken).toMatchObject({ action: "AssumeRoleWithWebIdentity", signedFor: "" });
      const form = Object.fromEntries(new URLSearchParams(taken?.body));
      expect(form).toMatchObject({ RoleArn: arn, RoleSessionName: "kiln", WebIdentityToken: token });
      expect(asked).toMatchObject({
        action: "GetAuthorizationToken",
        signedFor: `${temporary.id} eu-central-1 ecr`,
        headers: { "x-amz-security-token": temporary.token },
      });
    }
  });

  it("is asked for in a role that keys give", async () => {
    const values = {
      ...keys,
      AWS_ROLE_ARN: arn,
      AWS_ROLE_SESSION_NAME: "ci-42",
      AWS_REGION: "us-east-1",
    };
    // The machine's own token is for another role.
    const env = { AWS_ENDPOINT_URL: aws.url, AWS_WEB_IDENTITY_TOKEN_FILE: "/nonexistent" };
    await find("aws", ecrHost, values, { env });
    const [taken, asked] = aws.requests;
    expect(taken).toMatchObject({
      action: "AssumeRole",
      signedFor: `${keys.AWS_ACCESS_KEY_ID} us-east-1 sts`,
    });
    expect(Object.fromEntries(new URLSearchParams(taken?.body))).toMatchObject({ RoleSessionName: "ci-42" });
    expect(asked?.signedFor).toBe(`${temporary.id} eu-central-1 ecr`);
  });

  it("is kept until five minutes before it expires, by access and host", async () => {
    let now = Date.now();
    const cache = new ExpiringCache<Credentials>(() => now);
    const ask = async (values: SecretValues, host = ecrHost): Promise<string> =>
      (await find("aws", host, values, { cache })).secret;
    // At the same time, too.
    expect(await Promise.all([ask(keys), ask(keys)])).toEqual(["password-1", "password-1"]);
    now = aws.expiresAt - 5 * 60_000 - 1000;
    expect(await ask(keys)).toBe("password-1");
    expect(await ask({ ...keys, AWS_SECRET_ACCESS_KEY: "another-key" })).toBe("password-2");
    expect(await ask(keys, ecrHost.replace("123456789012", "210987654321"))).toBe("password-3");
    now = aws.expiresAt - 5 * 60_000;
    expect(await ask(keys)).toBe("password-4");
  });

  it("that is refused is an error without anything that was sent, and is asked for anew", async () => {
    const message = `bad signature of ${keys.AWS_SECRET_ACCESS_KEY} token session==\nThe Canonical String: session==`;
    aws.refusal = [400, "InvalidSignatureException", message];
    const cache = new ExpiringCache<Credentials>();
    const error = await problem("aws", ecrHost, { ...keys, AWS_SESSION_TOKEN: "session==" }, { cache });
    expect(error).toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
      message: `no credentials for ${ecrHost}: AWS gave none for the keys: InvalidSignatureException: bad signature of *** token ***`,
    });
    aws.refusal = undefined;
    expect(await find("aws", ecrHost, keys, { cache })).toMatchObject({ username: "AWS" });
  });

  it("that nobody answers is an error, and a caller who gives up is not kept", async () => {
    const env = { AWS_ENDPOINT_URL: "http://127.0.0.1:1" };
    expect(await problem("aws", ecrHost, keys, { env })).toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
    const abort = new AbortController();
    const never: PackageLoader = () => new Promise(() => {});
    const asked = find("aws", ecrHost, keys, { loadSdk: never, signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(asked).rejects.toThrow("enough");
  });

  it("needs something in the secret that gives access", async () => {
    const some = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_REGION: "us-east-1" };
    expect((await problem("aws", ecrHost, some)).message).toContain(
      "lacks AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN; it has AWS_ACCESS_KEY_ID, AWS_REGION",
    );
    expect((await problem("aws", ecrHost, { AWS_ROLE_ARN: arn })).message).toContain(
      "AWS_WEB_IDENTITY_TOKEN_FILE",
    );
    const missing = { AWS_ROLE_ARN: arn, AWS_WEB_IDENTITY_TOKEN_FILE: join(dir, "none") };
    expect((await problem("aws", ecrHost, missing)).message).toContain("does not exist");
  });
});

describe("without AWS's SDK", () => {
  const notInstalled: PackageLoader = (name) => {
    const error = new Error(`Cannot find package '${name}' imported from /x`);
    return Promise.reject(Object.assign(error, { code: "ERR_MODULE_NOT_FOUND" }));
  };
  /** The machine's own variables, which say that somebody else asks. */
  const machine = (): Record<string, string> => ({
    PATH: `${dir}:${process.env["PATH"]}`,
    AWS_PROFILE: "somebody",
    AWS_ROLE_ARN: "arn:somebody",
    AWS_SESSION_TOKEN: "somebodys",
    AWS_CA_BUNDLE: "/etc/ca.pem",
  });

  function helper(script: string): void {
    const path = join(dir, "docker-credential-ecr-login");
    writeFileSync(path, `#!/bin/sh\nread host\nenv | grep ^AWS_ | sort > ${dir}/env\n${script}\n`, {
      mode: 0o755,
    });
  }
  const answer = `echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"AWS\\",\\"Secret\\":\\"of $host\\"}"`;

  it("Amazon's credential helper is asked, as the holder of the secret's keys and of nothing else", async () => {
    helper(answer);
    const found = await find("aws", ecrHost, keys, { env: machine(), loadSdk: notInstalled });
    expect(found).toEqual({ username: "AWS", secret: `of ${ecrHost}` });
    expect(readFileSync(join(dir, "env"), "utf8").trim().split("\n")).toEqual([
      `AWS_ACCESS_KEY_ID=${keys.AWS_ACCESS_KEY_ID}`,
      "AWS_CA_BUNDLE=/etc/ca.pem",
      "AWS_ECR_DISABLE_CACHE=true",
      "AWS_REGION=eu-central-1",
      `AWS_SECRET_ACCESS_KEY=${keys.AWS_SECRET_ACCESS_KEY}`,
    ]);
  });

  it("Amazon's credential helper takes on a role by a token in a file", async () => {
    helper(answer);
    const values = { AWS_ROLE_ARN: arn, AWS_WEB_IDENTITY_TOKEN_FILE: "/run/token", AWS_REGION: "us-east-1" };
    await find("aws", ecrHost, values, { env: machine(), loadSdk: notInstalled });
    expect(readFileSync(join(dir, "env"), "utf8")).toContain(
      `AWS_REGION=us-east-1\nAWS_ROLE_ARN=${arn}\nAWS_ROLE_SESSION_NAME=kiln\nAWS_WEB_IDENTITY_TOKEN_FILE=/run/token\n`,
    );
  });

  it("a helper that fails is an error without what it prints", async () => {
    helper("env; exit 1");
    const options = { env: machine(), loadSdk: notInstalled };
    expect(await problem("aws", ecrHost, keys, options)).toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
      message: expect.stringContaining("exit code 1"),
    });
    helper("echo credentials not found; exit 1");
    expect((await problem("aws", ecrHost, keys, options)).message).toContain("found none");
  });

  it("and without the helper both ways out are told", async () => {
    const options = { env: { PATH: dir }, loadSdk: notInstalled };
    const error = await problem("aws", ecrHost, keys, options);
    expect(error).toMatchObject({
      code: "ERR_KILN_UNAUTHORIZED",
      message: expect.stringContaining(
        "neither @aws-sdk/client-ecr nor docker-credential-ecr-login is installed",
      ),
    });
    expect(error.hint).toContain("npm install @aws-sdk/client-ecr");
    expect(error.hint).toContain("PATH");
  });

  it("what the helper cannot use is told, with the packages that can", async () => {
    helper(answer);
    const role = { AWS_ROLE_ARN: arn };
    for (const values of [
      { ...role, AWS_WEB_IDENTITY_TOKEN: "tok3n" },
      { ...role, ...keys },
    ]) {
      const error = await problem("aws", ecrHost, values, { env: machine(), loadSdk: notInstalled });
      expect(error.message).toContain(
        "@aws-sdk/client-ecr and @aws-sdk/credential-providers is not installed",
      );
    }
    // The one package without the other.
    const half: PackageLoader = (name) =>
      name.endsWith("providers") ? notInstalled(name) : importPackage(name);
    const error = await problem("aws", ecrHost, { ...role, ...keys }, { env: machine(), loadSdk: half });
    expect(error.message).toContain(`: @aws-sdk/credential-providers is not installed`);
    // For keys it is enough.
    await find("aws", ecrHost, keys, { loadSdk: half });
  });

  it("a package that is there and broken is told, not passed over", async () => {
    helper(answer);
    const broken: PackageLoader = () => Promise.reject(new SyntaxError("Unexpected token"));
    const another: PackageLoader = () => Promise.resolve({ ECR: class {} });
    const options = { env: machine() };
    const first = await problem("aws", ecrHost, keys, { ...options, loadSdk: broken });
    expect(first.message).toContain("Unexpected token");
    const second = await problem("aws", ecrHost, keys, { ...options, loadSdk: another });
    expect(second.message).toContain("@aws-sdk/client-ecr is not the one that is wanted");
  });
});

describe("credentials by host", () => {
  const asked: string[] = [];
  const base = (host: string): Promise<Credentials> => {
    asked.push(host);
    return Promise.resolve({ username: "base", secret: host });
  };
  const { signal } = new AbortController();
  const login = (username: string) => () => Promise.resolve({ username, secret: "s" });

  it("answer for their hosts, Docker Hub under all of its names, and pass others on", async () => {
    const provider = withRegistryCredentials(
      base,
      new Map([
        ["docker.io", login("hub")],
        ["ghcr.io", login("github")],
      ]),
    );
    for (const host of ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]) {
      expect(await provider(host, signal)).toMatchObject({ username: "hub" });
    }
    expect(await provider("ghcr.io", signal)).toMatchObject({ username: "github" });
    expect(asked).toEqual([]);
    expect(await provider("ghcr.io:443", signal)).toMatchObject({ username: "base" });
  });

  it("are not covered up by others when they fail", async () => {
    const provider = withRegistryCredentials(
      base,
      new Map([["ghcr.io", () => Promise.reject(new Error("refused"))]]),
    );
    await expect(provider("ghcr.io", signal)).rejects.toThrow("refused");
  });
});
