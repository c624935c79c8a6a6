/** Mutations of training in a browser. */
import type { Mutation } from '../mutation.js'

export const web: readonly Mutation[] = [
  {
    file: 'web/finetune.ts',
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
    file: 'web/predict.ts',
    mistake: 'Held-out rows do not count.',
    before: '[...train.examples, ...evaluation.examples]',
    after: '[...train.examples]',
    tests: ['web/finetune'],
  },
  {
    file: 'web/hubModel.ts',
    mistake: 'A model of any size is loaded from the hub.',
    before: '  if (bytes <= largestModel) return\n',
    after: '  if (bytes <= Infinity) return\n',
    tests: ['web/hubModel'],
  },
  {
    file: 'web/hubModel.ts',
    mistake: "The hub's files have addresses of another branch than transformers.js'.",
    before: '/resolve/main/',
    after: '/resolve/HEAD/',
    tests: ['web/hubModel'],
  },
  {
    file: 'web/hubModel.ts',
    mistake: 'A page without a connection asks for optional files of a model in the cache.',
    before: 'if (!isComplete || ',
    after: 'if (true || ',
    tests: ['web/hubModel'],
  },
  {
    file: 'web/hubModel.ts',
    mistake: 'A file whose download broke is kept.',
    before: '  const blob = await new Response(body.pipeThrough(counted)).blob().catch((thrown: unknown) => {\n',
    after:
      '  const blob = await new Response(body.pipeThrough(counted)).blob().catch((thrown: unknown) => {\n    if (total !== null) return new Blob([new Uint8Array(total)])\n',
    tests: ['web/hubModel'],
  },
  {
    file: 'web/hubModel.ts',
    mistake: 'A stopped download is reported as a missing connection.',
    before: '    if (signal?.aborted === true) throw stopped(id)\n    throw inputError(id, `an answer',
    after: '    throw inputError(id, `an answer',
    tests: ['web/hubModel'],
  },
]
