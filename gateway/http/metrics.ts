import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Engine } from '../../engine/door.ts';
import type { HttpApp } from './app.ts';

export interface HttpMetrics {
  readonly registry: Registry;
  readonly importedTasks: Counter;
}

/**
 * Metrics with the prefix baton_. Labels are routes, methods and states: never a project, a person or an address.
 *
 * @param registry one that others add to as well; a new one with Node's own metrics when absent.
 */
export function createMetrics(app: HttpApp, engine: Engine, given?: Registry): HttpMetrics {
  const registry = given ?? new Registry();
  if (given === undefined) collectDefaultMetrics({ register: registry, prefix: 'baton_' });
  measureEngine(registry, engine);
  measureRequests(registry, app);
  const importedTasks = new Counter({
    name: 'baton_imported_tasks_total',
    help: 'Tasks by what their import came to.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  return { registry, importedTasks };
}

function measureEngine(registry: Registry, engine: Engine): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    const metric: Gauge = new Gauge({
      name,
      help,
      registers: [registry],
      collect: () => metric.set(value()),
    });
  };
  gauge('baton_ready', '1 when the engine serves.', () => (engine.status().ready ? 1 : 0));
  gauge('baton_shards', 'Shards owned by this node.', () => engine.status().shards);
  gauge('baton_leases', 'Open leases of its shards.', () => engine.status().leases);
  gauge('baton_waiting_annotators', 'Annotators who wait for work.', () => engine.status().waiting);
  gauge('baton_commits', 'Group commits since the start.', () => engine.status().commits);
  gauge('baton_event_loop_lag_ms', 'How late the event loop runs.', () => engine.status().eventLoopLagMs);
}

function measureRequests(registry: Registry, app: HttpApp): void {
  const seconds = new Histogram({
    name: 'baton_http_request_seconds',
    help: 'Time from a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers: [registry],
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    seconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
  });
}
