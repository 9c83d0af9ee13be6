export type FeedOutcome = 'complete' | 'open' | { readonly error: string };

const QUOTE = '"';

/**
 * Reads one CSV record (RFC 4180) from one line or, when a quoted field holds line feeds, from several. Strict: a
 * quote inside an unquoted field, and anything between a closing quote and the delimiter, are errors.
 */
export class CsvRecord {
  readonly fields: string[] = [];
  private isQuoted = false;
  private field = '';
  private readonly delimiter: string;

  constructor(delimiter: string) {
    this.delimiter = delimiter;
  }

  /** Takes the next line, without its line feed. `open`: a quote is open, and the record goes on in the next line. */
  feed(line: string): FeedOutcome {
    let at = 0;
    if (this.isQuoted) this.field += '\n';
    for (;;) {
      if (this.isQuoted) {
        const quote = line.indexOf(QUOTE, at);
        if (quote < 0) {
          this.field += line.slice(at);
          return 'open';
        }
        this.field += line.slice(at, quote);
        if (line[quote + 1] === QUOTE) {
          this.field += QUOTE;
          at = quote + 2;
          continue;
        }
        this.isQuoted = false;
        at = quote + 1;
        this.fields.push(this.field);
        this.field = '';
        if (isEnd(line, at)) return 'complete';
        if (line[at] !== this.delimiter) return { error: 'a closing quote is followed by more text' };
        at++;
      } else if (line[at] === QUOTE) {
        this.isQuoted = true;
        at++;
      } else {
        const next = line.indexOf(this.delimiter, at);
        const field = next < 0 ? withoutReturn(line.slice(at)) : line.slice(at, next);
        if (field.includes(QUOTE)) return { error: 'a quote stands inside an unquoted field' };
        this.fields.push(field);
        if (next < 0) return 'complete';
        at = next + 1;
      }
    }
  }
}

/** Lines of files from Windows end with a carriage return. */
function isEnd(line: string, at: number): boolean {
  return at === line.length || (at === line.length - 1 && line[at] === '\r');
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}
