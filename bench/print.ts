import { rounded } from './measure.ts';
import { isMet, type SuiteReport, type Table } from './suite.ts';

/** A suite's report as text for a terminal of any width. */
export function formatReport(report: SuiteReport): string {
  const tables = report.tables.map((table) => `\n${table.title}\n${formatTable(table)}`);
  const goals = report.goals.map((goal) => {
    const verdict = isMet(goal) ? 'met' : 'MISSED';
    const unit = goal.unit === '' ? '' : ` ${goal.unit}`;
    return `  ${verdict.padEnd(6)}  ${goal.name}: ${rounded(goal.value)}${unit} (goal: ${goal.bound} ${goal.limit}${unit})`;
  });
  const notes = report.notes.map((note) => `  ${note}`);
  return [...tables, '', 'Goals', ...goals, ...(notes.length > 0 ? ['', 'Notes', ...notes] : []), ''].join(
    '\n',
  );
}

function formatTable({ rows }: Table): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = rows.map((row) => names.map((name) => cell(row[name])));
  const isText = names.map((name) => rows.some((row) => typeof row[name] === 'string'));
  const widths = names.map((name, column) =>
    Math.max(name.length, ...lines.map((line) => line[column]?.length ?? 0)),
  );
  const layOut = (line: readonly string[]): string =>
    line
      .map((text, column) =>
        isText[column] ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [layOut(names), widths.map((width) => '-'.repeat(width)).join('  '), ...lines.map(layOut)]
    .map((line) => `  ${line}`)
    .join('\n');
}

function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  return typeof value === 'number' ? rounded(value).toLocaleString('en-US') : value;
}
