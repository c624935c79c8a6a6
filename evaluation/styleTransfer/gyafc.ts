/** GYAFC: formality, Family & Relationships (Rao & Tetreault, 2018). Style 0 is informal, 1 formal; four people's rewritings. */
import { dirname, join } from 'node:path'
import { styleCorpora, styleFiles, type Style } from '../../finetuning/data/styles.js'
import { normalized } from './normalizedText.js'
import { checkLines, linesOf, trainingFiles } from './textFile.js'
import { otherStyle, type Direction, type TransferDataset } from './transferData.js'
import type { SentenceScores } from './scores.js'

const { styles, folder: domain } = styleCorpora.gyafc
const people = [0, 1, 2, 3]

export const gyafc: TransferDataset = {
  name: 'gyafc',
  title: 'GYAFC',
  layout: `${domain}/{train,test}/{informal,formal}, and in test informal.ref0 … ref3, formal.ref0 … ref3 (licensed)`,
  read: async (folder) => {
    const files = styleFiles('gyafc', 'test', folder)
    return {
      styles,
      directions: [await direction(files[0], 0), await direction(files[1], 1)],
      training: trainingFiles('gyafc', folder),
    }
  },
}

/** Rewritings of test/informal are in formal.ref0 … ref3: the name of a file is its own style. */
const direction = async (file: string, from: Style): Promise<Direction> => {
  const target = styles[otherStyle(from)]
  const sources = await linesOf(file)
  const references: ReadonlyArray<string>[] = []
  for (const person of people) {
    const referenceFile = join(dirname(file), `${target}.ref${person}`)
    const lines = await linesOf(referenceFile)
    checkLines(lines, referenceFile, sources.length, file)
    references.push(lines.map(normalized))
  }
  return {
    name: `${styles[from]} to ${target}`,
    from,
    instruction: `Please rewrite the following sentence to be more ${target}.`,
    file,
    sources,
    references,
  }
}

/** Single transfers with their scores, for a reader who judges them by eye. */
export type TransferExample = {
  readonly source: string
  readonly output: string
  /** the first person's rewriting */
  readonly reference: string
  readonly scores: SentenceScores
}

export type ExampleGroup = { readonly direction: string; readonly examples: ReadonlyArray<TransferExample> }

export type TransferExamples = { readonly title: string; readonly groups: ReadonlyArray<ExampleGroup> }
