import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHECKS, type Manifest, ROOT, readManifests } from './manifests.ts';

const manifests = readManifests();

describe('the Kubernetes manifests', () => {
  test.each(manifests.map((manifest) => [manifest.file, manifest.kind, manifest] as const))(
    '%s: the %s is valid by the schema of its kind',
    (_file, _kind, { object }) => {
      expect(CHECKS.filter((check) => check(object))).toHaveLength(1);
    },
  );

  test('have no field that Kubernetes does not know', () => {
    expect(unknownFields(manifests)).toBe('');
  });
});

describe('the checks', () => {
  const [deployment] = manifests.filter((manifest) => manifest.kind === 'Deployment');
  if (deployment === undefined) throw new Error('there is no deployment');

  test('find a value of the wrong type', () => {
    const wrong = changed(
      deployment,
      '"terminationGracePeriodSeconds":',
      '"terminationGracePeriodSeconds":"x",',
    );
    expect(() => CHECKS.some((check) => check(wrong.object))).toThrow('terminationGracePeriodSeconds');
  });

  test('find a misspelled field', () => {
    const wrong = changed(deployment, '"topologySpreadConstraints":', '"topologySpreadConstraint":');
    expect(unknownFields([wrong])).toContain("'topologySpreadConstraint' does not exist");
  });
});

/**
 * The published schemas let unknown fields pass, as the API server by default does. The types made from them do not, in
 * an object that is written out: so each manifest is written out, and the compiler reads it.
 *
 * @returns what the compiler says; nothing when all is well.
 */
function unknownFields(wanted: readonly Manifest[]): string {
  const models = join(ROOT, 'node_modules/kubernetes-models');
  const lines = wanted.flatMap(({ apiVersion, kind, object }, index) => [
    `import type { I${kind} as Kind${index} } from ${JSON.stringify(join(models, apiVersion, `${kind}.js`))};`,
    `export const object${index}: Kind${index} = ${JSON.stringify(object)};`,
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'baton-manifests-'));
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = '--ignoreConfig --noEmit --strict --skipLibCheck --target es2023 --module nodenext';
  try {
    const file = join(folder, 'manifests.mts');
    writeFileSync(file, lines.join('\n'));
    execFileSync(process.execPath, [compiler, ...options.split(' '), file], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return '';
  } catch (error) {
    const output = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    if (output === '') throw error;
    return output.replaceAll('"', '');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function changed(manifest: Manifest, from: string, to: string): Manifest {
  const text = JSON.stringify(manifest.object);
  const [before, after] = text.split(from);
  if (before === undefined || after === undefined) throw new Error(`${from} is not there exactly once`);
  // What was there is kept under a name that both checks let pass.
  const rest = to.endsWith(',') ? `${to}"activeDeadlineSeconds":` : to;
  return { ...manifest, object: JSON.parse(`${before}${rest}${after}`) };
}
