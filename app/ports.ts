import { createServer } from 'node:net';
import { messageOf, StartFailure, systemErrorCode } from './start-failure.ts';

/** Listens on an address for a moment. @throws the system's error when that is not possible. */
export function tryPort(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

/** What a failed listen means for whoever starts the server. */
export function listenFailure(error: unknown, host: string, port: number): StartFailure {
  const where = `${host}:${port}`;
  switch (systemErrorCode(error)) {
    case 'EADDRINUSE':
      return new StartFailure(
        'port_in_use',
        `Another program listens on ${where}.`,
        'Stop it, or set PORT to another port.',
        error,
      );
    case 'EACCES':
      return new StartFailure(
        'port_refused',
        `This user may not listen on ${where}.`,
        'Set PORT to 1024 or above.',
        error,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartFailure(
        'port_refused',
        `${host} is not an address of this machine.`,
        'Set HOST to 127.0.0.1 or 0.0.0.0.',
        error,
      );
    default:
      return new StartFailure(
        'port_refused',
        `The server cannot listen on ${where}: ${messageOf(error)}.`,
        'Set HOST and PORT.',
        error,
      );
  }
}
