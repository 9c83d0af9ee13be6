import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../app/config.ts';
import { type ComposeService, readCompose } from './compose.ts';
import { IMAGE, readImage } from './image.ts';
import { ROOT, readText } from './manifests.ts';
import { healthPaths, STOP_SECONDS } from './server-facts.ts';

const secrets = { POSTGRES_PASSWORD: 'a1b2c3d4', BATON_ADMIN_TOKEN: 'e5f6a7b8c9' };
const { services, volumes } = readCompose(secrets);
const image = readImage();
const nodes = Object.entries(services).filter(([, service]) => service.image === IMAGE);
const configOf = (service: ComposeService) => readConfig({ ...image.environment, ...service.environment });

describe('the Compose file', () => {
  test('starts two gateways, two engines, a Postgres and a Redis', () => {
    const roles = nodes.map(([, service]) => configOf(service).roles.join());
    expect(roles.sort()).toEqual(['engine', 'engine', 'gateway', 'gateway']);
    expect(Object.keys(services).sort()).toEqual(
      [...nodes.map(([name]) => name), 'postgres', 'redis'].sort(),
    );
  });

  test.each(Object.keys(secrets))('does not start without %s', (name) => {
    expect(() => readCompose({ ...secrets, [name]: '' })).toThrow(`${name}: set it in deploy/.env`);
    expect(readText('deploy/.env.example').split('\n')).toContain(`${name}=`);
    expect(readText('.gitignore').split('\n')).toContain('deploy/.env');
  });

  test('holds a password nowhere else', () => {
    expect(readText('deploy/compose.yaml')).not.toMatch(/(PASSWORD|TOKEN): (?!\$\{\w+:\?)/);
  });

  test('keeps what Postgres writes, and nothing that Redis holds', () => {
    expect(services.postgres?.volumes).toEqual(['postgres:/var/lib/postgresql']);
    expect(Object.keys(volumes)).toEqual(['postgres']);
    expect(services.redis?.command).toEqual(['redis-server', '--save', '', '--appendonly', 'no']);
    expect(Number(/^redis:(\d+)\./.exec(services.redis?.image ?? '')?.[1])).toBeGreaterThanOrEqual(7);
  });

  test('publishes nothing but the gateways, on loopback by default', () => {
    const published = Object.entries(services).flatMap(([name, { ports }]) =>
      (ports ?? []).map((port) => [name, port]),
    );
    expect(published).toEqual([
      ['gateway-1', `127.0.0.1:3001:${image.environment.PORT}`],
      ['gateway-2', `127.0.0.1:3002:${image.environment.PORT}`],
    ]);
  });
});

describe.each(nodes)('the node %s', (name, service) => {
  test('is given settings that the server knows and takes', () => {
    const config = configOf(service);
    expect(config).toMatchObject({ host: '0.0.0.0', sample: false, nodeName: name });
    expect(new URL(config.databaseUrl ?? '').password).toBe(secrets.POSTGRES_PASSWORD);
    expect(config.adminToken).toBe(config.roles.includes('gateway') ? secrets.BATON_ADMIN_TOKEN : undefined);
    for (const url of [config.databaseUrl, config.redisUrl])
      expect(Object.keys(services)).toContain(new URL(url ?? '').hostname);
  });

  test('waits for Postgres and Redis, and is given time to stop', () => {
    expect(Object.keys(service.depends_on ?? {}).sort()).toEqual(['postgres', 'redis']);
    expect(service.stop_grace_period).toBeGreaterThan(STOP_SECONDS);
  });

  test('runs with no rights, on a read-only file system beside its folder', () => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      tmpfs: ['/data'],
    });
    expect(configOf(service).dataDirectory).toMatch(/^\/data\/./);
  });

  test('is asked whether it is ready, as the image asks whether it lives', () => {
    const asked = service.healthcheck.test
      .slice(1)
      .map((word) => word.replace('/health/ready', '/health/live'));
    expect(asked).toEqual(image.healthCheck);
    expect(healthPaths()).toContain('/health/ready');
  });

  test('is built from the Dockerfile that is here', () => {
    expect(service.build).toEqual({ context: '..', dockerfile: 'deploy/Dockerfile' });
    expect(existsSync(`${ROOT}deploy/Dockerfile`)).toBe(true);
  });
});
