import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";

/** Records the ports that containers listen on: numbers, `"8080"`, `"53/udp"`, `"8000-8010"`. */
export const expose: Step<readonly (number | string)[]> = defineStep({
  id: "expose",
  version: 1,
  validate(ports: readonly (number | string)[]) {
    if (ports.length === 0) {
      throw argumentError("expose", "names no port", { hint: "Write expose(8080)." });
    }
    return [...new Set(ports.flatMap(checkPort))];
  },
  title: (ports) => `expose ${ports.join(" ")}`,
  lower: (chain, ports, context) => context.configure(chain, { kind: "expose", ports }),
});

function checkPort(port: unknown): readonly string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(String(port).toLowerCase());
  const [, from = "", to = from, protocol = "tcp"] = match ?? [];
  const [first, last] = [Number(from), Number(to)];
  const known = typeof port === "number" || typeof port === "string";
  if (!known || match === null || first < 1 || last > 65_535 || last < first) {
    throw argumentError("expose", `${describe(port)} is no port`, {
      hint: 'Write expose(8080), expose("53/udp") or expose("8000-8010").',
    });
  }
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}
