/** Thousands of annotators in a process of their own, who lose their gateway and come back to another. */
import { serveParent } from '../child.ts';
import { type Distribution, distribution } from '../measure.ts';
import { type Manners, Person, type PersonPlan } from './person.ts';

export type StormOrder =
  | { readonly begin: { readonly url: string; readonly people: readonly PersonPlan[] } }
  /** Answered when everybody is back at `url`: the gateway must be killed by whoever orders this. */
  | { readonly comeBack: { readonly url: string; readonly manners: Manners } }
  | { readonly beat: 'all' };

export interface StormAnswer {
  /** From the loss of the connection to the state on a new one. */
  readonly back: Distribution | null;
  /** Attempts that did not come about, by reason. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly lostLeases: number;
  readonly lostDrafts: number;
  /** Those whose heartbeat was answered with a live lease. */
  readonly alive: number;
  readonly cpuMs: number;
}

const BEGUN_AT_ONCE = 100;

function serve(): void {
  const people: Person[] = [];
  const answer = (more: Partial<StormAnswer>): StormAnswer => {
    const { user, system } = process.cpuUsage();
    const cpuMs = (user + system) / 1_000;
    return { back: null, refusals: {}, lostLeases: 0, lostDrafts: 0, alive: 0, cpuMs, ...more };
  };
  serveParent<StormOrder, StormAnswer>(
    async (order) => {
      if ('begin' in order) {
        const all = order.begin.people.map((plan) => new Person(plan, order.begin.url));
        people.push(...all);
        for (let at = 0; at < all.length; at += BEGUN_AT_ONCE) {
          await Promise.all(all.slice(at, at + BEGUN_AT_ONCE).map((person) => person.begin()));
        }
        return answer({});
      }
      if ('comeBack' in order) {
        const { url, manners } = order.comeBack;
        const returns = await Promise.all(people.map((person) => person.comeBack(url, manners)));
        const refusals: Record<string, number> = {};
        for (const why of returns.flatMap((one) => one.refusals)) refusals[why] = (refusals[why] ?? 0) + 1;
        return answer({
          back: distribution(returns.map((one) => one.backMs)),
          refusals,
          lostLeases: returns.filter((one) => one.lostLease).length,
          lostDrafts: returns.filter((one) => one.lostDraft).length,
        });
      }
      const beats = await Promise.all(people.map((person) => person.beat()));
      return answer({ alive: beats.filter(Boolean).length });
    },
    async () => {
      for (const person of people) person.end();
    },
  );
}

serve();
