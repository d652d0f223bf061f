import type { LogClip } from "../model/events.js";

/** A piece of a log: text that the vertex printed, or the place where the daemon left output out. */
export type LogPiece = string | Omit<LogClip, "stream">;

const opening = "[output clipped, log limit ";
const whole = /^\[output clipped, log limit (\d+(?:\.\d+)?)(B|KiB|MiB|GiB)(\/s)? reached\]\n/;
/** No marker is longer; the limits are 32-bit numbers. */
const longest = 80;

const units: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/**
 * Finds the daemon's clip markers in one stream of a vertex's output (BuildKit's `util/progress/logs`, the same text in
 * all versions since 0.13: a line of its own, uncoloured).
 *
 * Only a whole line that follows a newline is one, and only once at least as many bytes came as its limit allows: the
 * daemon sends all up to the limit before it clips. A program that prints such a line of its own is thereby told apart,
 * unless it printed that much before. The marker is taken out of the text; the newline before it stays, as it ends the
 * line that was cut.
 */
export class ClipFinder {
  /** The beginning of what may be a marker, until its end comes. */
  #held = "";
  #afterNewline = false;

  /** Text that is held back, for it may become a marker. */
  get held(): string {
    return this.#held;
  }

  /** Takes more of the stream. `received` = bytes of the stream so far, this text's included. */
  push(text: string, received: number): readonly LogPiece[] {
    let rest = this.#held + text;
    this.#held = "";
    const pieces: LogPiece[] = [];
    let from = this.#afterNewline ? 0 : nextLine(rest, 0);
    while (from < rest.length) {
      const line = rest.slice(from, from + longest);
      const clip = clipOf(line, received);
      if (clip !== undefined) {
        if (from > 0) pieces.push(rest.slice(0, from));
        pieces.push(clip.clip);
        rest = rest.slice(from + clip.length);
        this.#afterNewline = true;
        from = 0;
      } else if (from + line.length === rest.length && mayBecomeMarker(line)) {
        this.#held = line;
        rest = rest.slice(0, from);
      } else from = nextLine(rest, from);
    }
    if (rest !== "") {
      pieces.push(rest);
      this.#afterNewline = rest.endsWith("\n");
    }
    return pieces;
  }

  /** Gives what is held back: nothing more comes. */
  end(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}

/** Where the next line after `from` begins that can be a marker; the text's length if there is none. */
function nextLine(text: string, from: number): number {
  const newline = text.indexOf("\n[", from);
  return newline < 0 ? text.length : newline + 1;
}

function clipOf(
  line: string,
  received: number,
): { readonly clip: Omit<LogClip, "stream">; readonly length: number } | undefined {
  const match = line.startsWith(opening) ? whole.exec(line) : null;
  if (match === null) return undefined;
  const [{ length }, value = "", unit = "", perSecond] = match;
  const limitBytes = Number(value) * (units[unit] ?? Number.NaN);
  if (!Number.isSafeInteger(limitBytes) || received < limitBytes) return undefined;
  return { clip: { limit: perSecond === undefined ? "size" : "speed", limitBytes }, length };
}

function mayBecomeMarker(line: string): boolean {
  if (line.length >= longest || line.includes("\n")) return false;
  return opening.startsWith(line) || line.startsWith(opening);
}
