/** The tests of one room, which SALORA_MUTATED_TESTS lists, in one process: StrykerJS starts them for each mutant. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: (process.env['SALORA_MUTATED_TESTS'] ?? '').split(','),
    setupFiles: ['property-tests/support/setup.ts', 'property-tests/mutations/operators/withoutShrinking.ts'],
    testTimeout: 120_000,
  },
})
