import { z } from 'zod';
import { type RemoteApi, RemoteFailure } from './api.ts';

const annotator = z.object({ id: z.number(), externalId: z.string() });
const annotators = z.object({ items: z.array(annotator) });

export type RemoteAnnotator = z.output<typeof annotator>;

/** The annotator of this id, made if there is none. @throws RemoteFailure */
export async function findOrCreateAnnotator(
  api: RemoteApi,
  { externalId, name }: { externalId: string; name?: string | undefined },
): Promise<RemoteAnnotator> {
  try {
    const body = { externalId, ...(name !== undefined && { name }) };
    return await api.call('POST', '/api/annotators', annotator, body);
  } catch (error) {
    if (!(error instanceof RemoteFailure && error.status === 409)) throw error;
  }
  const query = new URLSearchParams({ externalId });
  const { items } = await api.call('GET', `/api/annotators?${query}`, annotators);
  const found = items.find((item) => item.externalId === externalId);
  if (found === undefined) throw new RemoteFailure('not_found', `There is no annotator ${externalId}.`);
  return found;
}
