import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, image as registryImage } from "../../src/llb/index.js";
import { Client, type SolveError, type SolveEvent } from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";

const speed = { limit: "speed", limitBytes: 200 * 1024 };
const size = { limit: "size", limitBytes: 2 * 1024 * 1024 };

describeEachEngine("output that the daemon clips", ({ address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  const run = (script: string) =>
    marshal(
      registryImage(`${registry()}/library/busybox:1.36`)
        .run(["/bin/sh", "-c", `: ${Date.now()}; ${script}`])
        .root(),
    );

  async function eventsOf(script: string): Promise<readonly SolveEvent[]> {
    const solve = client.solve(run(script));
    const events: SolveEvent[] = [];
    for await (const event of solve) events.push(event);
    await solve.result;
    return events;
  }

  const clipsOf = (events: readonly SolveEvent[]) =>
    events.flatMap((event) => (event.type === "log.clipped" ? [event] : []));
  const textOf = (events: readonly SolveEvent[], stream: "stdout" | "stderr") =>
    events.flatMap((event) => (event.type === "log" && event.stream === stream ? [event.text] : [])).join("");

  it("is reported for what a step prints too fast", async () => {
    const events = await eventsOf("yes 0123456 | head -c 600000 >&2; echo done");
    const clips = clipsOf(events);
    expect(clips[0]).toMatchObject({ stream: "stderr", ...speed });
    const [started] = events.filter(({ type }) => type === "vertex.started").slice(-1);
    expect(clips[0]?.vertex).toBe((started as { vertex?: string }).vertex);
    const text = textOf(events, "stderr");
    expect(text.length).toBeLessThan(600_000);
    expect(text.length).toBeGreaterThanOrEqual(speed.limitBytes);
    expect(text).not.toContain("clipped");
    expect(textOf(events, "stdout")).toBe("done\n");
  });

  it("is reported for what a step prints too much", async () => {
    // The limit of speed is 200 KiB for each second that the step runs: after ten it allows more than that of size.
    const events = await eventsOf("sleep 10.5; yes 0123456 | head -c 2400000; echo lost");
    expect(clipsOf(events)).toMatchObject([{ stream: "stdout", ...size }]);
    const text = textOf(events, "stdout");
    expect(text.length).toBe(size.limitBytes + 1);
    expect(text).not.toContain("lost");
    expect(text).not.toContain("clipped");
  });

  it("is known to the error of a step that fails, whose last lines came all the same", async () => {
    const { result } = client.solve(run("yes 0123456 | head -c 600000; echo the-end; exit 3"));
    const error = await result.then(
      () => undefined,
      (reason: unknown) => reason as SolveError,
    );
    expect(error).toMatchObject({ code: "ERR_KILN_STEP_FAILED", exitCode: 3 });
    expect(error?.logClips).toEqual([{ stream: "stdout", ...speed }]);
    expect(error?.logTail.at(-1)).toBe("the-end");
  });

  it("is not what a step prints itself", async () => {
    const line = "[output clipped, log limit 2MiB reached]";
    const events = await eventsOf(`echo; echo '${line}'; echo 'x ${line}'`);
    expect(clipsOf(events)).toEqual([]);
    expect(textOf(events, "stdout")).toBe(`\n${line}\nx ${line}\n`);
  });

  it("is reported again when the build is replayed", async () => {
    const solve = client.solve(run("yes 0123456 | head -c 600000"));
    await solve.result;
    const replayed: SolveEvent[] = [];
    for await (const event of client.follow(solve.ref)) replayed.push(event);
    expect(clipsOf(replayed)[0]).toMatchObject({ stream: "stdout", ...speed });
  });
});
