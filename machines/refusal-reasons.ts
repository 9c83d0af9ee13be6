/** The part of a machine that tells which transitions a state has, guarded or not. */
interface Chart {
  readonly id: string;
  readonly root: Node & { readonly states: Readonly<Record<string, Node>> };
}
interface Node {
  readonly transitions: ReadonlyMap<string, readonly { readonly guard?: unknown }[]>;
}

/** One sentence for a caller: whether the event is unknown to the state, or which guard forbade it. */
export function whyRefused(chart: Chart, state: string, eventType: string): string {
  const candidates =
    chart.root.states[state]?.transitions.get(eventType) ?? chart.root.transitions.get(eventType) ?? [];
  if (candidates.length === 0) return `${eventType} is not possible: the ${chart.id} is ${state}`;
  const guards = candidates.map(({ guard }) => conditionInWords(guard)).join(', or ');
  return `${eventType} is refused in ${state}: it needs: ${guards}`;
}

/** A guard is referenced by its name, with or without parameters; the name is a claim, so it reads as words. */
export function conditionInWords(guard: unknown): string {
  if (typeof guard === 'string') return inWords(guard);
  if (typeof guard === 'object' && guard !== null && 'type' in guard) return inWords(String(guard.type));
  return 'another state';
}

function inWords(name: string): string {
  return name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
}
