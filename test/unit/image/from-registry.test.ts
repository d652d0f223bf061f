import { describe, expect, it } from "vitest";
import { FrontendNeeded } from "../../../src/image/frontend-question.js";
import { Image } from "../../../src/image/image.js";
import { Secret } from "../../../src/image/secret.js";
import { needsWith, planOf } from "./compiled.js";
import { thrown } from "./thrown.js";

const hush = "hush-do-not-tell";
const basic = Secret.fromObject({ REGISTRY_USERNAME: "me", REGISTRY_PASSWORD: hush });
const aws = Secret.fromObject({
  AWS_ACCESS_KEY_ID: "AK",
  AWS_SECRET_ACCESS_KEY: hush,
  AWS_REGION: "eu-west-1",
});
const gcp = Secret.fromEnv("SERVICE_ACCOUNT_JSON");
const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:1";
const artifacts = "europe-docker.pkg.dev/project/repository/app:1";

describe("credentials", () => {
  it.each([
    [
      "fromRegistry",
      Image.fromRegistry("ghcr.io/me/app", { secret: basic }),
      "basic",
      "ghcr.io/me/app:latest",
    ],
    [
      "fromRegistry with a secret alone",
      Image.fromRegistry("ghcr.io/me/app:2", basic),
      "basic",
      "ghcr.io/me/app:2",
    ],
    ["fromAwsEcr", Image.fromAwsEcr(ecr, { secret: aws }), "aws", ecr],
    ["fromAwsEcr with a secret alone", Image.fromAwsEcr(ecr, aws), "aws", ecr],
    [
      "fromAwsEcr with a role",
      Image.fromAwsEcr(ecr, Secret.fromEnv("AWS_ROLE_ARN", "AWS_REGION")),
      "aws",
      ecr,
    ],
    ["fromGcpArtifactRegistry", Image.fromGcpArtifactRegistry(artifacts, { secret: gcp }), "gcp", artifacts],
    [
      "a secret by name",
      Image.fromRegistry("ghcr.io/me/app:3", Secret.fromName("hub")),
      "basic",
      "ghcr.io/me/app:3",
    ],
  ])("of %s are needed for the base alone", (_title, image, kind, ref) => {
    const { needs } = needsWith(image);
    expect(needs.bases).toEqual([
      expect.objectContaining({ kind: "registry", id: "0.base", ref, auth: { kind, secret: "0.registry" } }),
    ]);
    expect(needs.secrets).toMatchObject([{ id: "0.registry", use: "registry" }]);
    expect(JSON.stringify([image.toSnapshot(), needs, image.toModalLayers()])).not.toContain(hush);
  });

  it.each([
    ["no secret at all", Image.fromRegistry("ghcr.io/me/app")],
    ["ECR without one", Image.fromAwsEcr(ecr)],
    ["Google's without one", Image.fromGcpArtifactRegistry("gcr.io/project/app")],
  ])("are the engine's own: %s", (_title, image) => {
    const { needs } = needsWith(image);
    expect(needs.secrets).toEqual([]);
    expect(needs.bases[0]).toMatchObject({ auth: undefined });
  });

  const wrong: readonly (readonly [string, () => unknown, string, RegExp, RegExp])[] = [
    [
      "secrets in the plural",
      () => Image.fromAwsEcr(ecr, { secrets: [aws] } as never),
      "ERR_KILN_UNKNOWN_OPTION",
      /"secrets"/,
      /singular 'secret'/,
    ],
    [
      "no Secret",
      () => Image.fromRegistry("debian", { secret: hush as never }),
      "ERR_KILN_INVALID_ARGUMENT",
      /must be a Secret/,
      /REGISTRY_USERNAME and REGISTRY_PASSWORD/,
    ],
    [
      "a secret without the password",
      () => Image.fromRegistry("debian", Secret.fromObject({ REGISTRY_USERNAME: "me" })),
      "ERR_KILN_INVALID_ARGUMENT",
      /must hold REGISTRY_USERNAME and REGISTRY_PASSWORD/,
      /It holds REGISTRY_USERNAME\./,
    ],
    [
      "half of AWS's keys",
      () => Image.fromAwsEcr(ecr, Secret.fromEnv("AWS_ACCESS_KEY_ID")),
      "ERR_KILN_INVALID_ARGUMENT",
      /AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN/,
      /AWS_ACCESS_KEY_ID/,
    ],
    [
      "a secret for another registry",
      () => Image.fromGcpArtifactRegistry(artifacts, aws),
      "ERR_KILN_INVALID_ARGUMENT",
      /SERVICE_ACCOUNT_JSON/,
      /AWS_REGION/,
    ],
    [
      "another registry than ECR",
      () => Image.fromAwsEcr("ghcr.io/me/app", aws),
      "ERR_KILN_INVALID_REFERENCE",
      /ghcr\.io is no registry of this kind/,
      /ACCOUNT\.dkr\.ecr/,
    ],
    [
      "the public ECR",
      () => Image.fromAwsEcr("public.ecr.aws/docker/library/debian"),
      "ERR_KILN_INVALID_REFERENCE",
      /public\.ecr\.aws/,
      /Image\.fromRegistry/,
    ],
    [
      "another registry than Google's",
      () => Image.fromGcpArtifactRegistry("debian", gcp),
      "ERR_KILN_INVALID_REFERENCE",
      /docker\.io/,
      /pkg\.dev/,
    ],
    [
      "a platform",
      () => Image.fromRegistry("debian", { platform: "linux/arm64" } as never),
      "ERR_KILN_UNKNOWN_OPTION",
      /"platform"/,
      /engine\.build/,
    ],
    [
      "snake case",
      () => Image.fromRegistry("debian", { force_build: true } as never),
      "ERR_KILN_UNKNOWN_OPTION",
      /"force_build"/,
      /"forceBuild"/,
    ],
    [
      "setup that is no list",
      () => Image.fromRegistry("debian", { setupDockerfileCommands: "RUN x" as never }),
      "ERR_KILN_INVALID_ARGUMENT",
      /list of lines, got "RUN x"/,
      /\["RUN/,
    ],
  ];
  it.each(wrong)("are refused: %s", (_title, call, code, message, hint) => {
    const error = thrown(call);
    expect(error).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
      location: { file: import.meta.filename },
    });
    expect(`${error.message} ${error.hint}`).not.toContain(hush);
  });

  it.each([
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a",
    "123456789012.dkr-ecr.eu-west-1.on.aws/a",
  ])("know ECR by its other names: %s", (ref) => {
    expect(needsWith(Image.fromAwsEcr(ref, aws)).needs.bases).toHaveLength(1);
  });
});

describe("setup commands", () => {
  const image = Image.fromRegistry("debian", { setupDockerfileCommands: ["RUN a", "ENV B=1"] });

  it("are a Dockerfile on top of the base", () => {
    expect(needsWith(image).needs.usesDockerfile).toBe(true);
    let question: unknown;
    try {
      planOf(image, {}, { Env: ["A=1"] });
    } catch (error) {
      if (!(error instanceof FrontendNeeded)) throw error;
      question = error.question;
    }
    expect(question).toMatchObject({ id: "0.dockerfile.setup", text: "FROM base\nRUN a\nENV B=1\n" });
  });

  it("become what the frontend answers", () => {
    const answer = {
      definition: undefined,
      config: { architecture: "amd64", os: "linux", config: { Env: ["A=1", "B=1"] } },
    };
    const plan = planOf(
      image.env({ C: "$B" }),
      {},
      {},
      { frontends: new Map([["0.dockerfile.setup", answer]]) },
    );
    expect(plan.config.config?.Env).toEqual(["A=1", "B=1", "C=1"]);
  });

  it("are there for Modal and for lint", () => {
    expect(image.toModalLayers()).toEqual([
      { commands: ["FROM debian", "RUN a", "ENV B=1"], contextFiles: {} },
    ]);
  });
});

it("asks for a base anew with forceBuild, and runs all that follows", () => {
  const image = Image.fromRegistry("debian", { forceBuild: true }).runCommands("x", "y");
  expect(needsWith(image).needs.bases).toMatchObject([{ refresh: true }]);
  const plan = planOf(image);
  const forced = plan.definition?.ops.filter(
    ({ digest }) => plan.definition?.metadata.get(digest)?.ignoreCache,
  );
  expect(forced).toHaveLength(2);
  expect(needsWith(Image.fromRegistry("debian")).needs.bases[0]).not.toHaveProperty("refresh");
});
