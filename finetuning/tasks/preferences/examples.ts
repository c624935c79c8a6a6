/** Reads preferences: pairs of answers, or answers that were rated one by one. A text is a prompt with an answer. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import type { Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import type { UserMessage } from '../../data/conversationRows.js'
import { type Dataset, type Example, type SkippedRow, atRow } from '../../data/dataset.js'
import { exampleStore } from '../../data/compactExamples.js'
import { exactJson, parseStored } from '../../../accelerated/storage/json.js'
import { makeObjectReader } from '../../data/formats.js'
import { preferenceColumns, parsePreference, ratedAnswerColumns, parseRatedAnswers } from './rows.js'
import { promptFormats, type PromptTemplate } from '../../data/promptTemplates.js'
import type { Cell } from '../../data/rows.js'
import type { RequestedColumn } from '../../data/table.js'

/** The messages of `chat`, which only the model's own template can render, or the written prompt and its answer. */
export type PreferenceText = { readonly messages: readonly Message[] } | { readonly prompt: string; readonly answer: string }

/** The text that an example stores as JSON. */
export const preferenceText = (json: string): PreferenceText => parseStored(json) as PreferenceText

export type PreferenceReading = { readonly skipMissing?: boolean; readonly encoding?: string }

/**
 * An example's text is the chosen one as JSON, its second text the rejected one.
 * With `skipMissing`, skips rows with an empty answer @throws InputError for the first thing wrong in the file
 */
export const readPreferences = (file: string, template: PromptTemplate, options: PreferenceReading = {}): Promise<Dataset> =>
  readAnswers(file, { ...options, template, columns: preferenceColumns, noun: 'pair of answers', empty: 'two answers' }, (cells, where) => {
    const { prompt, chosen, rejected } = parsePreference(cells, where)
    return [{ prompt, answers: [chosen, rejected], label: 0 }]
  })

/**
 * An example's text is its answer as JSON, and its label 1 if the answer is desirable, else 0. A pair of answers gives two examples.
 * With `skipMissing`, skips rows with an empty answer @throws InputError for the first thing wrong in the file
 */
export const readRatedAnswers = (file: string, template: PromptTemplate, options: PreferenceReading = {}): Promise<Dataset> =>
  readAnswers(file, { ...options, template, columns: ratedAnswerColumns, noun: 'answer', empty: 'an answer' }, (cells, where) =>
    parseRatedAnswers(cells, where).map(({ prompt, answer, isDesirable }) => ({ prompt, answers: [answer], label: isDesirable ? 1 : 0 })),
  )

type Reading = PreferenceReading & {
  readonly template: PromptTemplate
  readonly columns: readonly RequestedColumn[]
  /** of messages */
  readonly noun: string
  readonly empty: string
}

/** One or two answers to a prompt. */
type Answered = { readonly prompt: readonly UserMessage[]; readonly answers: readonly Message[]; readonly label: number }

const readAnswers = async (
  file: string,
  { template, columns, noun, empty, skipMissing = false, encoding }: Reading,
  parseAnswered: (cells: readonly Cell[], where: string) => readonly Answered[],
): Promise<Dataset> => {
  const store = exampleStore()
  const examples: Example[] = []
  const skipped: SkippedRow[] = []
  await makeObjectReader(
    file,
    'preferences',
    encoding,
  )(columns, (row: number, cells: readonly Cell[]) => {
    const where = atRow(file, row)
    const answered = parseAnswered(cells, where)
    if (answered.some(({ answers }) => answers.some(({ content }) => content.trim() === ''))) {
      if (!skipMissing) throw inputError(where, words`${empty} (or ${option('skipMissing', true)})`, 'an empty one')
      skipped.push({ row, reason: 'an empty answer' })
      return
    }
    for (const { prompt, answers, label } of answered) {
      const [text = '', textPair] = answers.map((answer) => exactJson(toPreferenceText(prompt, answer, template, where)))
      examples.push(store({ text, ...(textPair === undefined ? {} : { textPair }), label, row }))
    }
  })
  if (examples.length === 0)
    throw inputError(file, `at least one ${noun}`, skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  return { source: file, examples, labelNames: null, skipped }
}

const toPreferenceText = (prompt: readonly UserMessage[], answer: Message, template: PromptTemplate, where: string): PreferenceText => {
  if (template === 'chat') return { messages: [...prompt.map(({ parts: _, ...message }): Message => message), answer] }
  const [user, ...more] = prompt
  if (user?.role !== 'user' || more.length > 0)
    throw inputError(
      where,
      words`a prompt of one message of role "user" (or ${option('promptTemplate')} chat)`,
      `the roles ${prompt.map(({ role }) => quoted(role)).join(', ')}`,
    )
  return { prompt: promptFormats[template]({ instruction: user.content, input: '' }), answer: answer.content }
}
