import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { check, readRows, readRowsFile } from './checker/index.ts';
import { readHistories } from './history.ts';

const USAGE_ERROR = 2;

/** Checks the histories of a campaign against a database, or against the rows that the campaign kept. */
const program = new Command('chaos:check')
  .description('Holds the histories of a fault campaign against the database.')
  .requiredOption('--histories <directory>', 'where the *.ndjson are')
  .option('--database <url>', 'the database, as the campaign left it')
  .option('--rows <file>', 'rows.json, which a campaign with violations keeps beside its histories')
  .option('--json <file>', 'writes the violations there, too')
  .addHelpText('after', '\nExit code 1: something does not hold. 2: wrong arguments.')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : USAGE_ERROR))
  .parse();

const options = program.opts<{ histories: string; database?: string; rows?: string; json?: string }>();
const { database, rows: rowsFile } = options;
if ((database === undefined) === (rowsFile === undefined)) {
  process.stderr.write('error: give either --database or --rows\n');
  process.exit(USAGE_ERROR);
}
const rows = rowsFile === undefined ? await readRows(String(database)) : readRowsFile(rowsFile);
const histories = readHistories(options.histories);
const violations = check(histories, rows);
for (const { kind, what } of violations) process.stdout.write(`${kind}: ${what}\n`);
process.stdout.write(
  `${histories.operations.length} operations, ${rows.annotations.length} annotations, ${rows.transitions.length} transitions: ` +
    `${violations.length === 0 ? 'everything holds' : `${violations.length} violations`}\n`,
);
if (options.json !== undefined)
  writeFileSync(options.json, `${JSON.stringify({ violations }, undefined, 2)}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;
