import { readValidTokens, type ValidToken } from '../store/admin/tokens.ts';
import type { Database } from '../store/database.ts';

/** Hashes in one query. More that are wanted at the same moment are so many queries more. */
const HASHES_MAX = 1_000;

interface Wanted {
  readonly hash: Buffer;
  readonly resolve: (found: ValidToken | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Looks tokens up by their hashes. What is asked for in one turn of the event loop is one query: when a thousand
 * annotators come back at once, or their tokens are looked at again, they share it.
 */
export class TokenLookup {
  private wanted: Wanted[] = [];
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** @returns undefined when it is not valid now. @throws (rejects) when the database is away. */
  find(hash: Buffer): Promise<ValidToken | undefined> {
    if (this.wanted.length === HASHES_MAX) void this.readWanted();
    if (this.wanted.length === 0) setImmediate(() => void this.readWanted());
    return new Promise((resolve, reject) => this.wanted.push({ hash, resolve, reject }));
  }

  private async readWanted(): Promise<void> {
    const wanted = this.wanted;
    this.wanted = [];
    // A query that was full has taken them before their turn came.
    if (wanted.length === 0) return;
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
  }
}
