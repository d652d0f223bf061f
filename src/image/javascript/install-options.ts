import { argumentError, checkLocalPath, describe, splitVariadic } from "../check-args.js";
import { type CheckedStepOptions, checkFlag, checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `npmInstall` and `pnpmInstall`. */
export interface JavaScriptInstallOptions extends StepOptions {
  /**
   * Directory on this machine whose `package.json` is installed, in place of packages by name: with its lock file exactly
   * what that says, without one what the registry has now. Neither file stays in the image, `node_modules` does.
   */
  readonly project?: string | undefined;
  /** Directory of the image that a project's `node_modules` go into; default: the image's working directory. */
  readonly workdir?: string | undefined;
  /** Leave out a project's `devDependencies`. Default false. */
  readonly omitDev?: boolean | undefined;
  /** Go by a project's lock file if there is one; `false` ignores it. Default true. */
  readonly frozen?: boolean | undefined;
  /** Address of the registry to install from; default: the one that the image is set to. */
  readonly registry?: string | undefined;
  /**
   * A `.npmrc` on this machine to go by, which does not stay in the image. Tokens in it must be variables
   * (`${NPM_TOKEN}`) that the option `secrets` gives.
   */
  readonly npmrc?: string | undefined;
  /** Further options of the command, put into the shell as they are. */
  readonly extraOptions?: string | undefined;
}

/** {@link JavaScriptInstallOptions} and packages, checked. */
export interface JavaScriptInstall {
  readonly packages: readonly string[];
  /** `undefined` = the packages, for the whole image. */
  readonly project: CheckedProject | undefined;
  readonly registry: string | undefined;
  readonly npmrc: string | undefined;
  readonly extraOptions: string | undefined;
  readonly options: CheckedStepOptions;
}

/** Which project is installed, and how. */
export interface CheckedProject {
  readonly path: string;
  readonly workdir: string | undefined;
  readonly omitDev: boolean;
  readonly frozen: boolean;
}

const projectKeys = ["workdir", "omitDev", "frozen"] as const;

/**
 * Checks what `npmInstall` or `pnpmInstall` was called with. Throws `ERR_KILN_INVALID_ARGUMENT` and
 * `ERR_KILN_UNKNOWN_OPTION` with the place of the call.
 */
export function checkJavaScriptInstall(call: string, input: readonly unknown[]): JavaScriptInstall {
  const { items, options } = splitVariadic<JavaScriptInstallOptions>(call, input);
  const moreKeys = ["project", ...projectKeys, "registry", "npmrc", "extraOptions"];
  const checked = checkStepOptions(call, options, moreKeys);
  for (const item of items) checkPackage(call, item);
  if (items.length === 0 && options?.project === undefined) {
    throw argumentError(call, "names neither packages nor a project", {
      hint: `Write ${call}("typescript@5.6.3") or ${call}({ project: "." }).`,
    });
  }
  return {
    packages: [...new Set(items)],
    project: checkProject(call, items, options ?? {}),
    registry: checkRegistry(call, options?.registry),
    npmrc: options?.npmrc === undefined ? undefined : checkLocalPath(call, options.npmrc),
    extraOptions: checkExtraOptions(call, options?.extraOptions),
    options: checked,
  };
}

/** What a step of this kind is called in progress. */
export function installTitle(call: string, { packages, project }: JavaScriptInstall): string {
  return `${call} ${project === undefined ? packages.join(" ") : `(project ${project.path})`}`;
}

function checkProject(
  call: string,
  packages: readonly string[],
  options: JavaScriptInstallOptions,
): CheckedProject | undefined {
  const { project, workdir } = options;
  if (project === undefined) {
    const key = projectKeys.find((each) => options[each] !== undefined);
    if (key === undefined) return undefined;
    throw argumentError(call, `${key} is for a project, and packages by name are for the whole image`, {
      hint: `Leave it out, or write ${call}({ project: "." }).`,
    });
  }
  if (packages.length > 0) {
    throw argumentError(call, "installs either packages by name or a project, not both", {
      hint: `Write two steps: ${call}(${JSON.stringify(packages[0])}) and ${call}({ project: "." }).`,
    });
  }
  if (workdir !== undefined && (typeof workdir !== "string" || workdir === "" || workdir.includes("\0"))) {
    throw argumentError(call, `workdir must be a path inside the image, got ${describe(workdir)}`, {
      hint: 'Write workdir: "/app".',
    });
  }
  if (typeof project !== "string" || project === "" || project.includes("\0")) {
    throw argumentError(call, `project must be a directory on this machine, got ${describe(project)}`, {
      hint: 'Write project: ".", the directory with the package.json.',
    });
  }
  return {
    path: project,
    workdir,
    omitDev: checkFlag(call, "omitDev", options.omitDev, false),
    frozen: checkFlag(call, "frozen", options.frozen, true),
  };
}

function checkPackage(call: string, spec: string): void {
  if (spec.trim() === "" || /[\0\n]/.test(spec)) {
    throw argumentError(call, `${describe(spec)} is no package`, {
      hint: `Write ${call}("typescript@5.6.3").`,
    });
  }
  if (spec.startsWith("-")) {
    throw argumentError(call, `"${spec}" is a flag, not a package`, {
      hint: `Write ${call}("typescript", { extraOptions: ${JSON.stringify(spec)} }).`,
    });
  }
  if (/^(?:\.{0,2}\/|\.{1,2}$|~\/|(?:file|link|workspace|portal):)/.test(spec)) {
    throw argumentError(call, `"${spec}" is a path on this machine, which is not in the image`, {
      hint: `Write ${call}({ project: "./app" }) for a project; add the files and use runCommands for a package in them.`,
    });
  }
}

function checkRegistry(call: string, registry: unknown): string | undefined {
  if (registry === undefined) return undefined;
  let url: URL | undefined;
  try {
    url = typeof registry === "string" ? new URL(registry) : undefined;
  } catch {
    url = undefined;
  }
  if (typeof registry !== "string" || (url?.protocol !== "https:" && url?.protocol !== "http:")) {
    throw argumentError(call, "registry must be an address", {
      hint: 'Write registry: "https://npm.example.com/".',
    });
  }
  if (url.username !== "" || url.password !== "") {
    // Not shown: it holds a password.
    throw argumentError(
      call,
      "registry must not hold a name or a password: they would be in the build's definition",
      {
        hint: `Write an .npmrc with //HOST/:_authToken=\${NPM_TOKEN}, and give it by npmrc and the token by secrets.`,
      },
    );
  }
  return registry;
}

function checkExtraOptions(call: string, text: unknown): string | undefined {
  if (text === undefined) return undefined;
  if (typeof text === "string" && text.trim() !== "" && !/[\0\n]/.test(text)) return text.trim();
  throw argumentError(call, `extraOptions must be one line of text, got ${describe(text)}`, {
    hint: 'Write extraOptions: "--legacy-peer-deps".',
  });
}
