/**
 * Environment variables of a state: an immutable list that grows at its end.
 *
 * Setting a variable again moves it to the end, the order in which Go's client sends them. Adding costs constant
 * time; the whole is computed once, starting at the nearest ancestor that was computed before, so that neither a
 * long chain of additions nor a long chain of commands costs more than it writes. Nothing recurses.
 */
export class EnvList {
  /** A list without variables. */
  static readonly empty: EnvList = new EnvList(undefined, "", undefined);

  readonly #parent: EnvList | undefined;
  readonly #key: string;
  readonly #value: string | undefined;
  #values: ReadonlyMap<string, string> | undefined;
  #lines: readonly string[] | undefined;

  private constructor(parent: EnvList | undefined, key: string, value: string | undefined) {
    this.#parent = parent;
    this.#key = key;
    this.#value = value;
  }

  /** This list with one variable set, at the end. */
  set(key: string, value: string): EnvList {
    return new EnvList(this, key, value);
  }

  /** This list without one variable. */
  delete(key: string): EnvList {
    return new EnvList(this, key, undefined);
  }

  /** All variables in sending order. */
  values(): ReadonlyMap<string, string> {
    if (this.#values !== undefined) return this.#values;
    const pending: EnvList[] = [];
    let known: ReadonlyMap<string, string> | undefined;
    for (let node: EnvList | undefined = this; node !== undefined; node = node.#parent) {
      known = node.#values;
      if (known !== undefined) break;
      pending.push(node);
    }
    const values = new Map(known);
    for (const node of pending.reverse()) {
      if (node.#parent === undefined) continue;
      values.delete(node.#key);
      if (node.#value !== undefined) values.set(node.#key, node.#value);
    }
    this.#values = values;
    return values;
  }

  /** All variables as `KEY=value` in sending order. */
  lines(): readonly string[] {
    if (this.#lines === undefined) {
      const lines: string[] = [];
      for (const [key, value] of this.values()) lines.push(`${key}=${value}`);
      this.#lines = lines;
    }
    return this.#lines;
  }
}
