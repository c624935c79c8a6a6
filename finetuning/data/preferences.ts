/** Reads preferences: one example a row, with two texts, each of a prompt and its answer. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example, SkippedRow } from './dataset.js'
import { objectReaderOf } from './formats.js'
import { promptOf, type PromptTemplate } from './promptTemplates.js'
import type { Cell } from './rows.js'
import { exampleStore } from './compactExamples.js'
import { preferenceColumns, preferenceOf, type PreferenceRow } from './preferenceRows.js'
import { atRow } from './errorText.js'
import type { Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'

/** One text of a pair: the messages of `chat`, which only the model's own template can render, or the written prompt and its answer. */
export type PreferenceText = { readonly messages: ReadonlyArray<Message> } | { readonly prompt: string; readonly answer: string }

/** The text that an example stores as JSON. */
export const preferenceText = (json: string): PreferenceText => JSON.parse(json) as PreferenceText

/**
 * An example's text is the chosen one as JSON, its second text the rejected one.
 * With `skipMissing`, skips rows with an empty answer @throws InputError for the first thing wrong in the file
 */
export const readPreferences = async (
  file: string,
  template: PromptTemplate,
  { skipMissing: skipEmpty = false, encoding }: { readonly skipMissing?: boolean; readonly encoding?: string } = {},
): Promise<Dataset> => {
  const read = objectReaderOf(file, 'preferences', encoding)
  const store = exampleStore()
  const examples: Example[] = []
  const skipped: SkippedRow[] = []
  await read(preferenceColumns, (row: number, cells: ReadonlyArray<Cell>) => {
    const where = atRow(file, row)
    const preference = preferenceOf(cells, where)
    if ([preference.chosen, preference.rejected].some(({ content }) => content.trim() === '')) {
      if (!skipEmpty) throw inputError(where, 'two answers (or --skip-missing)', 'an empty one')
      skipped.push({ row, reason: 'an empty answer' })
      return
    }
    const [text, textPair] = [preference.chosen, preference.rejected].map((answer) =>
      JSON.stringify(textOf(preference, answer, template, where)),
    ) as [string, string]
    examples.push(store({ text, textPair, label: 0, row }))
  })
  if (examples.length === 0)
    throw inputError(file, 'at least one pair of answers', skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  return { source: file, examples, labelNames: null, skipped }
}

const textOf = ({ prompt }: PreferenceRow, answer: Message, template: PromptTemplate, where: string): PreferenceText => {
  if (template === 'chat') return { messages: [...prompt.map(({ parts: _, ...message }): Message => message), answer] }
  const [user, ...more] = prompt
  if (user?.role !== 'user' || more.length > 0)
    throw inputError(
      where,
      'a prompt of one message of role "user" (or --prompt-template chat)',
      `the roles ${prompt.map(({ role }) => quoted(role)).join(', ')}`,
    )
  return { prompt: promptOf[template]({ instruction: user.content, input: '' }), answer: answer.content }
}
