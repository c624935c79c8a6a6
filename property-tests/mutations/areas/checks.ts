/** Mutations of the style checker. */
import type { Mutation } from '../mutation.js'

export const checks: ReadonlyArray<Mutation> = [
  {
    file: 'checks/style/rules.ts',
    mistake: 'A sentence of 25 words is too long.',
    before: 'words > longestSentence ?',
    after: 'words >= longestSentence ?',
    tests: ['documentation/style'],
  },
  {
    file: 'checks/style/rules.ts',
    mistake: 'Banned phrases in code spans count.',
    before: "const prose = text.replace(/`[^`]*`/g, '`code`').replace",
    after: 'const prose = text.replace',
    tests: ['documentation/style'],
  },
  {
    file: 'checks/style/rules.ts',
    mistake: 'Semicolons never count.',
    before: 'semicolons > 1 ?',
    after: 'semicolons > 100 ?',
    tests: ['documentation/style'],
  },
]
