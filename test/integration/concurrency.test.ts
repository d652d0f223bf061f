import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Engine, Image, localDir } from "../../src/index.js";
import { baseLayout, describeOneEngine } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-many-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

describeOneEngine("modern", "many builds over one engine", ({ name, address }) => {
  it("builds fifty at once, each with a session, a tree and a result of its own", async () => {
    await using engine = await Engine.connect({ host: address });
    const stamp = `${name}-${Date.now()}`;
    const numbers = Array.from({ length: 50 }, (_, index) => index);
    const records = await Promise.all(
      numbers.map(async (number) => {
        const out = join(dir, `${name}-${number}`);
        const image = Image.fromOciLayout(baseLayout("busybox"))
          .runCommands(`echo "${stamp} ${number}" > /made`)
          .env({ NUMBER: String(number) })
          .runCommands('echo "$NUMBER" >> /made');
        return engine.build(image, { outputs: [localDir(out)] }).result;
      }),
    );
    expect(new Set(records.map(({ ref }) => ref)).size).toBe(50);
    for (const number of numbers) {
      expect(readFileSync(join(dir, `${name}-${number}`, "made"), "utf8")).toBe(
        `${stamp} ${number}\n${number}\n`,
      );
    }
  });

  it("lets forty-nine go on when one of fifty fails", async () => {
    await using engine = await Engine.connect({ host: address });
    const stamp = `${name}-${Date.now()}`;
    const outcomes = await Promise.allSettled(
      Array.from(
        { length: 50 },
        (_, number) =>
          engine.build(
            Image.fromOciLayout(baseLayout("busybox")).runCommands(
              number === 25 ? `echo ${stamp}; exit 25` : `echo "${stamp} ${number}"`,
            ),
          ).result,
      ),
    );
    const failed = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect(failed).toMatchObject([{ code: "ERR_KILN_STEP_FAILED", exitCode: 25 }]);
  });
});
