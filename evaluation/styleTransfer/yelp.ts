/** Yelp: sentiment (Li et al., 2018). Style 0 is negative, 1 positive; one person's rewritings. */
import { dirname, join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { styleCorpora, styleFiles, type Style } from '../../finetuning/data/styles.js'
import { normalizedReference } from './normalizedText.js'
import { checkLines, linesOf, trainingFiles } from './textFile.js'
import { otherStyle, type Direction, type TransferDataset } from './transferData.js'

const { styles } = styleCorpora.yelp

export const yelp: TransferDataset = {
  name: 'yelp',
  title: 'Yelp',
  layout: 'test.0, test.1, reference.0, reference.1 and, for a language model, train.0 and train.1',
  read: async (folder) => {
    const files = styleFiles('yelp', 'test', folder)
    return {
      styles,
      directions: [await direction(files[0], 0), await direction(files[1], 1)],
      training: trainingFiles('yelp', folder),
    }
  },
}

const direction = async (file: string, from: Style): Promise<Direction> => {
  const referenceFile = join(dirname(file), `reference.${from}`)
  const sources = await linesOf(file)
  const references = await linesOf(referenceFile)
  checkLines(references, referenceFile, sources.length, file)
  const target = styles[otherStyle(from)]
  return {
    name: `${styles[from]} to ${target}`,
    from,
    instruction: `Please change the sentiment of the following sentence to be more ${target}.`,
    file,
    sources,
    references: [references.map((line, i) => normalizedReference(rewritingIn(line, `${referenceFile}, line ${i + 1}`)))],
  }
}

/** The official file has `source TAB rewriting`; a rewriting alone is read too. */
const rewritingIn = (line: string, where: string): string => {
  const rewriting = line.slice(line.indexOf('\t') + 1)
  if (rewriting.trim() === '') throw inputError(where, 'a rewriting, alone or behind its source and a tab', 'none')
  return rewriting
}
