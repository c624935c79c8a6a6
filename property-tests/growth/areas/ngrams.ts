/** Language models of n-grams: training, files and scores. */
import { join } from 'node:path'
import { ngramScorer, openNgramModel, trainNgram, writeNgramModel } from '../../../evaluation/ngram/index.js'
import { textOf } from '../../support/ngramText.js'
import { sentence, times } from '../made.js'
import type { Grown } from '../measured.js'

const text = (sentences: number): string => times(sentences, (i) => sentence(i, 15)).join('\n')
const options = { order: 3, discountFallback: [0.5, 1, 1.5] as const } as const
const trained = (sentences: number) => trainNgram(textOf(text(sentences)), options)

const byFormat = (format: 'arpa' | 'compact'): ReadonlyArray<Grown> => [
  {
    what: `write an n-gram model, ${format}`,
    of: 'sentences',
    from: 500,
    prepare: async (size, folder) => {
      const { model } = await trained(size)
      return () => writeNgramModel(join(folder, 'model'), model, format)
    },
  },
  {
    what: `open an n-gram model, ${format}`,
    of: 'sentences',
    from: 500,
    prepare: async (size, folder) => {
      await writeNgramModel(join(folder, 'model'), (await trained(size)).model, format)
      return () => openNgramModel(join(folder, 'model'))
    },
  },
]

export const ngrams: ReadonlyArray<Grown> = [
  {
    what: 'train an n-gram model',
    of: 'sentences',
    from: 500,
    prepare: async (size) => {
      const whole = text(size)
      return () => trainNgram(textOf(whole), options)
    },
  },
  ...byFormat('arpa'),
  ...byFormat('compact'),
  {
    what: 'score sentences by an n-gram model',
    of: 'sentences',
    from: 1_000,
    prepare: async (size) => {
      const scorer = ngramScorer((await trained(2_000)).model)
      const sentences = times(size, (i) => sentence(i, 15))
      return () => sentences.map((one) => scorer.sentence(one))
    },
  },
]
