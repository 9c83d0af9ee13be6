import { z } from 'zod';
import type { RemoteApi } from '../remote/api.ts';

/** Requests under way at once while the crew is signed up. */
const SIGN_UPS_MAX = 8;
const PAGE = 1_000;

const annotator = z.object({ id: z.number() });
const tokenCreated = z.object({ id: z.number(), token: z.string() });
const done = z.unknown();
const taskPage = z.object({
  items: z.array(z.object({ id: z.number(), externalId: z.string().nullable() })),
  next: z.string().nullable(),
});

export interface CrewMember {
  readonly externalId: string;
  readonly annotatorId: number;
  readonly tokenId: number;
  readonly token: string;
}

/** Makes an annotator and a token for each, or a new token for one who is there already. @throws RemoteFailure */
export async function signUp(
  api: RemoteApi,
  externalIds: readonly string[],
  project: { readonly slug: string; readonly needsMembers: boolean },
): Promise<CrewMember[]> {
  const crew = await inTurns(externalIds, async (externalId) => {
    const { id: annotatorId } = await api.call('POST', '/api/annotators', annotator, { externalId });
    const { id: tokenId, token } = await api.call(
      'POST',
      `/api/annotators/${annotatorId}/tokens`,
      tokenCreated,
      {
        name: 'simulation',
      },
    );
    return { externalId, annotatorId, tokenId, token };
  });
  if (project.needsMembers) {
    const path = `/api/projects/${encodeURIComponent(project.slug)}/members`;
    for (let from = 0; from < crew.length; from += PAGE) {
      const annotatorIds = crew.slice(from, from + PAGE).map(({ annotatorId }) => annotatorId);
      await api.call('POST', path, done, { annotatorIds });
    }
  }
  return crew;
}

/** Makes the tokens of a finished simulation worthless. @throws RemoteFailure */
export async function signOff(api: RemoteApi, crew: readonly CrewMember[]): Promise<void> {
  await inTurns(crew, ({ annotatorId, tokenId }) =>
    api.call('DELETE', `/api/annotators/${annotatorId}/tokens/${tokenId}`, done),
  );
}

/**
 * The external id of each task of a project, by the server's id, of those that `isWanted`.
 *
 * @throws RemoteFailure
 */
export async function readExternalIds(
  api: RemoteApi,
  slug: string,
  isWanted: (externalId: string) => boolean,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let cursor: string | null | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
    const page = await api.call('GET', `/api/projects/${encodeURIComponent(slug)}/tasks?${query}`, taskPage);
    for (const { id, externalId } of page.items) {
      if (externalId !== null && isWanted(externalId)) found.set(String(id), externalId);
    }
    cursor = page.next;
  } while (cursor);
  return found;
}

async function inTurns<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  const entries = items.entries();
  // One iterator for all: each takes the next item that nobody has taken.
  const take = async (): Promise<void> => {
    for (const [index, item] of entries) results[index] = await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(SIGN_UPS_MAX, items.length) }, take));
  return results;
}
