import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { expect, it } from "vitest";
import { Engine } from "../../src/engine/engine.js";
import { Image } from "../../src/image/image.js";
import { Secret } from "../../src/image/secret.js";
import type { BuildEvent } from "../../src/model/events.js";
import { baseLayout, describeOneEngine } from "./support/engines.js";

const textOf = (events: readonly BuildEvent[], stream = "stdout"): string =>
  events.flatMap((event) => (event.type === "log" && event.stream === stream ? [event.text] : [])).join("");

describeOneEngine("older", "a secret that a step prints", ({ address }) => {
  it("shows in no event and no error of the build, however it is cut", async () => {
    await using engine = await Engine.connect({ host: address });
    const first = `tok en/${randomUUID()}`;
    const lines = [`one-${randomUUID()}`, `two-${randomUUID()}`];
    const secrets = [Secret.fromObject({ TOKEN: first, KEY: `${lines.join("\n")}\n` })];
    const image = Image.fromOciLayout(baseLayout("busybox")).runCommands(
      [
        'echo "whole: $TOKEN."',
        // One that comes in two messages.
        'printf "in parts: %s" "$(printf %s "$TOKEN" | head -c 20)"; sleep 1; printf "%s.\\n" "$(printf %s "$TOKEN" | tail -c +21)"',
        'echo "lines: $KEY"',
        'echo "error: $TOKEN" >&2',
        `echo "in a URL: https://me:${encodeURIComponent(first)}@example.com/"`,
        'printf "unfinished: %s" "$TOKEN"',
        "exit 3",
      ].join("; "),
      { secrets },
    );
    const build = engine.build(image);
    const events: BuildEvent[] = [];
    for await (const event of build) events.push(event);
    const error = await build.result.catch((reason: unknown) => reason);

    expect(error).toMatchObject({ code: "ERR_KILN_STEP_FAILED", exitCode: 3 });
    const printed = textOf(events);
    expect(printed).toContain("whole: ***.\n");
    expect(printed).toContain("in parts: ***.\n");
    expect(printed).toContain("lines: ***\n***\n");
    expect(textOf(events, "stderr")).toBe("error: ***\n");
    expect(printed).toContain("https://me:***@example.com/");
    expect(printed).toContain("unfinished: ***");
    expect((error as { readonly logTail: readonly string[] }).logTail).toContain("whole: ***.");
    // The URL is in the command itself, which is no secret's place: names of vertices say commands as they are.
    const said = inspect([events.filter(({ type }) => type === "log"), error], {
      depth: 20,
      maxStringLength: null,
      maxArrayLength: null,
    });
    for (const value of [first, ...lines]) expect(said).not.toContain(value);

    // What the daemon keeps is as it was printed, and so is what is read from there.
    const kept: BuildEvent[] = [];
    const client = await engine.client();
    for await (const event of client.follow(build.ref)) kept.push(event);
    expect(textOf(kept)).toContain(`whole: ${first}.`);
  });

  it("is masked in that build alone", async () => {
    await using engine = await Engine.connect({ host: address });
    const value = `value-${randomUUID()}`;
    const base = Image.fromOciLayout(baseLayout("busybox"));
    const printed = async (image: Image): Promise<string> => {
      const events: BuildEvent[] = [];
      const build = engine.build(image);
      for await (const event of build) events.push(event);
      await build.result;
      return textOf(events);
    };
    const secrets = [Secret.fromObject({ VALUE: value })];
    expect(await printed(base.runCommands(`echo "is $VALUE"; : ${randomUUID()}`, { secrets }))).toContain(
      "is ***",
    );
    expect(await printed(base.runCommands(`echo "is ${value}"`))).toContain(`is ${value}`);
  });

  it("is masked for every build that waits for the same step", async () => {
    await using one = await Engine.connect({ host: address });
    await using another = await Engine.connect({ host: address });
    const value = `value-${randomUUID()}`;
    const secrets = [Secret.fromObject({ VALUE: value })];
    const image = Image.fromOciLayout(baseLayout("busybox")).runCommands(
      `sleep 2; echo "is $VALUE"; : ${randomUUID()}`,
      { secrets },
    );
    const builds = [one.build(image), another.build(image)];
    const printed = await Promise.all(
      builds.map(async (build) => {
        const events: BuildEvent[] = [];
        for await (const event of build) events.push(event);
        await build.result;
        return textOf(events);
      }),
    );
    expect(printed).toEqual(["is ***\n", "is ***\n"]);
  });
});
