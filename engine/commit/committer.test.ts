import { expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { asId, type Incarnation, type ProjectId, type ShardId } from '../ids.ts';
import type { CommitOutcome, ShardBatch } from '../store/store.ts';
import { type CommitLoss, type CommitSource, Committer } from './committer.ts';
import { type BatchResult, emptyCounters } from './write-set.ts';

interface Sent {
  readonly shards: number[];
  readonly batches: readonly ShardBatch[];
  readonly pass: () => void;
  readonly end: (outcome: CommitOutcome | Error) => void;
}

/** A store whose commits stay under way until the test ends them. */
function slowStore() {
  const sent: Sent[] = [];
  const written = new Map<ShardId, { epoch: number; lastSeq: number }>();
  const state = { isReadBackAway: false, readBacks: 0 };
  const store = {
    commit: (_incarnation: Incarnation, batches: readonly ShardBatch[], pass: () => void) =>
      new Promise<CommitOutcome>((resolve, reject) => {
        const end = (outcome: CommitOutcome | Error) =>
          outcome instanceof Error ? reject(outcome) : resolve(outcome);
        sent.push({ shards: batches.map((batch) => batch.shardId), batches, pass, end });
      }),
    readBack: async () => {
      state.readBacks += 1;
      if (state.isReadBackAway) throw new Error('away');
      return written;
    },
  };
  return { store, sent, written, state };
}

class Source implements CommitSource {
  readonly shardId: ShardId;
  readonly results: BatchResult[] = [];
  queued = 0;
  private seq = 0;

  constructor(id: number) {
    this.shardId = asId<ShardId>(id);
  }

  takeBatch() {
    if (this.queued === 0) return undefined;
    const fromSeq = this.seq;
    this.seq += this.queued;
    this.queued = 0;
    const batch: ShardBatch = {
      shardId: this.shardId,
      projectId: asId<ProjectId>(1),
      epoch: 1,
      fromSeq,
      toSeq: this.seq,
      counters: emptyCounters(),
      transitions: [],
      assignmentInserts: [],
      assignmentReleases: [],
      assignmentClaims: [],
      tasks: [],
      annotations: [],
      drafts: [],
      announcedChunks: [],
    };
    return { batch, settle: (result: BatchResult) => void this.results.push(result) };
  }
}

function setUp() {
  const slow = slowStore();
  const losses: CommitLoss[] = [];
  const committer = new Committer({
    store: slow.store,
    clock: systemClock(),
    incarnation: () => asId<Incarnation>(1),
    onLoss: (loss) => losses.push(loss),
    onCommit: () => undefined,
  });
  const write = (source: Source, count = 1) => {
    source.queued += count;
    committer.add(source);
  };
  const sentCount = (count: number) => vi.waitFor(() => expect(slow.sent).toHaveLength(count));
  const turn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  return { ...slow, committer, losses, write, sentCount, turn };
}

function nth(sent: readonly Sent[], index: number): Sent {
  const one = sent[index];
  if (!one) throw new Error(`commit ${index} was not sent`);
  return one;
}

const COMMITTED: CommitOutcome = { kind: 'committed' };

test('what came in together rides together, and what comes before the fence is passed waits for the next one', async () => {
  const { committer, write, sent, sentCount, turn } = setUp();
  const [a, b] = [new Source(1), new Source(2)];
  write(a);
  write(b);
  write(a);
  await sentCount(1);
  expect(nth(sent, 0).shards).toEqual([1, 2]);
  expect(nth(sent, 0).batches[0]).toMatchObject({ fromSeq: 0, toSeq: 2 });
  write(a);
  write(b);
  await turn();
  expect(sent).toHaveLength(1);
  nth(sent, 0).pass();
  await sentCount(2);
  expect(nth(sent, 1).batches.map((batch) => batch.fromSeq)).toEqual([2, 1]);
  for (const one of sent) {
    one.pass();
    one.end(COMMITTED);
  }
  await committer.drain();
  expect([a.results, b.results]).toEqual([
    ['committed', 'committed'],
    ['committed', 'committed'],
  ]);
});

test('no more than two are in flight, in the order they were taken', async () => {
  const { committer, write, sent, sentCount, turn } = setUp();
  const a = new Source(1);
  for (let n = 0; n < 2; n++) {
    write(a);
    await sentCount(n + 1);
    nth(sent, n).pass();
  }
  write(a);
  await turn();
  expect(sent).toHaveLength(2);
  nth(sent, 0).end(COMMITTED);
  await sentCount(3);
  expect(sent.map((one) => one.batches[0]?.fromSeq)).toEqual([0, 1, 2]);
  nth(sent, 1).end(COMMITTED);
  nth(sent, 2).pass();
  nth(sent, 2).end(COMMITTED);
  await committer.drain();
  expect(committer.statistics).toMatchObject({ commits: 3, lost: 0 });
});

test('a commit that ends without having passed its fence lets the next one go', async () => {
  const { committer, write, sent, sentCount } = setUp();
  const a = new Source(1);
  write(a);
  await sentCount(1);
  write(a);
  nth(sent, 0).end({ kind: 'failed', error: new Error('full') });
  await sentCount(2);
  nth(sent, 1).end(COMMITTED);
  await committer.drain();
  expect(a.results).toEqual(['lost', 'committed']);
});

test('shards that were fenced are lost, and the others go again without them', async () => {
  const { committer, write, sent, sentCount, losses } = setUp();
  const sources = [new Source(1), new Source(2), new Source(3)];
  for (const source of sources) write(source);
  await sentCount(1);
  nth(sent, 0).end({ kind: 'fenced', shardIds: [asId<ShardId>(2)] });
  await sentCount(2);
  expect(nth(sent, 1).shards).toEqual([1, 3]);
  nth(sent, 1).end(COMMITTED);
  await committer.drain();
  expect(sources.map((source) => source.results)).toEqual([['committed'], ['lost'], ['committed']]);
  expect(losses).toMatchObject([{ reason: 'fenced', shardIds: [2] }]);
});

test('a fence that names no shard of the commit loses it rather than going round in circles', async () => {
  const { committer, write, sent, sentCount } = setUp();
  const a = new Source(1);
  write(a);
  await sentCount(1);
  nth(sent, 0).end({ kind: 'fenced', shardIds: [] });
  await committer.drain();
  expect([a.results, sent.length]).toEqual([['lost'], 1]);
});

test('an unknown outcome is read back: every batch is in, or nothing is', async () => {
  for (const { lastSeq, epoch, expected } of [
    { lastSeq: 1, epoch: 1, expected: 'committed' },
    { lastSeq: 2, epoch: 1, expected: 'committed' },
    { lastSeq: 0, epoch: 1, expected: 'lost' },
    { lastSeq: 1, epoch: 2, expected: 'lost' },
  ]) {
    const { committer, write, sent, sentCount, written, state } = setUp();
    const a = new Source(1);
    write(a);
    await sentCount(1);
    written.set(a.shardId, { epoch, lastSeq });
    nth(sent, 0).end(lastSeq === 2 ? new Error('cut') : { kind: 'unknown', error: new Error('cut') });
    await committer.drain();
    expect(a.results).toEqual([expected]);
    expect(state.readBacks).toBe(1);
  }
});

test('an outcome that cannot be read back either counts as lost: callers try again with the same ids', async () => {
  const { committer, write, sent, sentCount, state, losses } = setUp();
  const a = new Source(1);
  write(a);
  await sentCount(1);
  state.isReadBackAway = true;
  nth(sent, 0).end({ kind: 'unknown', error: new Error('cut') });
  await committer.drain();
  expect(a.results).toEqual(['lost']);
  expect(losses).toMatchObject([{ reason: 'failed' }]);
});

test('draining waits for what is queued as well as for what is in flight', async () => {
  const { committer, write, sent, sentCount } = setUp();
  const a = new Source(1);
  write(a);
  let isDrained = false;
  const drained = committer.drain().then(() => {
    isDrained = true;
  });
  await sentCount(1);
  write(a);
  nth(sent, 0).end(COMMITTED);
  await sentCount(2);
  expect(isDrained).toBe(false);
  nth(sent, 1).end(COMMITTED);
  await drained;
  expect(a.results).toHaveLength(2);
});
