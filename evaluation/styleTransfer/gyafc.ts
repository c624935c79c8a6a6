/** GYAFC: formality, Family & Relationships (Rao & Tetreault, 2018). Style 0 is informal, 1 formal; four people's rewritings. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { mistake } from '../../accelerated/files/mistake.js'
import { normalised } from './normalised.js'
import { checkLines, firstOf, linesOf } from './textFile.js'
import type { Direction, StyleNumber, TransferDataset } from './transferData.js'

const styles = ['informal', 'formal'] as const
const people = [0, 1, 2, 3]
const domain = 'Family_Relationships'

export const gyafc: TransferDataset = {
  name: 'gyafc',
  title: 'GYAFC',
  layout: `${domain}/{train,test}/{informal,formal}, and in test informal.ref0 … ref3, formal.ref0 … ref3 (its authors send it to holders of Yahoo's L6 corpus)`,
  read: async (folder) => {
    const root = rootOf(folder)
    return {
      styles,
      directions: [await direction(root, 0), await direction(root, 1)],
      training: [firstOf(root, ['train/informal']), firstOf(root, ['train/formal'])],
    }
  },
}

/** The domain's folder, or one that has it. @throws Mistake that says how to come by it */
const rootOf = (folder: string): string => {
  const found = [join(folder, domain), folder].find((root) => existsSync(join(root, 'test', 'informal')))
  if (found !== undefined) return found
  throw mistake(
    folder,
    `GYAFC's folder ${domain} (licensed: ask Yahoo for its L6 corpus, then the authors, who name the steps at github.com/raosudha89/GYAFC-corpus)`,
    'none',
  )
}

/** What people made of test/informal is in formal.ref0 … ref3: files are called by the style that they have. */
const direction = async (root: string, from: StyleNumber): Promise<Direction> => {
  const [own, target] = from === 0 ? styles : [styles[1], styles[0]]
  const file = join(root, 'test', own)
  const sources = await linesOf(file)
  const references: ReadonlyArray<string>[] = []
  for (const person of people) {
    const referenceFile = join(root, 'test', `${target}.ref${person}`)
    const lines = await linesOf(referenceFile)
    checkLines(lines, referenceFile, sources.length, file)
    references.push(lines.map(normalised))
  }
  return {
    name: `${own} to ${target}`,
    from,
    instruction: `Please rewrite the following sentence to be more ${target}.`,
    file,
    sources,
    references,
  }
}
