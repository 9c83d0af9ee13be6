import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type BatonClient, BatonError } from '../../client/index.ts';
import {
  createEngine,
  type Engine,
  type Incident,
  openPostgresStore,
  type PostgresStore,
} from '../../engine/index.ts';
import type { ProjectSettings } from '../../engine/settings.ts';
import { type Project, type TaskWish, World } from '../engine/harness.ts';
import { cutConnections } from '../support/database.ts';
import { ClientsUnderTest, failureOf, heard } from './clients-under-test.ts';
import { type GatewayUnderTest, startGatewayOf } from './gateway-under-test.ts';

let world: World;
let store: PostgresStore;
let engine: Engine;
let server: GatewayUnderTest<Engine>;
let incidents: Incident[];
const clients = new ClientsUnderTest(() => server.url);

beforeEach(async () => {
  world = await World.create();
  incidents = [];
  store = openPostgresStore(world.database.url);
  engine = createEngine({
    store,
    nodeName: 'sockets',
    version: 'test',
    onIncident: (incident) => incidents.push(incident),
  });
  await engine.start();
  server = await startGatewayOf(engine, { config: { messagesPerSecond: 10_000, messageBurst: 10_000 } });
});

afterEach(async () => {
  clients.close();
  await server.close();
  await engine.stop();
  await store.close();
  expect(await world.close()).toEqual([]);
});

/** A project with tasks, announced to the running engine as the API does. */
async function projectOf(settings: Partial<ProjectSettings>, tasks: readonly TaskWish[]): Promise<Project> {
  const project = await world.project(settings);
  await world.tasks(project, tasks);
  expect(await engine.control.projectChanged(project.id, 'settings', 'test')).toMatchObject({ ok: true });
  expect(await engine.control.tasksImported(project.id)).toMatchObject({ ok: true });
  return project;
}

async function arrive(name: string): Promise<BatonClient> {
  const annotatorId = await world.annotator();
  server.tokens.add(name, annotatorId);
  return clients.live({ token: name });
}

test('annotators finish a project with exact overlap, though their connections are cut all the while', async () => {
  const TASKS = 30;
  const OVERLAP = 2;
  const project = await projectOf(
    { overlap: OVERLAP },
    Array.from({ length: TASKS }, (_, n) => ({ data: { n } })),
  );
  const receipts = new Set<string>();
  const done = new AbortController();

  const work = async (client: BatonClient): Promise<void> => {
    let assignment = await client.nextAssignment({ projects: [project.slug], signal: done.signal });
    for (;;) {
      client.saveDraft(assignment.id, { half: true });
      const answer = client.submit(
        assignment.id,
        { of: assignment.data },
        { next: true, projects: [project.slug] },
      );
      if (receipts.size % 7 === 3) server.cutConnections();
      const { receipt, next } = await answer;
      expect(receipt).toMatchObject({ status: 'counted', late: false });
      receipts.add(receipt.assignmentId);
      if (receipts.size === TASKS * OVERLAP) done.abort();
      assignment =
        next !== undefined && 'assignment' in next
          ? next.assignment
          : await client.nextAssignment({ projects: [project.slug], signal: done.signal });
    }
  };
  const annotators = await Promise.all(['anna', 'ben', 'carla'].map(arrive));
  const ends = await Promise.all(annotators.map((client) => failureOf(work(client))));

  expect(ends.map(({ code }) => code)).toEqual(['aborted', 'aborted', 'aborted']);
  expect(receipts.size).toBe(TASKS * OVERLAP);
  expect(await world.count('annotations', { project_id: project.id, counted: true })).toBe(TASKS * OVERLAP);
  expect(await world.count('assignments', { project_id: project.id })).toBe(TASKS * OVERLAP);
}, 60_000);

test('a draft comes back with its lease in a new session, and a result that does not fit is refused with its path', async () => {
  await projectOf(
    {
      resultSchema: { type: 'object', properties: { label: { type: 'string' } }, required: ['label'] },
    },
    [{ data: { text: 'one' } }],
  );
  const first = await arrive('anna');
  const { id } = await first.nextAssignment();
  first.saveDraft(id, { label: 'ca' });
  await first.flushDrafts();
  first.close();

  const second = await clients.live({ token: 'anna' });
  expect(await second.nextAssignment()).toMatchObject({ id, data: { text: 'one' }, draft: { label: 'ca' } });
  const error = await failureOf(second.submit(id, { label: 5 }));
  expect(error).toMatchObject({ code: 'invalid_result', retryable: false, details: [{ path: '/label' }] });
  expect(JSON.stringify(error.details)).not.toContain('5');
  expect((await second.submit(id, { label: 'cat' })).receipt).toMatchObject({ status: 'counted' });
});

test('who waits is pushed work when another gives it back, and nobody may touch what is not theirs', async () => {
  await projectOf({}, [{ data: { text: 'only one' } }]);
  const [anna, ben] = [await arrive('anna'), await arrive('ben')];
  const { id } = await anna.nextAssignment();
  const assigned = heard(ben, 'assigned');
  expect(await ben.requestWork()).toMatchObject({ waiting: { reasons: { leased: 1 } } });
  expect((await failureOf(ben.submit(id, 1))).code).toBe('unknown_assignment');
  expect((await failureOf(ben.skip(id))).code).toBe('unknown_assignment');
  await anna.skip(id, 'blurred');
  await vi.waitFor(() =>
    expect(assigned).toMatchObject([{ assignment: { data: { text: 'only one' }, state: 'active' } }]),
  );
});

test('a supervisor who takes a lease back is heard, and the submit after it is refused', async () => {
  const project = await projectOf({ lateSubmit: 'refuse' }, [{}]);
  const anna = await arrive('anna');
  const revoked = heard(anna, 'revoked');
  const { id } = await anna.nextAssignment();
  const [open] = await world.db('assignments').where({ project_id: project.id }).select('id');
  expect(await engine.control.revoke({ projectId: project.id, id: open.id }, 'admin:token:1')).toMatchObject({
    ok: true,
  });
  await vi.waitFor(() => expect(revoked).toEqual([{ assignmentId: id, reason: 'revoked' }]));
  expect((await failureOf(anna.submit(id, 1))).code).toBe('lease_ended');
});

test('when Postgres drops every connection the clients repeat themselves and nothing is lost', async () => {
  const project = await projectOf(
    {},
    Array.from({ length: 10 }, () => ({})),
  );
  const anna = await arrive('anna');
  for (let n = 0; n < 10; n++) {
    const { id } = await anna.nextAssignment();
    const answer = anna.submit(id, { n }).catch((error: unknown) => error);
    if (n % 3 === 1) await cutConnections(world.database);
    const outcome = await answer;
    if (outcome instanceof BatonError) throw outcome;
  }
  expect(await world.count('annotations', { project_id: project.id, counted: true })).toBe(10);
});
