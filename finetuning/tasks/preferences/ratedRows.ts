/** A row of rated answers: a prompt, an answer and whether it is desirable, as TRL's unpaired preferences have them. */
import type { Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { parseExact } from '../../../accelerated/storage/exactJson.js'
import { turnsIn, type UserMessage } from '../../data/conversationRows.js'
import { answerMessage, preferenceColumns, preferenceOf, promptTurns } from './rows.js'
import type { Cell } from '../../data/rows.js'
import type { RequestedColumn } from '../../data/table.js'

const fields = ['completion', 'label'] as const

/** Those of pairs first. Every value is taken as its JSON text. */
export const ratedAnswerColumns: ReadonlyArray<RequestedColumn> = [
  ...preferenceColumns,
  ...fields.map((name): RequestedColumn => ({ name, optional: true, json: true })),
]

export type RatedAnswerRow = { readonly prompt: ReadonlyArray<UserMessage>; readonly answer: Message; readonly isDesirable: boolean }

const expected = 'a row with "prompt", "completion" and "label" (or "prompt", "chosen" and "rejected")'

/** One answer, or the two of a pair. @throws InputError for the first thing wrong in the row */
export const ratedAnswersOf = (cells: ReadonlyArray<Cell>, where: string): ReadonlyArray<RatedAnswerRow> => {
  const pair = cells.slice(0, preferenceColumns.length)
  const [prompt, completion, label] = [pair[0], ...cells.slice(preferenceColumns.length)].map((cell, i) =>
    cell == null ? undefined : parseExact(cell, where, i < 2 ? 'written' : 'large'),
  )
  if (completion === undefined && pair.slice(1).every((cell) => cell != null)) {
    const { prompt: shared, chosen, rejected } = preferenceOf(pair, where)
    return [
      { prompt: shared, answer: chosen, isDesirable: true },
      { prompt: shared, answer: rejected, isDesirable: false },
    ]
  }
  for (const [name, value] of Object.entries({ prompt, completion, label }))
    if (value === undefined) throw inputError(where, expected, `one without ${quoted(name)}`)
  const turns = promptTurns(prompt, where)
  if (turns.every(({ content }) => content.trim() === '')) throw inputError(where, 'a prompt', 'an empty one')
  return [{ prompt: turns, answer: completionOf(completion, where), isDesirable: ratingOf(label, where) }]
}

const completionOf = (completion: unknown, where: string): Message => {
  if (typeof completion === 'string') return answerMessage(completion)
  const { turns } = turnsIn(completion, where)
  const [own, ...more] = turns
  if (own?.role !== 'assistant' || more.length > 0 || own.tool_calls !== undefined)
    throw inputError(
      where,
      'a text, or one message of role "assistant", in "completion"',
      `the roles ${turns.map(({ role }) => quoted(role)).join(', ')}`,
    )
  return own
}

const ratings: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  [true, true],
  [false, false],
  [1, true],
  [0, false],
  ['true', true],
  ['false', false],
])

const ratingOf = (label: unknown, where: string): boolean => {
  const rating = ratings.get(label)
  if (rating === undefined) throw inputError(where, 'true or false in "label"', JSON.stringify(label))
  return rating
}
