import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { REFUSALS } from '../../engine/refusals.ts';
import { DEFAULT_SOCKET_CONFIG } from '../../gateway/sockets/index.ts';
import { ERRORS, isErrorCode } from '../../protocol/errors.ts';
import { WIRE_LIMITS } from '../../protocol/limits.ts';
import {
  CLIENT_MESSAGES,
  END_REASONS,
  readMessage,
  SERVER_PUSHES,
  wireAssignment,
  wireWaiting,
} from '../../protocol/wire/index.ts';
import { isClientEvent } from '../../protocol/wire/messages.ts';

const page = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

function section(title: string): string {
  const start = page.indexOf(`\n${title}\n`);
  if (start < 0) throw new Error(`no section ${title}`);
  const depth = title.indexOf(' ');
  const rest = page.slice(start + 1 + title.length);
  const end = rest.search(new RegExp(`\\n#{1,${depth}} `));
  return end < 0 ? rest : rest.slice(0, end);
}

function headings(of: string): string[] {
  return [...section(of).matchAll(/^### `([\w:]+)`$/gm)].map((match) => match[1] ?? '');
}

describe('docs/protocol.md says what the code does', () => {
  test('every message of a client has a section, and there are no others', () => {
    expect(headings('## Messages from the client').sort()).toEqual(Object.keys(CLIENT_MESSAGES).sort());
  });

  test('every push has a section, and there are no others', () => {
    expect(headings('## Messages from the server').sort()).toEqual(Object.keys(SERVER_PUSHES).sort());
  });

  test('every error has its row, with the same meaning, and there are no others', () => {
    const rows = [...section('## Errors').matchAll(/^\| `(\w+)` \| (yes|no) \| (\d+) \| (.+) \|$/gm)];
    expect(
      Object.fromEntries(
        rows.map(([, code, retryable, status, says]) => [
          code,
          { retryable: retryable === 'yes', status: Number(status), says },
        ]),
      ),
    ).toEqual(ERRORS);
  });

  test('every code named in the text exists', () => {
    const named = [...page.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map((match) => match[1] ?? '');
    const reasons: readonly string[] = END_REASONS;
    expect(
      named.filter((name) => !isErrorCode(name) && !reasons.includes(name) && name !== 'connect_error'),
    ).toEqual([]);
  });

  test('every reason of a revocation is listed, and there are no others', () => {
    const table = section('### `work:revoked`')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const listed = table.flatMap((line) =>
      [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map((match) => match[1] ?? ''),
    );
    expect(listed.sort()).toEqual([...END_REASONS].sort());
  });

  test('the example of every client message is a good message that names every key', () => {
    for (const event of headings('## Messages from the client')) {
      if (!isClientEvent(event)) throw new Error(event);
      const example: unknown = JSON.parse(/^`(\{.*?\})`/m.exec(section(`### \`${event}\``))?.[1] ?? 'null');
      expect(readMessage(event, example), event).toEqual({ ok: true, message: example });
    }
  });

  test('the example assignment and reasons are good ones that name every key', () => {
    const examples = [...section('## The life of an assignment').matchAll(/```json\n([\s\S]*?)```/g)].map(
      (match): unknown => JSON.parse(match[1] ?? ''),
    );
    expect(wireAssignment.required().parse(examples[0])).toEqual(examples[0]);
    expect(wireWaiting.parse(examples[1])).toEqual(examples[1]);
  });

  test('the limits are those of the code', () => {
    const limits = section('## Limits');
    const config = DEFAULT_SOCKET_CONFIG;
    for (const claim of [
      `one message | ${WIRE_LIMITS.messageBytesMax} bytes`,
      `\`result\`, \`draft\` | ${WIRE_LIMITS.resultBytesMax} bytes each`,
      `nesting in \`result\`, \`draft\` | ${WIRE_LIMITS.jsonDepthMax} levels`,
      `${config.messagesPerSecond} per second in the long run, ${config.messageBurst} at once`,
      `${config.inFlightMax} per connection: \`busy\``,
      `${config.maxConnectionsPerAnnotator} per annotator`,
      `${config.pendingPerAddressMax} per address`,
      `${config.failedLoginsPerMinute} per minute and address`,
    ]) {
      expect(limits).toContain(claim);
    }
    expect(WIRE_LIMITS.draftBytesMax).toBe(WIRE_LIMITS.resultBytesMax);
  });
});

test('every refusal of the engine is in the catalogue of errors, with the same meaning', () => {
  for (const [code, { retryable, says }] of Object.entries(REFUSALS)) {
    if (!isErrorCode(code)) throw new Error(`${code} is not in the catalogue`);
    expect(ERRORS[code], code).toMatchObject({ retryable, says });
  }
});
