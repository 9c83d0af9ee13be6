import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import { Secret } from 'kubernetes-models/v1/Secret';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const KUBERNETES = 'deploy/kubernetes';

const head = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ namespace: z.string().optional() }),
});

/** An object that somebody would give to Kubernetes. */
export interface Manifest extends z.output<typeof head> {
  /** From the root of the repository. */
  readonly file: string;
  readonly object: unknown;
}

export function readText(file: string): string {
  return readFileSync(`${ROOT}${file}`, 'utf8');
}

/** The YAML files of a folder, without kustomize's own. */
export function manifestFiles(folder: string): string[] {
  return readdirSync(`${ROOT}${folder}`)
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .map((name) => `${folder}/${name}`);
}

/** Every object, the examples too. @throws when a file is no YAML. */
export function readManifests(): Manifest[] {
  const files = [...manifestFiles(KUBERNETES), ...manifestFiles(`${KUBERNETES}/examples`)];
  return files.flatMap((file) =>
    parseAllDocuments(readText(file), { strict: true, uniqueKeys: true }).map((document) => {
      const [error] = [...document.errors, ...document.warnings];
      if (error !== undefined) throw new Error(`${file}: ${error.message}`);
      const object: unknown = document.toJS();
      return { file, object, ...head.parse(object) };
    }),
  );
}

/** Checks an object by the schema of its kind. @returns false when it is of another kind. @throws what is wrong. */
type Check = (object: unknown) => boolean;

function checkOf<T>(model: { new (data: T): { validate(): void }; is(value: unknown): value is T }): Check {
  return (object) => {
    if (!model.is(object)) return false;
    new model(object).validate();
    return true;
  };
}

/** The kinds that the manifests are made of, with the schemas that Kubernetes publishes. */
export const CHECKS: readonly Check[] = [
  checkOf(ConfigMap),
  checkOf(Deployment),
  checkOf(HorizontalPodAutoscaler),
  checkOf(Ingress),
  checkOf(Job),
  checkOf(Namespace),
  checkOf(NetworkPolicy),
  checkOf(PodDisruptionBudget),
  checkOf(Secret),
  checkOf(Service),
  checkOf(ServiceAccount),
];

/** The objects by kind, as Kubernetes' own types. */
export function cluster(manifests: readonly Manifest[] = readManifests()) {
  const objects = manifests.map((manifest) => manifest.object);
  return {
    deployments: objects.filter(Deployment.is),
    jobs: objects.filter(Job.is),
    services: objects.filter(Service.is),
    ingresses: objects.filter(Ingress.is),
    policies: objects.filter(NetworkPolicy.is),
    budgets: objects.filter(PodDisruptionBudget.is),
    autoscalers: objects.filter(HorizontalPodAutoscaler.is),
    configMaps: objects.filter(ConfigMap.is),
    secrets: objects.filter(Secret.is),
    accounts: objects.filter(ServiceAccount.is),
    namespaces: objects.filter(Namespace.is),
  };
}

export interface PodTemplate {
  /** Of what makes such pods. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly pod: IPodSpec;
  readonly container: IContainer;
}

/** What makes pods. @throws when one has not exactly one container, which the rest of the checks relies on. */
export function podTemplates({ deployments, jobs }: ReturnType<typeof cluster>): PodTemplate[] {
  return [...deployments, ...jobs].map(({ metadata, spec }) => {
    const pod = spec?.template?.spec;
    const [container, ...others] = pod?.containers ?? [];
    if (pod === undefined || container === undefined || others.length > 0)
      throw new Error('one container was expected');
    return {
      name: metadata?.name ?? metadata?.generateName ?? '',
      labels: spec?.template?.metadata?.labels ?? {},
      pod,
      container,
    };
  });
}
