/** Corpora of two styles: which of their official files hold which style, and the lines of both as labeled texts. */
import { existsSync, statSync } from 'node:fs'
import { basename, join, resolve, sep } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example } from './dataset.js'
import { eachLine } from './lineStream.js'
import { exampleStore } from './compactExamples.js'
import { treebankWords } from './treebankWords.js'

export type StyleName = 'yelp' | 'gyafc'

/** Style 0 or style 1: what the endings of Yelp's files say. */
export type Style = 0 | 1

export const styleParts = ['train', 'dev', 'test'] as const

type StyleCorpus = {
  /** The styles by their index. */
  readonly styles: readonly [string, string]
  /** What a part is called in the folder: the first that is there. */
  readonly parts: Readonly<Record<(typeof styleParts)[number], ReadonlyArray<string>>>
  /** What follows a part's name in the files of style 0 and style 1: the first that is there. */
  readonly endings: ReadonlyArray<readonly [string, string]>
  /** The official folder, where `--data` may be its parent. */
  readonly folder?: string
  /** A line as the classifier of these styles sees it, in training and afterwards (TSST's preprocessing and its reading of files). */
  readonly textOf: (line: string) => string
  /** What is missing where it is missing, and where it is to be had. */
  readonly told: string
}

export const styleCorpora: Readonly<Record<StyleName, StyleCorpus>> = {
  yelp: {
    styles: ['negative', 'positive'],
    parts: {
      train: ['train', 'sentiment.train', 'train_first30k'], // of the official files, and their first 30,000 lines
      dev: ['dev', 'sentiment.dev'],
      test: ['test', 'sentiment.test'],
    },
    endings: [
      ['.0', '.1'],
      ['.neg', '.pos'], // of fastnlp/style-transformer, and so of TSST
    ],
    textOf: (line) => line.trim().toLowerCase(), // tokenized as it comes
    told: "the folder of Yelp's sentences (train.0, train.1, dev.0, …, of lijuncen/Sentiment-and-Style-Transfer)",
  },
  gyafc: {
    styles: ['informal', 'formal'],
    parts: { train: ['train'], dev: ['tune', 'dev'], test: ['test'] },
    endings: [
      [`${sep}informal`, `${sep}formal`],
      ['.informal', '.formal'], // of TSST
    ],
    folder: 'Family_Relationships',
    textOf: (line) => treebankWords(line.toLowerCase()).join(' '),
    told: "the Family_Relationships folder of GYAFC (licensed: ask Yahoo for its L6 corpus, and with its answer GYAFC's authors)",
  },
}

export const styleNames: ReadonlyArray<StyleName> = ['yelp', 'gyafc']

export const isStyleName = (task: string): task is StyleName => Object.hasOwn(styleCorpora, task)

/**
 * The lines of both styles of a part, each an example whose label is its style; lines may be empty. `row` counts through both files, style 0's first.
 * @param part `train`, `dev` or `test`, or the path of another (`PATH.0` and `PATH.1` as Yelp has them, a folder of two files as GYAFC has it)
 * @param folder of the official files; not read where `part` is an absolute path
 * @throws Mistake: folder or file missing, not UTF-8 (the file and its row), empty
 */
export const readStyles = async (name: StyleName, part: string, folder: string | undefined): Promise<Dataset> => {
  const { styles, textOf } = styleCorpora[name]
  const files = styleFiles(name, part, folder)
  const store = exampleStore()
  const examples: Example[] = []
  for (const [label, file] of files.entries())
    await eachLine(file, (_, bytes) => {
      examples.push(store({ text: textOf(bytes.toString('utf8')), label, row: examples.length + 1 }))
    })
  return { source: bothFiles(files), examples, labelNames: styles, skipped: [] }
}

/** The lines of a dataset of two styles, apart. */
export const linesByStyle = ({ examples }: Dataset): readonly [ReadonlyArray<string>, ReadonlyArray<string>] => {
  const of = (style: Style) => examples.filter(({ label }) => label === style).map(({ text }) => text)
  return [of(0), of(1)]
}

/** The files of both styles of a part, as readStyles takes it. @throws Mistake where one or both are missing */
export const styleFiles = (name: StyleName, part: string, folder: string | undefined): readonly [string, string] => {
  const { parts, endings, styles, told } = styleCorpora[name]
  const own = folder === undefined ? '' : officialFolder(name, folder)
  const names = Object.hasOwn(parts, part) ? parts[part as keyof typeof parts] : [part]
  const pairs = names.flatMap((stem) => endings.map(([zero, one]) => [resolve(own, stem) + zero, resolve(own, stem) + one] as const))
  const found = pairs.find((pair) => pair.some((path) => existsSync(path)))
  if (found === undefined)
    throw inputError(
      folder ?? part,
      `${endings[0]?.map((ending) => basename(names[0] ?? part) + ending).join(' and ')} of ${told}`,
      'neither',
    )
  const missing = found.findIndex((path) => !existsSync(path))
  if (missing >= 0) throw inputError(found[missing] ?? '', `the ${styles[missing]} lines, beside ${found[1 - missing]}`, 'none there')
  return found
}

const officialFolder = (name: StyleName, folder: string): string => {
  const { folder: official = '', told } = styleCorpora[name]
  if (!existsSync(folder)) throw inputError(folder, told, 'none there')
  if (!statSync(folder).isDirectory()) throw inputError(folder, told, 'a file')
  return existsSync(join(folder, official)) ? join(folder, official) : folder
}

/** `yelp/dev.{0,1}`, `Family_Relationships/tune/{informal,formal}`. */
const bothFiles = ([zero, one]: readonly [string, string]): string => {
  const shared = [...zero].findIndex((character, i) => one[i] !== character)
  return `${zero.slice(0, shared)}{${zero.slice(shared)},${one.slice(shared)}}`
}
