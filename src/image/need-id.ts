/**
 * The id under which a step's own key is known in `Needs` and `Facts`. `scope` is empty for the chain itself, and
 * {@link nestedScope} for one that a step of it uses.
 */
export function needId(scope: string, step: number, key: string): string {
  return `${scope}${step}.${key}`;
}

/** The chain's own step that an id's need is of, or of a chain that the step uses. */
export function stepOfNeed(id: string): number {
  return Number.parseInt(id, 10);
}

/** The scope of a chain that a step knows by a key. */
export function nestedScope(scope: string, step: number, key: string): string {
  return `${needId(scope, step, key)}/`;
}

/** Key of a step's secret, by its place in the option `secrets`. */
export function optionSecretKey(index: number): string {
  return `options.secret.${index}`;
}

/** Key of the device of a step's options. */
export const optionDeviceKey = "options.gpu";

/** Key of the certificates of a step's options. */
export const optionCaKey = "options.ca";
