import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { readConfig } from '../../app/config.ts';
import { STOP_LIMITS_MS } from '../../app/serve.ts';
import { DEFAULT_HTTP_CONFIG } from '../../gateway/http/config.ts';
import { DEFAULT_SOCKET_CONFIG } from '../../gateway/sockets/index.ts';
import { IMAGE, readImage } from './image.ts';
import {
  cluster,
  KUBERNETES,
  manifestFiles,
  type PodTemplate,
  podTemplates,
  readManifests,
  readText,
} from './manifests.ts';
import { healthPaths, NODE_STEPS_MS, STOP_SECONDS } from './server-facts.ts';

type Labels = Readonly<Record<string, string>>;

const manifests = readManifests();
const objects = cluster(manifests);
const templates = podTemplates(objects);
const servers = templates.filter((template) => template.container.args?.includes('serve'));
const ROLE = 'app.kubernetes.io/component';
const secretValues: Labels = {
  DATABASE_URL: 'postgres://baton:secret@db:5432/baton',
  REDIS_URL: 'redis://redis:6379',
  BATON_ADMIN_TOKEN: 'long-enough',
};

/** Deployments and jobs whose pods a selector chooses. */
function chosen(selector: Labels | undefined): string[] {
  const wanted = Object.entries(selector ?? {});
  if (wanted.length === 0) return [];
  return templates.filter(({ labels }) => wanted.every(([k, v]) => labels[k] === v)).map(({ name }) => name);
}

/** What a pod's process finds in its environment. @throws when something refers to what is not there. */
function environmentOf({ name, container }: PodTemplate, secrets = secretValues): Record<string, string> {
  const maps = (container.envFrom ?? []).map(({ configMapRef }) => {
    const map = objects.configMaps.find(({ metadata }) => metadata?.name === configMapRef?.name);
    if (map?.data === undefined) throw new Error(`${name} refers to a ConfigMap that is not there`);
    return map.data;
  });
  const own = (container.env ?? []).map(({ name: setting, value, valueFrom }) => {
    if (value !== undefined) return [setting, value];
    if (valueFrom?.fieldRef?.fieldPath === 'metadata.name') return [setting, `${name}-5d9c7b6f4-x2x9z`];
    expect(valueFrom?.secretKeyRef?.name).toBe(objects.secrets[0]?.metadata?.name);
    return [setting, secrets[valueFrom?.secretKeyRef?.key ?? ''] ?? 'missing'];
  });
  return Object.assign({}, readImage().environment, ...maps, Object.fromEntries(own));
}

describe('the kustomization', () => {
  const kustomization = z
    .strictObject({
      apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
      kind: z.literal('Kustomization'),
      namespace: z.string(),
      resources: z.array(z.string()),
      images: z.array(z.strictObject({ name: z.string(), newTag: z.string() })),
    })
    .parse(parse(readText(`${KUBERNETES}/kustomization.yaml`)));

  test('names every file, and none of the examples', () => {
    expect(kustomization.resources.map((name) => `${KUBERNETES}/${name}`).sort()).toEqual(
      manifestFiles(KUBERNETES).sort(),
    );
  });

  test('names the image of this release, which every pod runs', () => {
    expect(kustomization.images.map(({ name, newTag }) => `${name}:${newTag}`)).toEqual([IMAGE]);
    expect(templates.map(({ container }) => container.image)).toEqual(templates.map(() => IMAGE));
  });

  test('puts everything into one namespace', () => {
    const names = manifests
      .filter(({ kind }) => kind !== 'Namespace')
      .map(({ metadata }) => metadata.namespace);
    expect([...new Set(names)]).toEqual([kustomization.namespace]);
    expect(objects.namespaces.map(({ metadata }) => metadata?.name)).toEqual([kustomization.namespace]);
  });
});

describe.each(servers.map((server) => [server.name, server] as const))('the pods of %s', (name, server) => {
  const { container, pod, labels } = server;
  const deployment = objects.deployments.find(({ metadata }) => metadata?.name === name);

  test('are given settings that the server knows and takes', () => {
    const config = readConfig(environmentOf(server));
    expect(config).toMatchObject({
      roles: [labels[ROLE]],
      host: '0.0.0.0',
      port: container.ports?.[0]?.containerPort,
      sample: false,
      nodeName: `${name}-5d9c7b6f4-x2x9z`,
      databaseUrl: secretValues.DATABASE_URL,
      redisUrl: secretValues.REDIS_URL,
      adminToken: name.endsWith('gateway') ? secretValues.BATON_ADMIN_TOKEN : undefined,
    });
  });

  test('are given no settings that Kubernetes makes up for services, which the server refuses', () => {
    expect(pod.enableServiceLinks).toBe(false);
    const withLinks = { ...environmentOf(server), BATON_GATEWAY_SERVICE_HOST: '10.0.0.1' };
    expect(() => readConfig(withLinks)).toThrow('BATON_GATEWAY_SERVICE_HOST');
  });

  test('are asked for their health where the server answers, and given the time that it takes', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container;
    const paths = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet?.path);
    expect(paths).toEqual(['/health/live', '/health/live', '/health/ready']);
    expect(healthPaths()).toEqual(expect.arrayContaining(paths));
    for (const probe of [startupProbe, livenessProbe, readinessProbe])
      expect(container.ports?.map((port) => port.name)).toContain(probe?.httpGet?.port);
    expect(Number(readinessProbe?.timeoutSeconds) * 1_000).toBeGreaterThan(
      DEFAULT_HTTP_CONFIG.probeTimeoutMs,
    );
    expect(
      Number(startupProbe?.failureThreshold) * Number(startupProbe?.periodSeconds),
    ).toBeGreaterThanOrEqual(300);
  });

  test('are given time to stop: the delay before, and all that the server may take', () => {
    const before = Number(container.lifecycle?.preStop?.exec?.command?.at(-1) ?? 0);
    expect(Number(pod.terminationGracePeriodSeconds)).toBeGreaterThan(before + STOP_SECONDS);
    expect(STOP_LIMITS_MS.node).toBeGreaterThanOrEqual(NODE_STEPS_MS);
    expect(readText('docs/operations.md')).toContain(`Together ${STOP_SECONDS} s at the very most`);
  });

  test('are replaced one by one, with never fewer than two', () => {
    const scaler = objects.autoscalers.find(({ spec }) => spec?.scaleTargetRef.name === name);
    expect(deployment?.spec?.strategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    });
    // One of the two says how many: a deployment that says it too would undo the other at each apply.
    const said = [deployment?.spec?.replicas, scaler?.spec?.minReplicas].filter(
      (count) => count !== undefined,
    );
    expect(said).toEqual([expect.any(Number)]);
    expect(said[0]).toBeGreaterThanOrEqual(2);
  });

  test('are chosen by their deployment, one budget, and their own wish to be spread', () => {
    const budgets = objects.budgets.filter(({ spec }) => chosen(spec?.selector?.matchLabels).includes(name));
    expect(chosen(deployment?.spec?.selector.matchLabels)).toEqual([name]);
    expect(budgets.map(({ spec }) => [chosen(spec?.selector?.matchLabels), spec?.maxUnavailable])).toEqual([
      [[name], 1],
    ]);
    expect(
      pod.topologySpreadConstraints?.map(({ labelSelector }) => chosen(labelSelector?.matchLabels)),
    ).toEqual([[name], [name]]);
  });
});

describe.each(templates.map((template) => [template.name, template] as const))(
  'every pod of %s',
  (_name, template) => {
    const { pod, container } = template;

    test('runs with no rights', () => {
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 1000,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(objects.accounts.map(({ metadata }) => metadata?.name)).toEqual([pod.serviceAccountName]);
      expect(container.resources).toMatchObject({
        requests: { memory: expect.any(String) },
        limits: { memory: expect.any(String) },
      });
    });

    test('has a folder to write to, inside of its volume, and needs no other', () => {
      const environment = environmentOf(template);
      const [mount] = container.volumeMounts ?? [];
      expect(pod.volumes?.map(({ name, emptyDir }) => [name, emptyDir !== undefined])).toEqual([
        [mount?.name, true],
      ]);
      expect(readConfig(environment).dataDirectory.startsWith(`${mount?.mountPath}/`)).toBe(true);
      expect(environment.TSX_DISABLE_CACHE).toBe('1');
    });
  },
);

describe('the ways in', () => {
  const port = servers[0]?.container.ports?.[0];

  test('a service leads to the gateways alone, by a port that they have', () => {
    expect(objects.services.map(({ spec }) => chosen(spec?.selector))).toEqual([['baton-gateway']]);
    expect(objects.services[0]?.spec?.ports?.map((one) => one.targetPort)).toEqual([port?.name]);
  });

  test('the ingress leads to that service, with no way to health and metrics', () => {
    const paths = objects.ingresses
      .flatMap(({ spec }) => spec?.rules ?? [])
      .flatMap(({ http }) => http?.paths ?? []);
    const [service] = objects.services;
    expect(paths.map(({ path }) => path)).toEqual(['/socket.io', '/api', '/docs']);
    for (const { backend } of paths)
      expect(backend.service).toEqual({
        name: service?.metadata?.name,
        port: { name: service?.spec?.ports?.[0]?.name },
      });
  });

  test('the ingress waits for longer than a quiet WebSocket or feed is silent', () => {
    const { pingIntervalMs, pingTimeoutMs } = DEFAULT_SOCKET_CONFIG;
    const annotations = objects.ingresses[0]?.metadata?.annotations ?? {};
    for (const name of ['proxy-read-timeout', 'proxy-send-timeout']) {
      const ms = Number(annotations[`nginx.ingress.kubernetes.io/${name}`]) * 1_000;
      expect(ms).toBeGreaterThan(
        Math.max(pingIntervalMs + pingTimeoutMs, DEFAULT_HTTP_CONFIG.feedHeartbeatMs),
      );
    }
  });

  test('the network policies choose one role each, and its port', () => {
    const seen = objects.policies.map(({ spec }) => chosen(spec?.podSelector?.matchLabels));
    expect(seen.flat().sort()).toEqual(servers.map(({ name }) => name).sort());
    for (const { spec } of objects.policies)
      expect(spec?.ingress?.flatMap((rule) => rule.ports ?? []).map((one) => one.port)).toEqual([
        port?.containerPort,
      ]);
  });

  test('the autoscaler scales a deployment that is there', () => {
    const targets = objects.autoscalers.map(({ spec }) => spec?.scaleTargetRef.name);
    expect(objects.deployments.map(({ metadata }) => metadata?.name)).toEqual(
      expect.arrayContaining(targets),
    );
  });
});

test('the example of a secret has every key that pods refer to, and no server starts with it', () => {
  const example = objects.secrets[0]?.stringData ?? {};
  expect(Object.keys(example).sort()).toEqual(Object.keys(secretValues).sort());
  const gateway = servers.find(({ name }) => name === 'baton-gateway');
  if (gateway === undefined) throw new Error('there is no gateway');
  expect(() => readConfig(environmentOf(gateway, example))).toThrow('BATON_ADMIN_TOKEN');
});

test('the job migrates, and its settings are taken', () => {
  const job = templates.find(({ container }) => container.args?.[0] === 'migrate');
  if (job === undefined) throw new Error('there is no job');
  expect(readConfig(environmentOf(job)).databaseUrl).toBe(secretValues.DATABASE_URL);
});
