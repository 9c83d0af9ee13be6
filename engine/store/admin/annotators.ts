import { type AnnotatorId, asId } from '../../ids.ts';
import { ANNOTATOR_STATUS_CODES, nameOf } from '../codes.ts';
import type { Transaction } from '../database.ts';

export type AnnotatorStatus = keyof typeof ANNOTATOR_STATUS_CODES;

export interface AnnotatorRecord {
  readonly id: AnnotatorId;
  readonly externalId: string;
  readonly name: string;
  readonly status: AnnotatorStatus;
  readonly statusReason: string | null;
  readonly capacity: number;
  readonly skills: Readonly<Record<string, number>>;
  readonly createdAt: Date;
}

interface Row {
  id: number;
  external_id: string;
  name: string;
  status: number;
  status_reason: string | null;
  capacity: number;
  skills: Record<string, number>;
  created_at: Date;
}

function recordOf(row: Row): AnnotatorRecord {
  return {
    id: asId<AnnotatorId>(row.id),
    externalId: row.external_id,
    name: row.name,
    status: nameOf(ANNOTATOR_STATUS_CODES, row.status),
    statusReason: row.status_reason,
    capacity: row.capacity,
    skills: row.skills,
    createdAt: row.created_at,
  };
}

/** @returns undefined when the external id is taken. */
export async function insertAnnotator(
  tx: Transaction,
  annotator: { externalId: string; name: string; capacity: number; skills: Readonly<Record<string, number>> },
): Promise<AnnotatorRecord | undefined> {
  const rows = await tx<Row>('annotators')
    .insert({
      external_id: annotator.externalId,
      name: annotator.name,
      capacity: annotator.capacity,
      skills: tx.raw('cast(? as jsonb)', [JSON.stringify(annotator.skills)]),
    })
    .onConflict('external_id')
    .ignore()
    .returning('*');
  return rows[0] === undefined ? undefined : recordOf(rows[0]);
}

export async function readAnnotator(
  tx: Transaction,
  id: AnnotatorId,
  lock?: 'update',
): Promise<AnnotatorRecord | undefined> {
  const query = tx<Row>('annotators').where({ id });
  const row = await (lock === 'update' ? query.forUpdate() : query).first();
  return row === undefined ? undefined : recordOf(row);
}

export async function listAnnotators(
  tx: Transaction,
  filter: {
    externalId?: string | undefined;
    status?: AnnotatorStatus | undefined;
    projectId?: number | undefined;
    after: number;
    limit: number;
  },
): Promise<AnnotatorRecord[]> {
  const query = tx<Row>('annotators').where('id', '>', filter.after).orderBy('id').limit(filter.limit);
  if (filter.externalId !== undefined) query.where('external_id', filter.externalId);
  if (filter.status !== undefined) query.where('status', ANNOTATOR_STATUS_CODES[filter.status]);
  if (filter.projectId !== undefined) {
    query.whereIn('id', tx('project_members').select('annotator_id').where('project_id', filter.projectId));
  }
  return (await query).map(recordOf);
}

export async function updateAnnotator(
  tx: Transaction,
  id: AnnotatorId,
  change: Pick<AnnotatorRecord, 'name' | 'status' | 'statusReason' | 'capacity' | 'skills'>,
): Promise<void> {
  await tx('annotators')
    .where({ id })
    .update({
      name: change.name,
      status: ANNOTATOR_STATUS_CODES[change.status],
      status_reason: change.statusReason,
      capacity: change.capacity,
      skills: JSON.stringify(change.skills),
    });
}

/** @returns those of the ids that exist. */
export async function existingAnnotators(tx: Transaction, ids: readonly AnnotatorId[]): Promise<Set<number>> {
  const rows = await tx<{ id: number }>('annotators').select('id').whereIn('id', ids);
  return new Set(rows.map((row) => row.id));
}

/** @returns the annotators who were not members before. */
export async function insertMembers(
  tx: Transaction,
  projectId: number,
  annotatorIds: readonly AnnotatorId[],
): Promise<AnnotatorId[]> {
  const rows = await tx<{ project_id: number; annotator_id: number }>('project_members')
    .insert(annotatorIds.map((annotatorId) => ({ project_id: projectId, annotator_id: annotatorId })))
    .onConflict(['project_id', 'annotator_id'])
    .ignore()
    .returning('annotator_id');
  return rows.map((row) => asId<AnnotatorId>(row.annotator_id));
}

/** @returns whether the annotator was a member. */
export async function deleteMember(
  tx: Transaction,
  projectId: number,
  annotatorId: AnnotatorId,
): Promise<boolean> {
  const removed = await tx('project_members')
    .where({ project_id: projectId, annotator_id: annotatorId })
    .delete();
  return removed > 0;
}
