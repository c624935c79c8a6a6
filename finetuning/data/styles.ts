/** Reads corpora of two styles (Yelp, GYAFC): the lines of their official files, labeled by style. */
import { existsSync, statSync } from 'node:fs'
import { basename, join, resolve, sep } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example } from './dataset.js'
import { eachLine } from './lineStream.js'
import { exampleStore } from './compactExamples.js'
import { treebankWords } from './treebankWords.js'

export type StyleName = 'yelp' | 'gyafc'

/** Style 0 or style 1, as in the endings of Yelp's files. */
export type Style = 0 | 1

export const styleParts = ['train', 'dev', 'test'] as const

type StyleCorpus = {
  /** the names of style 0 and style 1 */
  readonly styles: readonly [string, string]
  /** file names of each part; the first that exists is read */
  readonly parts: Readonly<Record<(typeof styleParts)[number], readonly string[]>>
  /** endings of the files of style 0 and style 1; the first pair that exists is read */
  readonly endings: readonly (readonly [string, string])[]
  /** the official folder, if `--data` may be its parent */
  readonly folder?: string
  /** A line as the style classifier sees it, in training and later (TSST's preprocessing). */
  readonly toText: (line: string) => string
  /** the folder, and where to get it, in messages */
  readonly description: string
}

export const styleCorpora: Readonly<Record<StyleName, StyleCorpus>> = {
  yelp: {
    styles: ['negative', 'positive'],
    parts: {
      train: ['train', 'sentiment.train', 'train_first30k'], // the official files, and their first 30,000 lines
      dev: ['dev', 'sentiment.dev'],
      test: ['test', 'sentiment.test'],
    },
    endings: [
      ['.0', '.1'],
      ['.neg', '.pos'], // fastnlp/style-transformer and TSST
    ],
    toText: (line) => line.trim().toLowerCase(), // the files are tokenized
    description: "the folder of Yelp's sentences (train.0, train.1, dev.0, …, of lijuncen/Sentiment-and-Style-Transfer)",
  },
  gyafc: {
    styles: ['informal', 'formal'],
    parts: { train: ['train'], dev: ['tune', 'dev'], test: ['test'] },
    endings: [
      [`${sep}informal`, `${sep}formal`],
      ['.informal', '.formal'], // TSST
    ],
    folder: 'Family_Relationships',
    toText: (line) => treebankWords(line.toLowerCase()).join(' '),
    description: "the Family_Relationships folder of GYAFC (licensed: ask Yahoo for its L6 corpus, and with its answer GYAFC's authors)",
  },
}

export const styleNames: readonly StyleName[] = ['yelp', 'gyafc']

export const isStyleName = (task: string): task is StyleName => Object.hasOwn(styleCorpora, task)

/**
 * The lines of both styles of a part; an example's label is its style. Lines may be empty. `row` counts through both files, style 0 first.
 * @param part `train`, `dev` or `test`, or a path (Yelp: `PATH.0` and `PATH.1`; GYAFC: a folder of two files)
 * @param folder of the official files; unused if `part` is an absolute path
 * @throws InputError if the folder or a file is missing, empty or not UTF-8
 */
export const readStyles = async (name: StyleName, part: string, folder: string | undefined): Promise<Dataset> => {
  const { styles, toText } = styleCorpora[name]
  const files = styleFiles(name, part, folder)
  const store = exampleStore()
  const examples: Example[] = []
  for (const [label, file] of files.entries())
    await eachLine(file, (_, bytes) => {
      examples.push(store({ text: toText(bytes.toString('utf8')), label, row: examples.length + 1 }))
    })
  return { source: bothFiles(files), examples, labelNames: styles, skipped: [] }
}

/** The lines of style 0, and those of style 1. */
export const linesByStyle = ({ examples }: Dataset): readonly [readonly string[], readonly string[]] => {
  const selectTexts = (style: Style) => examples.filter(({ label }) => label === style).map(({ text }) => text)
  return [selectTexts(0), selectTexts(1)]
}

/** The files of both styles of a part. @throws InputError if one is missing */
export const styleFiles = (name: StyleName, part: string, folder: string | undefined): readonly [string, string] => {
  const { parts, endings, styles, description } = styleCorpora[name]
  const root = folder === undefined ? '' : officialFolder(name, folder)
  const names = Object.hasOwn(parts, part) ? parts[part as keyof typeof parts] : [part]
  const pairs = names.flatMap((stem) => endings.map(([zero, one]) => [resolve(root, stem) + zero, resolve(root, stem) + one] as const))
  const pair = pairs.find((paths) => paths.some((path) => existsSync(path)))
  if (pair === undefined)
    throw inputError(
      folder ?? part,
      `${endings[0]?.map((ending) => basename(names[0] ?? part) + ending).join(' and ')} of ${description}`,
      'neither',
    )
  const missing = pair.findIndex((path) => !existsSync(path))
  if (missing >= 0) throw inputError(pair[missing] ?? '', `the ${styles[missing]} lines, beside ${pair[1 - missing]}`, 'none there')
  return pair
}

const officialFolder = (name: StyleName, folder: string): string => {
  const { folder: official = '', description } = styleCorpora[name]
  if (!existsSync(folder)) throw inputError(folder, description, 'none there')
  if (!statSync(folder).isDirectory()) throw inputError(folder, description, 'a file')
  return existsSync(join(folder, official)) ? join(folder, official) : folder
}

/** `yelp/dev.{0,1}`, `Family_Relationships/tune/{informal,formal}`. */
const bothFiles = ([zero, one]: readonly [string, string]): string => {
  const shared = [...zero].findIndex((character, i) => one[i] !== character)
  return `${zero.slice(0, shared)}{${zero.slice(shared)},${one.slice(shared)}}`
}
