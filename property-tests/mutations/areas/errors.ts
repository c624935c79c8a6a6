/** Mutations of errors and suggestions. */
import type { Mutation } from '../mutation.js'

export const errors: readonly Mutation[] = [
  {
    file: 'accelerated/errors/sentError.ts',
    mistake: 'A remedy stays in the thread.',
    before: 'sent.got, sent.remedy)',
    after: 'sent.got)',
    tests: ['property/accelerated/inputError'],
  },
  {
    file: 'accelerated/errors/nearest.ts',
    mistake: 'Any name is near enough.',
    before: 'best.distance <= tolerance(typed)',
    after: 'best.distance <= typed.length',
    tests: ['cli/mistakes'],
  },
  {
    file: 'accelerated/errors/inputError.ts',
    mistake: 'Overrides of direction reach the terminal.',
    before: '\\u202a-\\u202e',
    after: '',
    tests: ['cli/terminal'],
  },
  {
    file: 'accelerated/errors/nearest.ts',
    mistake: 'Swapped neighbors are two edits.',
    before: '(rows[i - 2]?.[j - 2] ?? 0) + 1 : Infinity',
    after: 'Infinity : Infinity',
    tests: ['property/accelerated/inputError'],
  },
  {
    file: 'accelerated/errors/nearest.ts',
    mistake: 'Swapped neighbors are no edit.',
    before: '(rows[i - 2]?.[j - 2] ?? 0) + 1 : Infinity',
    after: '(rows[i - 2]?.[j - 2] ?? 0) : Infinity',
    tests: ['property/accelerated/inputError'],
  },
]
