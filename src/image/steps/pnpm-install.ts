import { formatPlatform } from "../../oci/platform.js";
import type { BuilderVersion } from "../builder-version.js";
import { defineStep, type Step } from "../define-step.js";
import {
  checkJavaScriptInstall,
  installTitle,
  type JavaScriptInstallOptions,
} from "../javascript/install-options.js";
import { commandLine, npmCacheMount, npmEnvironment, projectDirectory } from "../javascript/npm-command.js";
import { pnpmWorkspace } from "../javascript/pnpm-workspace.js";
import { npmrcMounts, type ProjectLayout, projectMounts, projectNeeds } from "../javascript/project-files.js";
import { shellQuote } from "../shell-quote.js";

/** Options of `pnpmInstall`. */
export type PnpmInstallOptions = JavaScriptInstallOptions;

const layout: ProjectLayout = {
  locks: ["pnpm-lock.yaml"],
  others: ["pnpm-workspace.yaml", ".pnpmfile.cjs"],
  members(read) {
    JSON.parse(read("package.json") ?? "{}");
    return pnpmWorkspace(read("pnpm-workspace.yaml") ?? "");
  },
};

const tool = "/run/kiln/pnpm";
// Where pnpm has it by itself: it notes the place in node_modules, and refuses another one later.
const store = "/root/.local/share/pnpm/store";

/**
 * Installs packages for the whole image, or the dependencies of a project, by the builder version's pnpm, which the
 * image's npm fetches beside it and checks.
 */
export const pnpmInstall: Step<readonly unknown[]> = defineStep({
  id: "pnpmInstall",
  version: 1,
  validate: (input: readonly unknown[]) => checkJavaScriptInstall("pnpmInstall", input),
  title: (args) => installTitle("pnpmInstall", args),
  options: ({ options }) => options,
  needs: (args, context) => projectNeeds(args, layout, context),
  lower(chain, args, context) {
    const { project, registry } = args;
    const dir = projectDirectory(chain, args);
    const { file, listing, platform, builder } = context;
    const { files, lock } = projectMounts(args, layout, { dir, file, listing });
    const fetchTool = ["npm", "ci", `--prefix=${tool}`, "--ignore-scripts", "--loglevel=error"];
    const from = registry === undefined ? [] : [`--registry=${registry}`];
    const pnpm = ["node", `${tool}/node_modules/pnpm/bin/pnpm.cjs`];
    const frozen = lock === undefined ? "--no-lockfile" : "--frozen-lockfile";
    const words =
      project === undefined
        ? [...pnpm, "add", "--global"]
        : [...pnpm, "install", frozen, ...(project.omitDev ? ["--prod"] : [])];
    const command = `${[...fetchTool, ...from].map(shellQuote).join(" ")} && ${commandLine(words, args)}`;
    return context.run(chain, {
      ...{ argv: ["/bin/sh", "-c", command], command },
      ...(project === undefined ? {} : { dir }),
      env: [...npmEnvironment(args), ...pnpmEnvironment],
      caches: [
        npmCacheMount(platform),
        { target: store, id: `kiln-pnpm-${formatPlatform(platform)}`, sharing: "shared" },
      ],
      files: [...files, ...npmrcMounts(args, file)],
      dirs: [{ target: tool, files: pinned(builder), writable: true }],
    });
  },
  traits: ({ packages, registry }) => ({
    packages: packages.map((spec) => ({ manager: "npm", spec })),
    ...(registry === undefined ? {} : { urls: [registry] }),
  }),
});

const pnpmEnvironment: readonly (readonly [string, string])[] = [
  ["CI", "true"],
  ["NPM_CONFIG_STORE_DIR", store],
  ["NPM_CONFIG_CACHE_DIR", "/root/.npm/_pnpm/cache"],
  ["NPM_CONFIG_STATE_DIR", "/root/.npm/_pnpm/state"],
  // The store is another file system: nothing can be linked from it.
  ["NPM_CONFIG_PACKAGE_IMPORT_METHOD", "copy"],
  ["NPM_CONFIG_GLOBAL_DIR", "/usr/local/lib/pnpm"],
  ["NPM_CONFIG_GLOBAL_BIN_DIR", "/usr/local/bin"],
  // packageManager of a project would have it fetch another pnpm, and keep that.
  ["NPM_CONFIG_MANAGE_PACKAGE_MANAGER_VERSIONS", "false"],
];

/** A project of pnpm alone, with a lock file: npm refuses anything but what that pins. */
function pinned({ pnpm: { version, integrity } }: BuilderVersion): ReadonlyMap<string, string> {
  const root = { name: "kiln-pnpm", private: true, dependencies: { pnpm: version } };
  const packages = { "": root, "node_modules/pnpm": { version, integrity } };
  return new Map([
    ["package.json", JSON.stringify(root)],
    ["package-lock.json", JSON.stringify({ name: root.name, lockfileVersion: 3, requires: true, packages })],
  ]);
}
