import type { Command } from 'commander';
import { describeError } from '../../gateway/describe-error.ts';
import { readConfig } from '../config.ts';
import type { Server, Welcome } from '../serve.ts';

const FAILED = 1;
const INTERRUPTED_AGAIN = 130;
/** Under npm one Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MS = 500;
const SETTINGS_HELP = `
Settings, from the environment:
  PORT                   3000            0: any free port
  HOST                   127.0.0.1       0.0.0.0: every address of this machine
  BATON_DATA_DIR         ./.baton        the embedded database, and the tokens printed at start
  DATABASE_URL                           a Postgres of your own (15 or later); then none is embedded
  REDIS_URL                              a Redis (7 or later) through which several processes reach each other
  BATON_ROLES            gateway,engine  what this process does: gateway, engine or both
  BATON_ADMIN_TOKEN                      fixes the first admin's token (default: made once, kept in the data directory)
  BATON_SAMPLE           1               0: an empty database gets no sample project
  BATON_NODE_NAME        <host>-<pid>
  BATON_ALLOWED_ORIGINS                  origins of other web pages that may connect, with commas between them
  BATON_TRUST_PROXY      0               1: clients' addresses are taken from X-Forwarded-For
  LOG_LEVEL              info            trace, debug, info, warn, error, fatal, silent

Examples:
  $ baton serve
  $ PORT=8080 HOST=0.0.0.0 BATON_DATA_DIR=/var/lib/baton baton serve

Ctrl-C stops it cleanly; a second Ctrl-C at once.`;

export function register(program: Command): void {
  program
    .command('serve')
    .description('Start a server, with a database of its own unless DATABASE_URL is set.')
    .option('--json', 'when it is ready, print where it is and its tokens as one line of JSON')
    .addHelpText('after', SETTINGS_HELP)
    .action(run);
}

async function run(options: { json?: boolean }): Promise<void> {
  const stopping = new StopSignals();
  const config = readConfig(process.env);
  // Loaded here: the other commands need not wait for all of a server to be read.
  const { serve } = await import('../serve.ts');
  const server = await serve(config);
  stopping.use(server);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(server.welcome)}\n`
      : welcomeText(server.welcome, config.adminToken),
  );
}

/**
 * Signals and failures that end the process. A signal that comes while the server starts is kept until it has
 * started: half a server could not be stopped cleanly.
 */
class StopSignals {
  private server: Server | undefined;
  private firstAtMs: number | undefined;

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.onSignal());
    process.on('uncaughtException', (error) => this.onBug(error));
    process.on('unhandledRejection', (error) => this.onBug(error));
  }

  use(server: Server): void {
    this.server = server;
    if (this.firstAtMs !== undefined) this.end(0);
  }

  private onSignal(): void {
    const nowMs = performance.now();
    if (this.firstAtMs !== undefined) {
      if (nowMs - this.firstAtMs < SAME_SIGNAL_MS) return;
      // The database is left running; the next start finds it.
      this.server?.log.flush();
      process.exit(INTERRUPTED_AGAIN);
    }
    this.firstAtMs = nowMs;
    if (this.server === undefined) return;
    process.stderr.write('Stopping. Once more stops at once.\n');
    this.end(0);
  }

  /** The state in memory can no longer be trusted. What was acknowledged is in the database. */
  private onBug(error: unknown): void {
    if (this.server === undefined) {
      process.stderr.write(`error: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(FAILED);
    }
    this.server.log.logger.fatal(describeError(error), 'a bug: the server stops');
    this.end(FAILED);
  }

  private end(exitCode: number): void {
    const server = this.server;
    if (server === undefined) return;
    void server.stop().then(() => {
      server.log.flush();
      process.exit(exitCode);
    });
  }
}

function welcomeText(welcome: Welcome, fixedToken: string | undefined): string {
  const rows: [string, string][] = [
    ['Server', welcome.url],
    ['API docs', welcome.docs],
    ['Data', `${welcome.dataDirectory} (${welcome.database})`],
  ];
  if (welcome.adminToken !== '')
    rows.push([
      'Admin token',
      fixedToken === undefined ? welcome.adminToken : 'the one in BATON_ADMIN_TOKEN',
    ]);
  if (welcome.annotatorToken !== undefined)
    rows.push(['Annotator token', `${welcome.annotatorToken} (sample project "pandalm")`]);
  const lines = rows.map(([label, value]) => `  ${label.padEnd(16)} ${value}`);
  return `Baton ${welcome.version} is ready, in ${(welcome.startedInMs / 1000).toFixed(1)} s.\n\n${lines.join('\n')}\n\nCtrl-C stops it.\n`;
}
