import type { z } from 'zod';
import type {
  AnnotatorRecord,
  AssignmentRecord,
  AuditRecord,
  ExportedAnnotation,
  FeedEvent,
  ProjectRecord,
  TaskDetail,
  TaskRecord,
  TokenRecord,
} from '../../engine/admin/index.ts';
import { placeAfter } from '../../engine/admin/index.ts';
import { formatAssignmentRef } from '../../engine/ids.ts';
import type { ProjectSettings, Requirement } from '../../engine/settings.ts';
import type {
  annotation,
  annotator,
  assignment,
  auditEntry,
  event,
  project,
  taskDetail,
  taskSummary,
  tokenRecord,
  WireProjectSettings,
  WireRequirement,
} from '../../protocol/api/index.ts';
import { formatFeedCursor } from './feed-cursor.ts';

/** What the engine's records look like on the wire. */

export function projectView(record: ProjectRecord): z.output<typeof project> {
  return {
    id: record.id,
    slug: record.slug,
    name: record.name,
    status: record.status,
    settings: settingsView(record.settings),
    createdAt: record.createdAt.toISOString(),
    updatedAt: record.updatedAt.toISOString(),
  };
}

export function settingsView(settings: ProjectSettings): WireProjectSettings {
  return { ...settings, requirements: settings.requirements.map(requirementView) };
}

function requirementView(requirement: Requirement): WireRequirement {
  if ('all' in requirement) return { all: requirement.all.map(requirementView) };
  if ('any' in requirement) return { any: requirement.any.map(requirementView) };
  return { ...requirement };
}

export function annotatorView(record: AnnotatorRecord): z.output<typeof annotator> {
  return {
    id: record.id,
    externalId: record.externalId,
    name: record.name,
    status: record.status,
    statusReason: record.statusReason,
    capacity: record.capacity,
    skills: { ...record.skills },
    createdAt: record.createdAt.toISOString(),
  };
}

export function tokenView(record: TokenRecord): z.output<typeof tokenRecord> {
  return {
    id: record.id,
    name: record.name,
    role: record.role,
    prefix: record.prefix,
    annotatorId: record.annotatorId,
    createdAt: record.createdAt.toISOString(),
    expiresAt: record.expiresAt?.toISOString() ?? null,
    revokedAt: record.revokedAt?.toISOString() ?? null,
  };
}

export function taskView(record: TaskRecord): z.output<typeof taskSummary> {
  return {
    id: record.id,
    externalId: record.externalId,
    state: record.state,
    hold: record.hold === null ? null : { ...record.hold },
    overlap: record.overlap,
    filled: record.filled,
    open: record.open,
    attempts: record.attempts,
    priority: record.priority,
    requirements: record.requirements === null ? null : record.requirements.map(requirementView),
    createdAt: record.createdAt.toISOString(),
    updatedAt: record.updatedAt.toISOString(),
  };
}

export function taskDetailView(detail: TaskDetail): z.output<typeof taskDetail> {
  return {
    ...taskView(detail.task),
    data: detail.data,
    assignments: detail.assignments.map(assignmentView),
    annotations: detail.annotations.map((entry) => ({
      assignmentId: formatAssignmentRef({ projectId: detail.projectId, id: entry.assignmentId }),
      annotatorId: entry.annotatorId,
      submissionId: entry.submissionId,
      result: entry.result,
      counted: entry.counted,
      leadTimeMs: entry.leadTimeMs,
      submittedAt: entry.submittedAt.toISOString(),
    })),
    history: detail.history.map((record) => eventView({ record, after: placeAfter(record) })),
    historyTruncated: detail.isTruncated,
  };
}

export function assignmentView(record: AssignmentRecord): z.output<typeof assignment> {
  return {
    id: formatAssignmentRef(record.ref),
    project: record.project,
    taskId: record.taskId,
    annotatorId: record.annotatorId,
    state: record.state,
    slot: record.slot,
    attempt: record.attempt,
    grantedAt: record.grantedAt.toISOString(),
    startedAt: record.startedAt?.toISOString() ?? null,
    endedAt: record.endedAt?.toISOString() ?? null,
    endReason: record.endReason,
  };
}

export function eventView({ record, after }: FeedEvent): z.output<typeof event> {
  return {
    cursor: formatFeedCursor(after),
    shard: record.part,
    event: record.event,
    at: record.at.toISOString(),
    taskId: record.taskId,
    assignmentId:
      record.assignmentId === null
        ? null
        : formatAssignmentRef({ projectId: record.projectId, id: record.assignmentId }),
    annotatorId: record.annotatorId,
    taskState: record.taskState,
    assignmentState: record.assignmentState,
    actor: record.actor,
    detail: record.detail,
  };
}

export function annotationView(entry: ExportedAnnotation): z.output<typeof annotation> {
  return {
    taskId: entry.taskId,
    externalId: entry.externalId,
    annotator: { ...entry.annotator },
    assignmentId: formatAssignmentRef(entry.assignment),
    submissionId: entry.submissionId,
    result: entry.result,
    counted: entry.counted,
    startedAt: entry.startedAt?.toISOString() ?? null,
    submittedAt: entry.submittedAt.toISOString(),
    leadTimeMs: entry.leadTimeMs,
  };
}

export function auditView(record: AuditRecord): z.output<typeof auditEntry> {
  return { ...record, at: record.at.toISOString() };
}
