import { readValidTokens, type ValidToken } from '../store/admin/tokens.ts';
import type { Database } from '../store/database.ts';

/** Hashes in one query. */
const HASHES_MAX = 1_000;
/** Queries under way at a time. While thousands come back there are many turns with a few of them each. */
const QUERIES_MAX = 2;

interface Wanted {
  readonly hash: Buffer;
  readonly resolve: (found: ValidToken | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Looks tokens up by their hashes. What is asked for in one turn of the event loop, or while queries are under way, is
 * one query: when thousands of annotators come back at once, or their tokens are looked at again, they share it.
 */
export class TokenLookup {
  private wanted: Wanted[] = [];
  private running = 0;
  private isDue = false;
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** @returns undefined when it is not valid now. @throws (rejects) when the database is away. */
  find(hash: Buffer): Promise<ValidToken | undefined> {
    return new Promise((resolve, reject) => {
      this.wanted.push({ hash, resolve, reject });
      this.readSoon();
    });
  }

  private readSoon(): void {
    if (this.isDue || this.wanted.length === 0 || this.running >= QUERIES_MAX) return;
    this.isDue = true;
    setImmediate(() => {
      this.isDue = false;
      while (this.wanted.length > 0 && this.running < QUERIES_MAX) void this.read();
    });
  }

  private async read(): Promise<void> {
    const wanted = this.wanted.splice(0, HASHES_MAX);
    this.running += 1;
    try {
      const rows = await readValidTokens(
        this.db,
        wanted.map((one) => one.hash),
      );
      const found = new Map(rows.map((row) => [row.hash.toString('base64'), row]));
      for (const { hash, resolve } of wanted) resolve(found.get(hash.toString('base64')));
    } catch (error) {
      for (const { reject } of wanted) reject(error);
    }
    this.running -= 1;
    this.readSoon();
  }
}
