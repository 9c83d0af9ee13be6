import type { AnnotatorId } from '../../engine/ids.ts';

export type Role = 'annotator' | 'supervisor' | 'admin';

/** Who is on the other end, as its token says. `actor` goes into histories and audit logs: never a name. */
export interface Principal {
  readonly tokenId: number;
  readonly role: Role;
  readonly annotatorId: AnnotatorId | null;
  readonly actor: string;
}

export interface Authenticator {
  /**
   * @returns undefined for an unknown, expired or revoked token. That another process revoked it may be seen five
   *   seconds late.
   */
  authenticate(token: string): Promise<Principal | undefined>;
  /** Another process has revoked this token: the next look at it is a true one. Tells no listener. */
  forget(tokenId: number): void;
  /** Calls back when this process has revoked a token, or tried to: the next look at it will tell. */
  onRevoked(listener: (tokenId: number) => void): () => void;
}
