/** Which files are tests, and how long one may take. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['property-tests/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
