/** The facts of a model card, and the names and scores that its parts share. */
import { basename } from 'node:path'
import { isHubAddress } from '../../accelerated/checkpoints/hub/hubRules.js'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { findMethod, buildSettingTable } from '../../accelerated/training/resolveSettings.js'
import type { Dataset } from '../data/index.js'
import { taskNames, type LoadedTask } from '../tasks/index.js'
import type { Opener } from './usageExamples.js'
import type { RunOptions, RunResult, Scores } from './run.js'

type Source = Pick<Dataset, 'source' | 'files'>

/** The data, without its examples. */
export type CardData = Pick<LoadedTask, 'taskType' | 'labelNames' | 'heldOut'> & {
  readonly train: Source
  readonly evaluation: Source
  /** null: there is no test data */
  readonly test: { readonly source: string } | null
}

export type CardFacts = {
  readonly options: Pick<RunOptions, 'model' | 'adapter' | 'task' | 'settings'>
  /** the hub id of the base model; null if it is only a folder */
  readonly hubId: string | null
  /** the library that opens the adapter, by the hub's name for it */
  readonly library: Exclude<Opener, 'transformers.js' | 'gguf' | 'gguf-merged'>
  readonly data: CardData
  /** whether a classifier reads the embeddings of a sentence encoder (default: no) */
  readonly readsEmbeddings?: boolean
  readonly result: RunResult
}

/** Scores of the saved step; none if it was not evaluated. */
export const savedScores = ({ best, last, kept }: Pick<RunResult, 'best' | 'last' | 'kept'>): Scores => {
  const step = kept?.step ?? last.step
  return best?.step === step ? best.scores : last.step === step ? last.scores : {}
}

export const cardTitle = ({ options: { model, task, settings }, hubId }: CardFacts): string =>
  wellFormed(oneLine([lastPart(hubId ?? model), lastPart(task.task).replace(/\.\w+$/, ''), settings.method].join('-')))

/** The last name of a path: a published card must not reveal folders. An address on the hub has none of this machine. */
export const lastName = (path: string): string => (isHubAddress(path) ? path : lastPart(path))

const lastPart = (path: string): string => (taskNames.includes(path) ? path : basename(path.replaceAll('\\', '/')) || path)

/** A source without the folders of its path; words may follow the path. */
export const sourceName = (source: string): string => source.replace(/^.*[\\/]/s, '')

/** The name of each file. */
export const sourceNames = ({ source, files }: Source): readonly string[] => (files ?? [{ source }]).map((file) => sourceName(file.source))

/** The settings that differ from their defaults. */
export const changedSettings = ({ method, ...values }: RunOptions['settings']): Readonly<Record<string, unknown>> => {
  const table = buildSettingTable(findMethod(method))
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(table[name]?.schema.parse(undefined))),
  )
}

// Texts of unknown origin as Markdown: code spans, code blocks and lists that nothing in a text can leave.
/** A lone surrogate has no UTF-8. */
export const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

const longestBackticks = (text: string): number => Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length))

const shortened = (text: string): string => {
  const characters = Array.from(text.slice(0, 500))
  return text.length > 200 ? `${characters.slice(0, 200).join('')}…` : text
}

/** A code span: nothing in it is Markdown or HTML. Its fence is longer than any of the text's own. */
export const code = (text: string): string => {
  const shown = shortened(wellFormed(oneLine(text)))
  const fence = '`'.repeat(longestBackticks(shown) + 1)
  if (shown.trim() === '') return '(blank)'
  return fence.length > 1 || shown !== shown.trim() ? `${fence} ${shown} ${fence}` : fence + shown + fence
}

/** A block of shell commands. */
export const shellBlock = (text: string): string => codeBlock('sh', text)

export const codeBlock = (language: string, text: string): string => {
  const fence = '`'.repeat(Math.max(3, longestBackticks(text) + 1))
  return `${fence}${language}\n${wellFormed(text)}\n${fence}`
}

export const bulletList = (items: readonly string[]): string => items.map((item) => `- ${item}`).join('\n')

/** At most 50 names, and how many more there are. */
export const codeList = (names: readonly string[], most = 50): string =>
  names.slice(0, most).map(code).join(', ') + (names.length > most ? ` and ${names.length - most} more` : '')

export const escapeHeading = (text: string): string => text.replace(/[\\`*_{}[\]<>()#+!|~&$@]/g, '\\$&')
