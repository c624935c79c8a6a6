/** Style transfer datasets, Yelp and GYAFC: sentences of two styles, and human rewritings of each in the other style. */
import { type Style, type StyleName, styleFiles, styleCorpora } from '../../finetuning/data/styles.js'
import { bleuTokenizers } from '../bleu/bleu.js'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { eachTextLine, fileSource } from '../ngram/textLines.js'
import { dirname, join } from 'node:path'

export type Direction = {
  /** such as `negative to positive` */
  readonly name: string
  /** the style of the sources */
  readonly from: Style
  /** the prompt's instruction: SaLoRA, Table A3 */
  readonly instruction: string
  /** the file of the sources, for messages */
  readonly file: string
  readonly sources: readonly string[]
  /** one list per person, normalized: references[k][i] belongs to sources[i] */
  readonly references: readonly (readonly string[])[]
}

export type TransferData = {
  /** names by number */
  readonly styles: readonly [string, string]
  /** from style 0, from style 1 */
  readonly directions: readonly [Direction, Direction]
  /** files with training sentences for language models, by style; null if there are none */
  readonly training: readonly [string, string] | null
}

/** A dataset in its official folders. */
export type TransferDataset = {
  /** the value of --dataset */
  readonly name: StyleName
  /** its name in tables */
  readonly title: string
  /** a few words for --help: the folder's layout */
  readonly layout: string
  /** @throws InputError for the first thing wrong */
  readonly read: (folder: string) => Promise<TransferData>
}

export const bothStyles: readonly Style[] = [0, 1]
export const otherStyle = (style: Style): Style => (style === 0 ? 1 : 0)

// Normalized sentences of style transfer: lower case, NLTK's words between blanks (TSST's preprocessing, Xiao et al., 2021).
/** → words between blanks. Normalized text stays the same, except for quotation marks. */
export const normalized = (sentence: string): string => bleuTokenizers.words(sentence.toLowerCase()).join(' ')

/**
 * A human rewriting as in the published numbers: normalized, with a period if it ends without a mark, and tokenized once more. Their file of
 * references was prepared like this.
 */
const normalizedReference = (sentence: string): string => {
  const words = normalized(sentence)
  return bleuTokenizers.words(/[.!?]$/.test(words) ? words : `${words} .`).join(' ')
}

/** The first line of an answer that is not blank. */
export const firstLine = (answer: string): string => answer.trimStart().split('\n')[0]?.trim() ?? ''

// Files of one sentence a line.
/** Maximum lines of a file; evaluations have thousands. */
const mostLines = 1_000_000

/** A file's lines. The last line needs no line feed. @throws InputError if the file is unreadable, empty, too long or not UTF-8 */
export const readLines = async (file: string): Promise<readonly string[]> => {
  const lines: string[] = []
  await eachTextLine(await fileSource(file), (bytes, start, end, line) => {
    if (line > mostLines) throw inputError(file, `at most ${mostLines} lines`, 'more')
    lines.push(
      Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
        .toString('utf8')
        .replace(/\r$/, ''),
    )
  })
  if (lines.length === 0) throw inputError(file, 'a sentence a line', 'an empty file')
  return lines
}

/** The files of the training sentences, by style; null if the folder has none. */
export const trainingFiles = (name: StyleName, folder: string): readonly [string, string] | null => {
  try {
    return styleFiles(name, 'train', folder)
  } catch (thrown) {
    if (thrown instanceof InputError) return null
    throw thrown
  }
}

/** @throws InputError if two files that belong together line by line have different numbers of lines */
export const checkLines = (lines: readonly string[], file: string, count: number, like: string): void => {
  if (lines.length !== count) throw inputError(file, `${count} lines, as many as ${like} has`, String(lines.length))
}

/** GYAFC: formality, Family & Relationships (Rao & Tetreault, 2018). Style 0 is informal, 1 formal; four people's rewritings. */
const gyafc = transferDataset('gyafc', {
  title: 'GYAFC',
  layout: `${styleCorpora.gyafc.folder}/{train,test}/{informal,formal}, and in test informal.ref0 … ref3, formal.ref0 … ref3 (licensed)`,
  instruction: (target) => `Please rewrite the following sentence to be more ${target}.`,
  // rewritings of test/informal are in formal.ref0 … ref3: the name of a file is its own style
  referenceFiles: (_, target) => [0, 1, 2, 3].map((person) => `${target}.ref${person}`),
  reference: normalized,
})

/** Yelp: sentiment (Li et al., 2018). Style 0 is negative, 1 positive; one person's rewritings. */
const yelp = transferDataset('yelp', {
  title: 'Yelp',
  layout: 'test.0, test.1, reference.0, reference.1 and, for a language model, train.0 and train.1',
  instruction: (target) => `Please change the sentiment of the following sentence to be more ${target}.`,
  referenceFiles: (from) => [`reference.${from}`],
  // the official file has `source TAB rewriting`; a rewriting alone is read too
  reference: (line, where) => {
    const rewriting = line.slice(line.indexOf('\t') + 1)
    if (rewriting.trim() === '') throw inputError(where, 'a rewriting, alone or behind its source and a tab', 'none')
    return normalizedReference(rewriting)
  },
})

/** All datasets. Metrics that other evaluations share belong in bleu/ and ngram/. */
export const transferDatasets: readonly [yelp: TransferDataset, gyafc: TransferDataset] = [yelp, gyafc]

type Description = Pick<TransferDataset, 'title' | 'layout'> & {
  readonly instruction: (target: string) => string
  /** names of the files of rewritings beside the sources, one per person */
  readonly referenceFiles: (from: Style, target: string) => readonly string[]
  /** the normalized rewriting in a line */
  readonly reference: (line: string, where: string) => string
}

function transferDataset(name: StyleName, { title, layout, ...description }: Description): TransferDataset {
  return {
    name,
    title,
    layout,
    read: async (folder) => {
      const files = styleFiles(name, 'test', folder)
      return {
        styles: styleCorpora[name].styles,
        directions: [await readDirection(name, files[0], 0, description), await readDirection(name, files[1], 1, description)],
        training: trainingFiles(name, folder),
      }
    },
  }
}

const readDirection = async (
  name: StyleName,
  file: string,
  from: Style,
  { instruction, referenceFiles, reference }: Omit<Description, 'title' | 'layout'>,
): Promise<Direction> => {
  const { styles } = styleCorpora[name]
  const target = styles[otherStyle(from)]
  const sources = await readLines(file)
  const references: (readonly string[])[] = []
  for (const referenceFile of referenceFiles(from, target).map((one) => join(dirname(file), one))) {
    const lines = await readLines(referenceFile)
    checkLines(lines, referenceFile, sources.length, file)
    references.push(lines.map((line, i) => reference(line, `${referenceFile}, line ${i + 1}`)))
  }
  return { name: `${styles[from]} to ${target}`, from, instruction: instruction(target), file, sources, references }
}
