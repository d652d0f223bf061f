import type { Command } from "commander";
import { KilnError } from "../../errors.js";
import { decodeDefinition, definitionFromJson, definitionToJson, toDot, toText } from "../../llb/index.js";

/** Definitions travel in messages of at most 16 MiB; some room for files on disk. */
const inputLimit = 256 * 1024 * 1024;

/** Adds `kiln llb dump|encode|graph`. */
export function addLlbCommand(program: Command): void {
  const llb = program
    .command("llb")
    .description("look into LLB definitions: a binary pb.Definition on standard input")
    .addHelpText(
      "after",
      `
  kiln llb dump < def.pb > def.json      one op each with its digest
  kiln llb encode < def.json > def.pb    the same bytes again
  kiln llb graph --format dot < def.pb | dot -Tsvg > def.svg`,
    );
  llb
    .command("dump")
    .description("binary to JSON, with protobuf's JSON names")
    .action(async () => {
      process.stdout.write(`${JSON.stringify(definitionToJson(await readInput()), undefined, 2)}\n`);
    });
  llb
    .command("encode")
    .description("JSON to binary: dump, then encode gives the same bytes")
    .action(async () => {
      process.stdout.write(definitionFromJson(parseJson(await readInput())));
    });
  llb
    .command("graph")
    .description("binary to text or DOT")
    .option("--format <format>", "text or dot", "text")
    .action(async ({ format }: { readonly format: string }) => {
      if (format !== "text" && format !== "dot") {
        throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `--format ${format}: there is no such format`, {
          hint: "Use text or dot.",
        });
      }
      const definition = decodeDefinition(await readInput());
      const text = format === "dot" ? toDot(definition) : toText(definition);
      process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
    });
}

async function readInput(): Promise<Uint8Array> {
  if (process.stdin.isTTY) {
    throw new KilnError("ERR_KILN_INVALID_ARGUMENT", "nothing on standard input", {
      hint: "Pipe a definition in, e.g. kiln llb dump < def.pb",
    });
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > inputLimit)
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", "more than 256 MiB on standard input");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new KilnError(
      "ERR_KILN_INVALID_DEFINITION",
      `standard input is not JSON: ${(error as Error).message}`,
      {
        cause: error,
        hint: "kiln llb encode reads what kiln llb dump wrote.",
      },
    );
  }
}
