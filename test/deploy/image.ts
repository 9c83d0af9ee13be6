import { type Copy, DockerfileParser, type From, type JSONInstruction } from 'dockerfile-ast';
import { z } from 'zod';
import { readVersion } from '../../app/version.ts';
import { readText } from './manifests.ts';

/** How every file in deploy/ calls the image of this release. */
export const IMAGE = `baton:${readVersion()}`;

const words = z.array(z.string());

/** deploy/Dockerfile, read for the checks. */
export interface Image {
  readonly text: string;
  readonly stages: readonly From[];
  /** Of the last stage. */
  readonly environment: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthCheck: readonly string[];
  /** Instructions of the last stage, as `[name, arguments]`. */
  readonly instructions: readonly (readonly [string, string])[];
  /** What the stages copy from the repository. */
  readonly copied: readonly string[];
}

export function readImage(): Image {
  const text = readText('deploy/Dockerfile');
  const file = DockerfileParser.parse(text);
  const stages = file.getFROMs();
  const lastLine = stages.at(-1)?.getRange().start.line ?? 0;
  const ofLastStage = file.getInstructions().filter((one) => one.getRange().start.line >= lastLine);
  const properties = file.getENVs().flatMap((instruction) => instruction.getProperties());
  return {
    text,
    stages,
    environment: Object.fromEntries(properties.map((one) => [one.getName(), one.getValue() ?? ''])),
    entrypoint: execForm(file.getENTRYPOINTs()[0]),
    command: execForm(file.getCMDs()[0]),
    healthCheck: words.parse(
      JSON.parse(/\[.*\]/.exec(file.getHEALTHCHECKs()[0]?.getTextContent() ?? '')?.[0] ?? ''),
    ),
    instructions: ofLastStage.map((one) => [one.getKeyword(), one.getArgumentsContent() ?? ''] as const),
    copied: file.getCOPYs().filter(isFromContext).flatMap(sourcesOf),
  };
}

function execForm(instruction: JSONInstruction | undefined): string[] {
  return words.parse(JSON.parse(instruction?.getArgumentsContent() ?? ''));
}

function isFromContext(copy: Copy): boolean {
  return copy.getFromFlag() === null;
}

function sourcesOf(copy: Copy): string[] {
  return copy
    .getArguments()
    .slice(0, -1)
    .map((argument) => argument.getValue());
}
