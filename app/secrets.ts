/** Files of the data directory that keep a token, so that the next start prints the same one. */
export const ADMIN_TOKEN_FILE = 'admin-token';
export const SAMPLE_TOKEN_FILE = 'sample-annotator-token';
