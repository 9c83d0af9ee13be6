import { defineConfig } from 'vitest/config';

// `npx vitest run --project unit` runs the pure tests, which sit beside the code they test, without any service.
// Everything that needs Postgres, sockets or processes lives in test/ and shares one throwaway Postgres.
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: ['**/node_modules/**', 'test/**'],
          testTimeout: 10_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          // Servers start and stop in many of them, and a bare machine may be a slow one: only what hangs shall fail.
          testTimeout: 90_000,
          hookTimeout: 120_000,
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
    ],
  },
});
