import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { ok, type Result, refuse } from './refusals.ts';
import type { Json, JsonObject } from './settings.ts';

export interface ResultError {
  /** JSON Pointer into the result; empty for the whole. */
  readonly path: string;
  /** What is wrong, in words of the schema: it never quotes the result. */
  readonly message: string;
}

export interface ResultSchema {
  /** @returns what is wrong, at most 20 entries; empty when the result fits. */
  validate(result: Json): readonly ResultError[];
}

const ERRORS_MAX = 20;
const PATH_LENGTH_MAX = 200;
const SCHEMA_BYTES_MAX = 256 * 1024;

/** The schema itself is wrong. A project's settings are checked before they are stored, so later this is a bug. */
export class UnusableResultSchema extends Error {
  override readonly name = 'UnusableResultSchema';
}

/**
 * Compiles a project's result schema (JSON Schema 2020-12, with formats). It takes milliseconds and compiles code:
 * once per change of the schema, never per result.
 *
 * @throws UnusableResultSchema for what does not compile, a `$ref` to elsewhere, and `$async`, which would make
 *   every result fit.
 */
export function compileResultSchema(schema: JsonObject): ResultSchema {
  const text = JSON.stringify(schema);
  if (text.length > SCHEMA_BYTES_MAX)
    throw new UnusableResultSchema(`is larger than ${SCHEMA_BYTES_MAX} bytes`);
  if (schema.$schema !== undefined && !isDialect2020(schema.$schema)) {
    throw new UnusableResultSchema('must be of the dialect 2020-12');
  }
  if (text.includes('"$async"')) throw new UnusableResultSchema('must not be asynchronous');
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false, ownProperties: true });
  addFormats.default(ajv);
  try {
    const check = ajv.compile(schema);
    return { validate: (result) => (check(result) ? [] : describe(check.errors ?? [])) };
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 500) : 'unknown error';
    throw new UnusableResultSchema(`does not compile: ${why}`);
  }
}

/** For settings that come from outside: says whether the schema can be used, with the path when it cannot. */
export function checkResultSchema(schema: JsonObject): Result<true> {
  try {
    compileResultSchema(schema);
    return ok(true);
  } catch (error) {
    if (!(error instanceof UnusableResultSchema)) throw error;
    return refuse('invalid', 'The result schema cannot be used.', {
      details: [{ path: 'settings.resultSchema', message: error.message }],
    });
  }
}

function isDialect2020(dialect: Json): boolean {
  return (
    typeof dialect === 'string' && /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/.test(dialect)
  );
}

function describe(errors: readonly ErrorObject[]): ResultError[] {
  return errors.slice(0, ERRORS_MAX).map((error) => ({
    path: pathOf(error).slice(0, PATH_LENGTH_MAX),
    message: error.message ?? 'does not fit',
  }));
}

/** For a key that must not be there, the path names the key: "must NOT have additional properties" alone helps nobody. */
function pathOf(error: ErrorObject): string {
  const extra: unknown = error.params.additionalProperty ?? error.params.unevaluatedProperty;
  return typeof extra === 'string' ? `${error.instancePath}/${escapePointer(extra)}` : error.instancePath;
}

function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
