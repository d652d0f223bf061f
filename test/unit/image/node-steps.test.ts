import { describe, expect, it } from "vitest";
import { builderVersion } from "../../../src/image/builder-version.js";
import { Image } from "../../../src/image/image.js";
import { Secret } from "../../../src/image/secret.js";
import type { ContainerConfig } from "../../../src/oci/image-config.js";
import { execsOf, type LocalFiles, madeFiles, needsWith, planOf } from "./compiled.js";
import { thrown } from "./thrown.js";

const base = Image.node();
const both = ["npmInstall", "pnpmInstall"] as const;

/** The command of a chain's one exec, and where its mounts are. */
function commandOf(image: Image, local: LocalFiles = {}, config: ContainerConfig = {}) {
  const plan = planOf(image, local, config);
  const [exec, ...others] = execsOf(plan);
  expect(others).toEqual([]);
  return {
    command: exec?.meta?.args.at(-1) ?? "",
    cwd: exec?.meta?.cwd,
    env: exec?.meta?.env ?? [],
    caches: exec?.mounts.flatMap(({ dest, cacheOpt }) => (cacheOpt === undefined ? [] : [dest])),
    binds: exec?.mounts
      .filter(({ dest, cacheOpt }) => cacheOpt === undefined && !["/", "/run/kiln/mark"].includes(dest))
      .map(({ dest }) => dest),
    plan,
  };
}

describe("packages by name", () => {
  it("are installed for the whole image by npm, in the order written", () => {
    const image = base.npmInstall("typescript@5.6.3", "@scope/tool@>=1 <2", "typescript@5.6.3", {
      registry: "https://npm.example.com/",
      extraOptions: "--legacy-peer-deps --omit=optional",
    });
    const { command, caches, binds, env, cwd } = commandOf(image, {}, { WorkingDir: "/w" });
    expect(command).toBe(
      "npm install --global --registry=https://npm.example.com/ --legacy-peer-deps --omit=optional -- typescript@5.6.3 '@scope/tool@>=1 <2'",
    );
    expect({ caches, binds, cwd }).toEqual({ caches: ["/root/.npm"], binds: [], cwd: "/w" });
    expect(env).toContain("NPM_CONFIG_CACHE=/root/.npm");
  });

  it("are installed by a pnpm that is pinned and does not stay", () => {
    const { command, caches, binds, plan } = commandOf(base.pnpmInstall(["typescript@5.6.3"]));
    expect(command).toBe(
      "npm ci --prefix=/run/kiln/pnpm --ignore-scripts --loglevel=error && node /run/kiln/pnpm/node_modules/pnpm/bin/pnpm.cjs add --global -- typescript@5.6.3",
    );
    expect(caches?.sort()).toEqual(["/root/.local/share/pnpm/store", "/root/.npm"]);
    expect(binds).toEqual(["/run/kiln/pnpm"]);
    const { version, integrity } = builderVersion().pnpm;
    const lock = madeFiles(plan).find((text) => text.includes("lockfileVersion")) ?? "{}";
    expect(JSON.parse(lock).packages["node_modules/pnpm"]).toEqual({ version, integrity });
  });

  it.each(both)("make no step when there are none: %s", (method) => {
    expect(base[method]()).toBe(base);
    expect(base[method]([])).toBe(base);
    expect(base[method]({ registry: "https://npm.example.com/" })).toBe(base);
  });

  it.each(both)("are traits for lint, and no step of Modal's: %s", (method) => {
    const image = base[method]("a@1", { registry: "https://npm.example.com/" });
    expect(image.steps[1]?.traits({ builder: builderVersion() })).toEqual({
      packages: [{ manager: "npm", spec: "a@1" }],
      urls: ["https://npm.example.com/"],
    });
    expect(thrown(() => image.toModalLayers())).toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining(method),
    });
  });
});

describe("a project", () => {
  const manifest = JSON.stringify({ dependencies: { "left-pad": "1.3.0" } });

  it.each([
    [
      "npm by its lock file",
      base.npmInstall({ project: "app" }),
      { "app/package.json": manifest, "app/package-lock.json": "{}" },
      "npm ci",
      ["/w/package-lock.json", "/w/package.json"],
    ],
    [
      "npm by its shrinkwrap first",
      base.npmInstall({ project: "./app/", omitDev: true }),
      { "app/package.json": manifest, "app/package-lock.json": "{}", "app/npm-shrinkwrap.json": "{}" },
      "npm ci --omit=dev",
      ["/w/npm-shrinkwrap.json", "/w/package.json"],
    ],
    [
      "npm without a lock file",
      base.npmInstall({ project: "." }),
      { "package.json": manifest },
      "npm install --no-save --no-package-lock",
      ["/w/package.json"],
    ],
    [
      "npm whatever is locked",
      base.npmInstall({ project: ".", frozen: false, workdir: "/srv" }),
      { "package.json": manifest, "package-lock.json": "{}" },
      "npm install --no-save --no-package-lock",
      ["/srv/package.json"],
    ],
    [
      "pnpm by its lock file",
      base.pnpmInstall({ project: ".", omitDev: true, workdir: "sub" }),
      { "package.json": manifest, "pnpm-lock.yaml": "x", ".pnpmfile.cjs": "" },
      "install --frozen-lockfile --prod",
      ["/run/kiln/pnpm", "/w/sub/.pnpmfile.cjs", "/w/sub/package.json", "/w/sub/pnpm-lock.yaml"],
    ],
    [
      "pnpm without a lock file",
      base.pnpmInstall({ project: "." }),
      { "package.json": manifest, "pnpm-workspace.yaml": "onlyBuiltDependencies:\n  - esbuild\n" },
      "install --no-lockfile",
      ["/run/kiln/pnpm", "/w/package.json", "/w/pnpm-workspace.yaml"],
    ],
  ])("is installed into the image's directory: %s", (_title, image, local: LocalFiles, expected, mounts) => {
    const { command, binds, cwd } = commandOf(image, local, { WorkingDir: "/w" });
    expect(
      command
        .split(" && ")
        .at(-1)
        ?.replace(/^node \S+ /, ""),
    ).toBe(expected);
    expect([...(binds ?? [])].sort()).toEqual(mounts);
    expect(mounts.every((mount) => mount.startsWith("/run/") || mount.startsWith(`${cwd}/`))).toBe(true);
  });

  it.each([
    ["npm's list", "npmInstall", { workspaces: ["packages/*"] }, {}],
    ["npm's object", "npmInstall", { workspaces: { packages: ["./packages/*/"] } }, {}],
    [
      "pnpm's list",
      "pnpmInstall",
      {},
      { "pnpm-workspace.yaml": "packages: # all\n  - 'packages/*'\n\nx: 1\n" },
    ],
    ["pnpm's list in one line", "pnpmInstall", {}, { "pnpm-workspace.yaml": 'packages: ["packages/*"]\n' }],
  ] as const)("brings the manifests of its workspace: %s", (_title, method, root, more) => {
    const image = base[method]({ project: "." });
    const local = { "package.json": JSON.stringify(root), ...more };
    const { needs } = needsWith(image, local);
    expect(needs.listings).toMatchObject([
      { path: ".", patterns: ["packages/*/package.json", "!**/node_modules"] },
    ]);
    // What the listing finds is read and mounted.
    const listed = needsWithListing(image, local, ["packages/a/package.json", "packages/b/package.json"]);
    expect(listed).toEqual(expect.arrayContaining(["packages/a/package.json", "packages/b/package.json"]));
  });

  it.each([
    ["no JSON", { "package.json": "{" }, "ERR_KILN_INVALID_ARGUMENT", "package.json is not JSON"],
    [
      "members outside",
      { "package.json": JSON.stringify({ workspaces: ["../other"] }) },
      "ERR_KILN_UNSUPPORTED",
      "../other",
    ],
  ])(
    "is refused by the build for %s, with the place of the call",
    (_title, local: LocalFiles, code, message) => {
      for (const image of [base.npmInstall({ project: "." })]) {
        expect(thrown(() => needsWith(image, local))).toMatchObject({
          code,
          message: expect.stringContaining(message),
          location: { file: import.meta.filename },
        });
      }
    },
  );

  function needsWithListing(image: Image, local: LocalFiles, found: readonly string[]): readonly string[] {
    const { needs, files } = needsWith(image, local);
    const [listing] = needs.listings;
    if (listing === undefined) throw new Error("nothing is listed");
    const context = {
      builder: builderVersion(),
      file: (key: string) => files.get(`1.${key}`),
      listing: () => found,
    };
    return Object.keys(image.steps[1]?.needs(context).files ?? {});
  }
});

describe("an .npmrc", () => {
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: npm's own way of writing variables
  it.each(both)("is seen by the command and not kept: %s", (method) => {
    const secrets = [Secret.fromObject({ NPM_TOKEN: "hush" })];
    const image = base[method]("a", { npmrc: "ci.npmrc", secrets });
    const text = "//npm.example.com/:_authToken=${NPM_TOKEN}\n";
    const plan = planOf(
      image,
      { "ci.npmrc": text },
      {},
      {
        secrets: new Map([["1.options.secret.0", [{ env: "NPM_TOKEN", id: "kiln.object1.NPM_TOKEN" }]]]),
      },
    );
    const [exec] = execsOf(plan);
    expect(exec?.meta?.env).toContain("NPM_CONFIG_USERCONFIG=/run/kiln/npmrc");
    expect(exec?.mounts.map(({ dest }) => dest)).toContain("/run/kiln/npmrc");
    expect(exec?.secretenv).toMatchObject([{ name: "NPM_TOKEN" }]);
    expect(madeFiles(plan)).toContain(text);
  });
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: npm's own way of writing variables

  it.each([
    "//npm.example.com/:_authToken=npm_hush",
    "_auth = aHVzaA==",
    '//npm.example.com/:_password="hush"',
  ])("must hold no secret itself: %s", (line) => {
    const error = thrown(() =>
      needsWith(base.npmInstall("a", { npmrc: "r" }), { r: `registry=x\n${line}\n` }),
    );
    expect(error).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      message: expect.stringContaining("r:2:"),
      hint: expect.stringContaining("NPM_TOKEN"),
      location: { file: import.meta.filename },
    });
    expect(`${error.message}${error.hint}`).not.toMatch(/hush|aHVzaA/);
  });
});

describe.each(both)("%s refuses at the call", (method) => {
  const wrong: readonly (readonly [string, readonly unknown[], string, RegExp])[] = [
    ["a flag", ["--global"], "ERR_KILN_INVALID_ARGUMENT", /extraOptions: "--global"/],
    ["a local path", ["./app"], "ERR_KILN_INVALID_ARGUMENT", /project: ".\/app"/],
    ["a file", ["file:../x"], "ERR_KILN_INVALID_ARGUMENT", /project/],
    ["the directory itself", ["."], "ERR_KILN_INVALID_ARGUMENT", /project/],
    ["an empty name", [" "], "ERR_KILN_INVALID_ARGUMENT", /typescript@/],
    ["a number", [1], "ERR_KILN_INVALID_ARGUMENT", /\("a", "b"\)/],
    ["packages and a project", ["a", { project: "." }], "ERR_KILN_INVALID_ARGUMENT", /two steps/],
    ["a project that is none", [{ project: "" }], "ERR_KILN_INVALID_ARGUMENT", /project: "\."/],
    ["a lock for packages", ["a", { frozen: true }], "ERR_KILN_INVALID_ARGUMENT", /project: "\."/],
    [
      "a directory that is none",
      [{ project: ".", workdir: 1 }],
      "ERR_KILN_INVALID_ARGUMENT",
      /workdir: "\/app"/,
    ],
    ["a flag that is none", [{ project: ".", omitDev: "yes" }], "ERR_KILN_INVALID_ARGUMENT", /omitDev: true/],
    [
      "a registry that is none",
      ["a", { registry: "npm.example.com" }],
      "ERR_KILN_INVALID_ARGUMENT",
      /https:/,
    ],
    [
      "extra options in a list",
      ["a", { extraOptions: ["-f"] }],
      "ERR_KILN_INVALID_ARGUMENT",
      /extraOptions: "/,
    ],
    ["snake case", ["a", { extra_options: "-f" }], "ERR_KILN_UNKNOWN_OPTION", /extraOptions/],
  ];
  it.each(wrong)("%s", (_title, args, code, hint) => {
    expect(thrown(() => base[method](...(args as readonly string[])))).toMatchObject({
      code,
      hint: expect.stringMatching(hint),
      location: { file: import.meta.filename },
    });
  });

  it("a password in the registry's address, without showing it", () => {
    const error = thrown(() => base[method]("a", { registry: "https://me:hush@npm.example.com/" }));
    expect(error.message).toMatch(/name or a password/);
    expect(`${error.message}${error.hint}`).not.toContain("hush");
  });
});
