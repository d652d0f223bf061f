/** The id under which a step's own key is known in `Needs` and `Facts`. */
export function needId(step: number, key: string): string {
  return `${step}.${key}`;
}
