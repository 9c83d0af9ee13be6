import { assignmentMachine } from './assignment.ts';
import { conditionInWords } from './refusal-reasons.ts';
import { taskMachine } from './task.ts';

/** The parts of an XState machine that a drawing needs. */
interface Drawable {
  readonly id: string;
  readonly root: DrawableState & { readonly states: Readonly<Record<string, DrawableState>> };
}
interface DrawableState {
  readonly key: string;
  readonly type: string;
  readonly transitions: ReadonlyMap<string, readonly DrawableTransition[]>;
}
interface DrawableTransition {
  readonly guard?: unknown;
  readonly target: readonly { readonly key: string }[] | undefined;
}

/** The whole text of docs/machines.md, drawn from the machines themselves. */
export function drawMachines(): string {
  return `<!-- Generated from machines/ by "npm run docs:machines". Do not edit: change the machines and run it again. -->

# The statecharts

Two pure machines decide every change of state. They know no clock, no randomness and no I/O; what they are told is an
event, what they answer is the next snapshot and the facts, or a refusal. Deadlines, people and slots are the engine's
data: it sends the event when the time has come.

How to read them: a drawing has the moves between states, with the event and its condition in brackets; the table below
it has every event, those that stay in the state too. Of several outcomes the first whose condition holds is taken. An
event without a row for the state, or whose conditions all fail, is refused and changes nothing.

## Task

A task waits until \`filled\` (answers that count) reaches \`overlap\`. \`open\` counts its open leases; both together never
exceed the overlap. A held task names its condition: \`attempts_used_up\`, \`supervisor\` or \`quarantined\`. Open leases
outlive a hold, and their answers are counted; only a person ends a quarantine. Adjudication and review attach at
\`adjudicating\` and \`reviewing\`.

${drawing(taskMachine, ['waiting'])}

${eventTable(taskMachine)}

## Assignment

One lease, one assignment. It starts \`offered\` when it has to be accepted, else \`active\`. No event leads back to an open
state, so a lease that ended is never reborn. \`expired\` and \`abandoned\` can still take a late answer, as the project's
policy says.

${drawing(assignmentMachine, ['offered', 'active'])}

${eventTable(assignmentMachine)}
`;
}

/** A Mermaid state diagram. Events that stay in the state, and those of every state, are in the table only. */
function drawing(machine: Drawable, starts: readonly string[]): string {
  const lines = ['```mermaid', 'stateDiagram-v2'];
  for (const start of starts) lines.push(`    [*] --> ${start}`);
  for (const state of Object.values(machine.root.states)) {
    for (const [event, transitions] of state.transitions) {
      for (const { guard, target } of transitions) {
        for (const { key } of target ?? [])
          lines.push(`    ${state.key} --> ${key}: ${event}${condition(guard)}`);
      }
    }
    if (state.type === 'final') lines.push(`    ${state.key} --> [*]`);
  }
  lines.push('```');
  return lines.join('\n');
}

function eventTable(machine: Drawable): string {
  const lines = ['| in | event | leads to |', '| --- | --- | --- |'];
  for (const state of Object.values(machine.root.states)) {
    for (const [event, transitions] of state.transitions)
      lines.push(row(state.key, event, transitions, state.key));
  }
  for (const [event, transitions] of machine.root.transitions)
    lines.push(row('every state', event, transitions, 'the same state'));
  return lines.join('\n');
}

function row(place: string, event: string, transitions: readonly DrawableTransition[], same: string): string {
  const outcomes = transitions.map(({ guard, target }) => {
    return `${target?.map(({ key }) => key).join(', ') ?? same}${condition(guard)}`;
  });
  return `| ${place} | ${event} | ${outcomes.join('; else ')} |`;
}

function condition(guard: unknown): string {
  return guard === undefined ? '' : ` [${conditionInWords(guard)}]`;
}
