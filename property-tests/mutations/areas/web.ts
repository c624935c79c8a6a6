/** Mutations of training in a browser. */
import type { Mutation } from '../mutation.js'

export const web: ReadonlyArray<Mutation> = [
  {
    file: 'web/runFolder.ts',
    mistake: 'A resumed run keeps the lines after its checkpoint.',
    before: '.slice(0, -1).slice(0, kept)',
    after: '.slice(0, -1)',
    tests: ['web/finetune'],
  },
  {
    file: 'web/finetune.ts',
    mistake: 'Options of Node are ignored.',
    before: 'if (stray !== undefined)',
    after: 'if (false)',
    tests: ['web/finetune'],
  },
  {
    file: 'web/predict.ts',
    mistake: 'Predictions are those of the base model.',
    before: 'await adapterIn(folder, base)',
    after: 'await adapterIn(null, base)',
    tests: ['web/finetune'],
  },
  {
    file: 'web/inspect.ts',
    mistake: 'Held-out rows do not count.',
    before: '[...train.examples, ...evaluation.examples]',
    after: '[...train.examples]',
    tests: ['web/finetune'],
  },
]
