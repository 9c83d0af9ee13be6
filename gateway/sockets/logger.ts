/** The part of a logger that the sockets use; pino fits. Never given task data, drafts, results or tokens. */
export interface SocketLogger {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}
