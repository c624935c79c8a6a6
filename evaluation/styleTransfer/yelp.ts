/** Yelp: sentiment (Li et al., 2018). Style 0 is negative, 1 positive; one person's rewritings. */
import { join } from 'node:path'
import { mistake } from '../../accelerated/files/mistake.js'
import { normalisedReference } from './normalised.js'
import { checkLines, firstOf, linesOf } from './textFile.js'
import type { Direction, StyleNumber, TransferDataset } from './transferData.js'

const styles = ['negative', 'positive'] as const

export const yelp: TransferDataset = {
  name: 'yelp',
  title: 'Yelp',
  layout: 'test.0, test.1, reference.0, reference.1 and, for a language model, train.0 and train.1',
  read: async (folder) => ({
    styles,
    directions: [await direction(folder, 0), await direction(folder, 1)],
    training: [trainingFile(folder, 0), trainingFile(folder, 1)],
  }),
}

/** The official file, or the first part of it. */
const trainingFile = (folder: string, style: StyleNumber): string | null => firstOf(folder, [`train.${style}`, `train_first30k.${style}`])

const direction = async (folder: string, from: StyleNumber): Promise<Direction> => {
  const [file, referenceFile] = [join(folder, `test.${from}`), join(folder, `reference.${from}`)]
  const sources = await linesOf(file)
  const references = await linesOf(referenceFile)
  checkLines(references, referenceFile, sources.length, file)
  const target = styles[from === 0 ? 1 : 0]
  return {
    name: `${styles[from]} to ${target}`,
    from,
    instruction: `Please change the sentiment of the following sentence to be more ${target}.`,
    file,
    sources,
    references: [references.map((line, i) => normalisedReference(rewritingIn(line, `${referenceFile}, line ${i + 1}`)))],
  }
}

/** `source TAB rewriting`, as the file has it, or the rewriting alone. */
const rewritingIn = (line: string, where: string): string => {
  const rewriting = line.slice(line.indexOf('\t') + 1)
  if (rewriting.trim() === '') throw mistake(where, 'a rewriting, alone or behind its source and a tab', 'none')
  return rewriting
}
