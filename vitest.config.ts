/** Which files are tests, and how long one may take, or wait for something. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['property-tests/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } }, // of what comes at once where nothing else is at work
    pool: 'forks',
    maxWorkers: 2,
  },
})
