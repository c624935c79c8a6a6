/** Mutations of the learning-rate schedules. */
import type { Mutation } from '../mutation.js'

export const schedules: readonly Mutation[] = [
  {
    file: 'accelerated/schedules/index.ts',
    mistake: 'The polynomial decays to 0.',
    before: '(peak - end) * (1 - step / steps) ** power + end)',
    after: 'peak * (1 - step / steps) ** power)',
    tests: ['agreement/schedules'],
  },
  {
    file: 'accelerated/schedules/index.ts',
    mistake: 'The cosine takes a whole wave.',
    before: '(at.numCycles ?? 0.5)',
    after: '(at.numCycles ?? 1)',
    tests: ['agreement/schedules'],
  },
]
