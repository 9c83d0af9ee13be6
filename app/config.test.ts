import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { StartFailure } from './start-failure.ts';

function failureOf(environment: Record<string, string>): StartFailure {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof StartFailure) return error;
    throw error;
  }
  throw new Error('the settings were accepted');
}

describe('settings', () => {
  test('every one has a default', () => {
    expect(readConfig({})).toMatchObject({
      port: 3000,
      host: '127.0.0.1',
      dataDirectory: join(process.cwd(), '.baton'),
      databaseUrl: undefined,
      redisUrl: undefined,
      roles: ['gateway', 'engine'],
      adminToken: undefined,
      sample: true,
      logLevel: 'info',
      allowedOrigins: [],
    });
  });

  test('an empty value counts as not set', () => {
    expect(readConfig({ PORT: '', DATABASE_URL: '' })).toMatchObject({ port: 3000, databaseUrl: undefined });
  });

  test('what is given is taken', () => {
    const config = readConfig({
      PORT: '0',
      HOST: '::1',
      BATON_ROLES: 'engine, gateway',
      BATON_SAMPLE: '0',
      BATON_ALLOWED_ORIGINS: 'https://a.example, http://b.example:8080',
    });
    expect(config).toMatchObject({ port: 0, host: '::1', roles: ['engine', 'gateway'], sample: false });
    expect(config.allowedOrigins).toEqual(['https://a.example', 'http://b.example:8080']);
  });

  test.each([
    [{ PORT: '70000' }, 'PORT must be a port number'],
    [{ PORT: '3000x' }, 'PORT must be a port number'],
    [{ HOST: 'not a host' }, 'HOST must be a host name'],
    [{ DATABASE_URL: 'mysql://x' }, 'DATABASE_URL must be a URL such as postgres://'],
    [{ REDIS_URL: '127.0.0.1:6379' }, 'REDIS_URL must be a URL such as redis://'],
    [
      { BATON_ROLES: 'gateway' },
      'BATON_ROLES must be gateway,engine in a process without DATABASE_URL and REDIS_URL',
    ],
    [{ BATON_ROLES: 'gateway,cook' }, 'BATON_ROLES must name roles out of gateway and engine'],
    [{ BATON_ADMIN_TOKEN: 'short' }, 'BATON_ADMIN_TOKEN must be at least 8 characters long'],
    [{ BATON_SAMPLE: 'no' }, 'BATON_SAMPLE must be 0'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be one of trace'],
    [{ BATON_ALLOWED_ORIGINS: 'https://a.example/path' }, 'BATON_ALLOWED_ORIGINS must be origins'],
    [{ BATON_DATADIR: '/x' }, 'BATON_DATADIR is not a setting of Baton'],
  ])('%o is refused by name', (environment, message) => {
    const failure = failureOf(environment);
    expect(failure.code).toBe('bad_setting');
    expect(failure.message).toContain(message);
    expect(failure.message.split('\n')).toHaveLength(1);
  });

  test('all that is wrong is said at once, and never the value', () => {
    const failure = failureOf({
      PORT: 'x',
      BATON_ADMIN_TOKEN: 'hunter2',
      DATABASE_URL: 'http://me:hunter2@host',
    });
    expect(failure.message.split('\n')).toHaveLength(3);
    expect(failure.message).not.toContain('hunter2');
  });
});
