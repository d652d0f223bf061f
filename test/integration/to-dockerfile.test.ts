import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  defineStep,
  Engine,
  FilePatternMatcher,
  Image,
  registry as registryOutput,
  Secret,
  type ToDockerfileOptions,
} from "../../src/index.js";
import type { ContainerConfig } from "../../src/oci/index.js";
import { Client, openLocalTree } from "../../src/solver/index.js";
import { baseLayout, engines, registry } from "./support/engines.js";
import { inSoak, itLong } from "./support/long-tests.js";
import { type ReadImage, readRegistryImage } from "./support/registry-image.js";

const modern = engines().find(({ name }) => name === "modern");

let root: string;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "kiln-eject-"));
  const files: Readonly<Record<string, string>> = {
    "app/main.py": "print('main')\n",
    "app/logs/a.log": "log",
    "app/logs/keep.log": "kept",
    "app/deep/er/x.txt": "x",
    "app/.hidden": "hidden",
    "own.ignore": "# comment\n/deep\n",
    "tool.sh": "#!/bin/sh\necho tool\n",
    "a file": "spaces",
    "requirements.txt": "flask\n",
    Dockerfile: `ARG TAG=latest
FROM busybox:$TAG AS build
ARG WHO=nobody
# a comment
RUN echo "hello $WHO" \\
    > /greeting
RUN <<SCRIPT
mkdir -p /etc /made
echo app:x:1000:1000::/:/bin/sh > /etc/passwd
echo "FROM nothing AS fake" > /made/file
SCRIPT

FROM busybox:latest
COPY --from=build /greeting /greeting
COPY --from=0 /made /made
COPY --from=build /etc/passwd /etc/passwd
COPY app/main.py requirements.txt /src/
RUN --mount=type=bind,source=tool.sh,target=/tool.sh sh /tool.sh > /tooled
ENV FROM_FILE=yes
USER app
WORKDIR /work
LABEL made=file
CMD ["from", "file"]
`,
    "sub/Dockerfile": "FROM busybox:latest\nCOPY . /sub/\nCOPY extra /extra\n",
    "sub/one.txt": "1",
    "sub/extra": "2",
    "sub/skipped.txt": "3",
    "sub/Dockerfile.dockerignore": "skipped.txt\nDockerfile*\n",
    ".env.build": "DOTENV=from dotenv\n",
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    chmodSync(join(root, path), 0o644);
  }
  chmodSync(join(root, "tool.sh"), 0o750);
  chmodSync(join(root, "app/main.py"), 0o600);
  symlinkSync("main.py", join(root, "app/link"));
  if (modern === undefined) return;
  engine = await Engine.connect({ host: modern.address });
  client = await Client.connect(modern.address);
});

afterAll(async () => {
  rmSync(root, { recursive: true, force: true });
  await engine?.close();
  await client?.close();
});

const fresh = (): string => Math.random().toString(36).slice(2);
const base = (): Image => Image.fromRegistry("busybox:latest");
const debian = (): Image => Image.fromRegistry("debian:bookworm-slim");
const readFile = (path: string): Uint8Array | undefined => {
  const at = resolve(root, path);
  return existsSync(at) ? readFileSync(at) : undefined;
};

async function byKiln(image: Image): Promise<ReadImage> {
  const ref = `${registry()}/eject/kiln:${fresh()}`;
  await engine.build(image, { cwd: root, outputs: [registryOutput(ref)] }).result;
  return readRegistryImage(ref);
}

async function byFrontend(
  text: string,
  secrets: Readonly<Record<string, string>>,
  contexts: Readonly<Record<string, string>>,
): Promise<ReadImage> {
  const ref = `${registry()}/eject/frontend:${fresh()}`;
  const own = mkdtempSync(join(tmpdir(), "kiln-eject-file-"));
  writeFileSync(join(own, "Dockerfile"), text);
  try {
    await client.solve(
      { frontend: "dockerfile.v0", frontendOptions: { contexts } },
      {
        trees: new Map([
          ["context", openLocalTree(root)],
          ["dockerfile", openLocalTree(own)],
        ]),
        secrets,
        outputs: [registryOutput(ref)],
      },
    ).result;
  } catch (error) {
    throw new Error(`the frontend refused:\n${text}`, { cause: error });
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  return readRegistryImage(ref);
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);

/** What is compared of a config; an empty list is none. */
function configOf({ config }: ReadImage): Partial<ContainerConfig> {
  const { Env, Entrypoint, Cmd, WorkingDir, User, Labels, ExposedPorts, Healthcheck, Shell } =
    config.config ?? {};
  const { Volumes, StopSignal } = config.config ?? {};
  const all = { Env, Entrypoint, Cmd, User, Labels, ExposedPorts, Healthcheck, Shell, Volumes, StopSignal };
  // No directory is the root.
  const dir = { WorkingDir: isEmpty(WorkingDir) ? "/" : WorkingDir };
  return { ...Object.fromEntries(Object.entries(all).filter(([, value]) => !isEmpty(value))), ...dir };
}

function filesOf({ files }: ReadImage, except: readonly string[]): Readonly<Record<string, string>> {
  const shown = [...files].flatMap(([path, { type, mode, uid, gid, linkname, sha256 }]) => {
    if (except.some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) return [];
    const what = [type, mode.toString(8), `${uid}:${gid}`, linkname ?? "", sha256 ?? ""].join(" ");
    return [[path, what] as const];
  });
  return Object.fromEntries(shown.sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface Case {
  readonly image: () => Image;
  readonly options?: () => ToDockerfileOptions;
  /** For the frontend: a value for each secret. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly contexts?: () => Readonly<Record<string, string>>;
  /** What two builds of one and the same never have alike, and directories that only Docker makes. */
  readonly except?: readonly string[];
}

const note = defineStep({
  id: "thirdParty",
  version: 1,
  validate: (text: string) => text,
  title: (text) => `thirdParty ${text}`,
  needs: () => ({
    images: { tool: base().runCommands("echo from the tool > /tool") },
    bases: { other: { kind: "registry", ref: "docker.io/library/busybox:latest" } },
    trees: { app: { kind: "dir", path: "app", ignore: ["logs"], ignoreFiles: [], mode: "own" } },
  }),
  lower(chain, text, context) {
    const ran = context.run(chain, {
      script: [
        "cat /mounted/tool /notes/a.txt /notes/sub/b.txt > /seen",
        "ls /app /bb >> /seen",
        'echo "$NOTE" >> /seen; pwd >> /seen; touch /scratch/x',
      ].join("\n"),
      env: [["NOTE", `it's "${text}" $HOME \\`]],
      dir: "/some/dir",
      dirs: [
        {
          target: "/notes",
          files: new Map([
            ["a.txt", "a $HOME 'EOF'\nEOF\n"],
            ["sub/b.txt", "b\\\n"],
          ]),
        },
      ],
      images: [
        { target: "/mounted", image: "tool", from: "/" },
        { target: "/bb", image: "other", from: "/bin/busybox" },
      ],
      trees: [{ target: "/app", tree: "app" }],
      tmpfs: ["/scratch"],
    });
    const argv = context.run(ran, { argv: ["/bin/busybox", "touch", "/by argv", "/$HOME"] });
    return context.configure(argv, { kind: "label", entries: [["third", 'party "$quoted" \\']] });
  },
});

const cases: Readonly<Record<string, Case>> = {
  "apt and its caches": {
    image: () => debian().aptInstall("tree", { recommends: false }),
    except: ["var/log", "var/cache/ldconfig", "etc/ld.so.cache", "var/lib/dpkg"],
  },
  "commands with environment, secrets and certificates of their own": {
    image: () =>
      base().runCommands(
        'echo "$TOKEN $DOTENV $PLAIN" > /out; wc -c < /run/kiln/ca.pem >> /out',
        "env | grep -c PLAIN >> /out",
        {
          env: { PLAIN: "it's $not expanded" },
          secrets: [Secret.fromObject({ TOKEN: "secret" }), Secret.fromDotenv(".env.build")],
          caBundle: "ca.pem",
        },
      ),
    secrets: { TOKEN: "secret", DOTENV: "from dotenv", ca: "-----BEGIN CERTIFICATE-----\nx\n" },
  },
  "expansion of variables": {
    image: () =>
      base()
        .env({ A: "one", PATH: "/x:$PATH", EMPTY: "" })
        .env({ A: "new", B: "$A" })
        .env({
          // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the syntax under test
          C: "${A}-${UNSET:-de\"f'ault \\\\ {b} $A}-${EMPTY:-e}-${A:+set $B}",
          D: "\\$A $1 $$ ${A#n} ${ $- cost: 5$ \\ \" ' `x` <<EOF #no comment",
          // biome-ignore-end lint/suspicious/noTemplateCurlyInString: the syntax under test
          "WITH.DOT": " spaces  around ",
        })
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax under test
        .env({ RAW: "$A \\$B ${C}" }, { expand: false })
        .runCommands("env | sort > /env"),
  },
  "local files and directories": {
    image: () =>
      base()
        .addLocalDir("./app", "/app", { copy: true, ignore: ["**/*.log", "!logs/keep.log"] })
        .addLocalDir("app", "/normal", {
          copy: true,
          mode: "normalize",
          ignore: FilePatternMatcher.fromFile("own.ignore"),
        })
        .addLocalFile("tool.sh", "/bin/", { copy: true })
        .addLocalFile(join("sub", "..", "a file"), "/with space/a $file", { copy: true })
        .runCommands("/bin/tool.sh > /ran"),
  },
  "absolute local paths": {
    image: () => base().addLocalFile(join(root, "tool.sh"), "/tool", { copy: true }),
    options: () => ({ contextDir: root }),
  },
  "files of other images": {
    image: () => {
      const made = base().runCommands("mkdir -p /o/d; echo x > /o/d/x; chown 7:8 /o/d/x; ln -s x /o/d/l");
      const nested = base().copyFrom(made, "/o", "/nested").user("1000");
      return base()
        .copyFrom(nested, "/nested/d/", "/copied")
        .copyFrom(made, "/o/d/x", "/one/")
        .copyFrom(nested, "/nested");
    },
  },
  "working directories": {
    image: () =>
      base()
        .workdir("/work")
        .runCommands("pwd > here")
        .workdir("sub dir")
        .runCommands("pwd > here")
        .workdir("../$x"),
    // A WORKDIR makes its directory, a chain leaves that to the container.
    except: ["work/$x"],
  },
  "entrypoint, command, shell": {
    image: () =>
      base()
        .shell(["/bin/sh", "-euc"])
        .runCommands('echo "$- $0" > /flags')
        .cmd(["kept", 'with "quotes" and $VAR'])
        .entrypoint(["/e", "a\nb"])
        .env({ X: "1" }),
  },
  "a cleared entrypoint, and an inherited command dropped": {
    image: () =>
      Image.fromRegistry("debian:bookworm-slim").entrypoint(["/e"]).entrypoint([]).label({ a: "b" }),
  },
  "healthcheck, ports, labels": {
    image: () =>
      base()
        .healthcheck('test -f "$HOME/ok" || exit 1', { intervalMs: 1500, retries: 3, startPeriodMs: 1 })
        .expose(8080, "53/udp", "9000-9002")
        .label({ "com.example/a b": 'quotes " and $dollar \\ #', plain: "x", empty: "" }),
  },
  "a healthcheck's argv": { image: () => base().healthcheck(["/probe", "a b"]) },
  "scripts with quotes, dollars, heredocs and comments": {
    image: () =>
      base().runCommands(
        `cat > /script <<'EOF'
first '$HOME' "\${x%%y}" \\
# no comment
EOF
printf '%s\\n' "a  b" 'c' \\
  "d" > /args
`,
        "#!/bin/false\necho not a file of its own > /shebang",
        "  [ -d / ] && echo 'x' > /bracket  ",
        "[ -d / ] && echo y > /y",
        "echo '<<EOF' > /no-heredoc",
        "echo back\\\\slash > /back; echo end \\",
      ),
  },
  users: {
    image: () =>
      base()
        .runCommands("mkdir -p /etc; echo app:x:1000:1000::/:/bin/sh > /etc/passwd")
        .user("app")
        .workdir("/w")
        .runCommands("id -u > /uid")
        .dockerfileCommands("RUN id -u > /tmp/lines", "USER 0", "RUN id -u > /root-lines")
        .runCommands("id -u > /after")
        .user("app:1000"),
  },
  "lines of a Dockerfile": {
    image: () =>
      base()
        .env({ FROM_CHAIN: "c" })
        .cmd(["kept"])
        .dockerfileCommands(
          [
            "ARG WHO",
            'RUN echo "$FROM_CHAIN $WHO" > /lines',
            "COPY <<END /doc\n$FROM_CHAIN\nFROM inside AS text\nEND",
            "FROM busybox:latest AS tool",
            "RUN echo t > /t",
            "FROM base AS last",
            "COPY --from=tool /t /t",
            "COPY one.txt more/config /files/",
            "RUN --mount=from=tool,target=/m cat /m/t > /m-t",
            "EXPOSE 1234",
          ],
          {
            buildArgs: { WHO: 'it\'s "kiln" $x' },
            contextDir: "sub",
            ignore: ["skipped.txt"],
            contextFiles: { "more/config": "requirements.txt" },
          },
        )
        .entrypoint(["/e"])
        .runCommands("echo after > /after"),
  },
  "a Dockerfile, gone on from": {
    image: () =>
      Image.fromDockerfile("Dockerfile", { buildArgs: { WHO: "kiln" } })
        .runCommands('echo "$(id -u) $FROM_FILE $(pwd)" > /went-on')
        .entrypoint(["/drops-the-command"]),
  },
  "a Dockerfile alone, a stage of it": {
    image: () => Image.fromDockerfile("Dockerfile", { target: "build" }),
  },
  "a Dockerfile in a directory of its own": {
    image: () => Image.fromDockerfile("sub/Dockerfile", { contextDir: "sub" }),
  },
  "two Dockerfiles with stages of one name": {
    image: () =>
      Image.fromDockerfile("Dockerfile").copyFrom(
        Image.fromDockerfile("Dockerfile", { target: "build", buildArgs: { WHO: "two" } }),
        "/greeting",
        "/second",
      ),
  },
  "a third party's step": { image: () => base().step(note, "noted") },
  "files from nothing": {
    image: () => Image.fromScratch().addLocalDir("app", "/", { copy: true }).cmd(["/main.py"]),
  },
  "a layout": {
    image: () => Image.fromOciLayout(baseLayout("busybox"), { ref: "latest" }).runCommands("echo x > /x"),
    contexts: () => ({ "kiln-base-1": `docker-image://${registry()}/library/busybox:latest` }),
  },
};

describe.runIf(modern !== undefined)("a chain as a Dockerfile", () => {
  const sameImage = async (title: string): Promise<void> => {
    const { image, options, secrets = {}, contexts, except = [] } = cases[title] as Case;
    writeFileSync(join(root, "ca.pem"), "-----BEGIN CERTIFICATE-----\nx\n");
    const text = image().toDockerfile({ readFile, ...options?.() });
    const docker = await byFrontend(text, secrets, contexts?.() ?? {});
    const kiln = await byKiln(image());
    expect(configOf(docker), text).toEqual(configOf(kiln));
    expect(filesOf(docker, except), text).toEqual(filesOf(kiln, except));
  };
  const titles = Object.keys(cases);
  it.each(titles.filter((_, index) => index % 2 === 0))("makes the same image: %s", sameImage);
  itLong.each(titles.filter((_, index) => index % 2 === 1))(`makes the same image: %s ${inSoak}`, sameImage);

  it("is taken by docker buildx", async (ctx) => {
    const tools = resolve(import.meta.dirname, "../../.kiln/packages/peer-tools");
    const docker = join(tools, "usr/bin/docker");
    if (!existsSync(docker)) {
      ctx.skip("docker buildx is not in the prefix: `npm run bench -- transfer` fetches it");
    }
    const config = mkdtempSync(join(tmpdir(), "kiln-eject-docker-"));
    const plugins = [join(tools, "usr/libexec/docker/cli-plugins")];
    writeFileSync(join(config, "config.json"), JSON.stringify({ cliPluginsExtraDirs: plugins }));
    const titles = [
      ...["lines of a Dockerfile", "local files and directories", "a third party's step"],
      "expansion of variables",
    ];
    for (const title of titles) {
      const { image } = cases[title] as Case;
      const text = image().toDockerfile({ readFile });
      const ref = `${registry()}/eject/buildx:${fresh()}`;
      const args = ["buildx", "build", "--provenance=false", "--output", `type=registry,name=${ref}`];
      execFileSync(docker, [...args, "-f", "-", root], {
        input: text,
        env: {
          ...{ PATH: process.env["PATH"], HOME: config, DOCKER_CONFIG: config },
          DOCKER_HOST: `unix://${(modern?.address ?? "").replace(/^docker:\/\//, "")}`,
        },
        stdio: ["pipe", "pipe", "pipe"],
      });
      const [kiln, built] = [await byKiln(image()), await readRegistryImage(ref)];
      expect(configOf(built), text).toEqual(configOf(kiln));
      expect(filesOf(built, []), text).toEqual(filesOf(kiln, []));
    }
    rmSync(config, { recursive: true, force: true });
  });
});
