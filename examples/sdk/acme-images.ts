// A small SDK on top of kiln-engine: a step of its own, and a class whose methods say what the company needs.
//
// The step is written as the built-in ones are, so it shows up like them in progress, plans, lint, snapshots and errors.
// `atCallerOf` has steps and errors name the line of whoever calls the SDK, not a line of this file.
//
//   kiln build examples/sdk/image.ts --cwd examples/sdk -o oci:./out
import {
  argumentError,
  atCallerOf,
  checkStepOptions,
  defineStep,
  Image,
  modalLayer,
  type StepOptions,
  shellQuote,
} from "kiln-engine";

/** Options of {@link AcmeImage.tool}; those of every step that runs something among them. */
export interface ToolOptions extends StepOptions {
  /** The tool's script on this machine; relative to the build's working directory. */
  readonly script: string;
  /** A command that tells whether the tool works. Default: `NAME --version`. */
  readonly check?: string | undefined;
}

const installTool = defineStep({
  id: "acme.installTool",
  version: 1,
  validate({ name, options }: { readonly name: string; readonly options: ToolOptions }) {
    if (typeof name !== "string" || !/^[a-z][a-z0-9-]*$/.test(name)) {
      throw argumentError("tool", `${JSON.stringify(name)} is no name of a tool`, {
        hint: 'Small letters, digits and dashes: tool("greet", { script: "greet.sh" }).',
      });
    }
    const checked = checkStepOptions("tool", options, ["script", "check"]);
    const { script, check = `${name} --version` } = options;
    for (const [key, text] of Object.entries({ script, check })) {
      if (typeof text === "string" && text.trim() !== "") continue;
      throw argumentError("tool", `${key} must be a text`, {
        hint: `E.g. tool("${name}", { script: "${name}.sh" }).`,
      });
    }
    return { name, script, check, target: `/usr/local/bin/${name}`, options: checked };
  },
  title: ({ name }) => `acme.installTool ${name}`,
  options: ({ options }) => options,
  needs: ({ script }) => ({ files: { script: { path: script } } }),
  lower(chain, { name, check, target }, context) {
    const mounted = `/run/acme/${name}`;
    return context.run(chain, {
      argv: [
        "/bin/sh",
        "-ec",
        `mkdir -p /usr/local/bin; cp ${mounted} ${target}; chmod 0755 ${target}; ${check}`,
      ],
      command: check,
      files: [{ target: mounted, content: context.file("script") ?? "" }],
    });
  },
  traits: ({ check, target }) => ({ commands: [{ kind: "shell", text: check }], writes: [target] }),
  modal: ({ name, script, check, target }) => [
    modalLayer([`COPY /${name} ${target}`, `RUN chmod 0755 ${target} && sh -c ${shellQuote(check)}`], {
      [`/${name}`]: script,
    }),
  ],
});

/** An image as Acme's programs want it. Immutable; `image` is what `engine.build` takes. */
export class AcmeImage {
  readonly image: Image;

  constructor(base: Image) {
    this.image = base;
  }

  /** Starts from the base that Acme keeps. */
  static start(base = process.env["ACME_BASE"] ?? "debian:bookworm-slim"): AcmeImage {
    return atCallerOf(AcmeImage.start, () => new AcmeImage(Image.fromRegistry(base)));
  }

  /** Installs a tool from its script, and checks that it works. */
  tool(name: string, options: ToolOptions): AcmeImage {
    return atCallerOf(this.tool, () => new AcmeImage(this.image.step(installTool, { name, options })));
  }

  /** Sets what containers run, with the variables that Acme's services have. */
  service(command: readonly string[], { port }: { readonly port: number }): AcmeImage {
    return atCallerOf(
      this.service,
      () =>
        new AcmeImage(
          this.image
            .env({ PORT: String(port) })
            .expose(port)
            .entrypoint(command),
        ),
    );
  }
}
