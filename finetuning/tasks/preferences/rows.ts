/** Rows of preferences, as TRL's datasets have them: a prompt with a chosen and a rejected answer, or an answer and whether it is desirable. */
import type { Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { exactJson, parseExact } from '../../../accelerated/storage/json.js'
import { instructionMessage, turnsIn, type UserMessage } from '../../data/conversationRows.js'
import type { Cell } from '../../data/rows.js'
import type { RequestedColumn } from '../../data/table.js'

const fields = ['prompt', 'chosen', 'rejected'] as const

/** Every value is taken as its JSON text. */
export const preferenceColumns: readonly RequestedColumn[] = fields.map((name) => ({ name, optional: true, json: true }))

export type PreferenceRow = { readonly prompt: readonly UserMessage[]; readonly chosen: Message; readonly rejected: Message }

const expected = 'a row with "prompt", "chosen" and "rejected", texts or lists of messages'

/**
 * `chosen` and `rejected` are answers to `prompt`, or conversations that share all messages but the last.
 * @throws InputError for the first thing wrong in the row
 */
export const parsePreference = (cells: readonly Cell[], where: string): PreferenceRow => {
  const [prompt, chosen, rejected] = cells.map((cell) => (cell == null ? undefined : parseExact(cell, where, 'written')))
  for (const [name, value] of [
    ['chosen', chosen],
    ['rejected', rejected],
  ] as const)
    if (value === undefined) throw inputError(where, expected, `one without ${quoted(name)}`)
  if (typeof chosen === 'string' && typeof rejected === 'string') {
    if (prompt === undefined) throw inputError(where, expected, 'one without "prompt"')
    return checked({ prompt: promptTurns(prompt, where), chosen: answerMessage(chosen), rejected: answerMessage(rejected) }, where)
  }
  const [a, b] = [chosen, rejected].map((value) => (typeof value === 'string' ? [answerMessage(value)] : turnsIn(value, where).turns)) as [
    readonly Message[],
    readonly Message[],
  ]
  const shared = sharedTurns(a, b)
  // a text beside conversations repeats their first message
  const before = Array.isArray(prompt) || (prompt !== undefined && shared === 0) ? promptTurns(prompt, where) : []
  return checked(
    {
      prompt: [...before, ...a.slice(0, shared)],
      chosen: takeAnswer(a, shared, where, 'chosen'),
      rejected: takeAnswer(b, shared, where, 'rejected'),
    },
    where,
  )
}

export const answerMessage = (content: string): Message => ({ role: 'assistant', content })

/** @throws InputError for messages that are none */
export const promptTurns = (prompt: unknown, where: string): readonly UserMessage[] =>
  typeof prompt === 'string' ? [instructionMessage(prompt, '')] : turnsIn(prompt, where).turns

/** How many messages both begin with, except an answer that is the last of either. */
const sharedTurns = (a: readonly Message[], b: readonly Message[]): number => {
  const most = Math.min(a.length, b.length) - 1
  const different = a.slice(0, most).findIndex((message, i) => exactJson(message) !== exactJson(b[i]))
  return different < 0 ? Math.max(0, most) : different
}

const takeAnswer = (turns: readonly Message[], shared: number, where: string, name: string): Message => {
  const [own, ...more] = turns.slice(shared)
  if (own?.role !== 'assistant' || more.length > 0)
    throw inputError(
      where,
      `one message of role "assistant" in ${quoted(name)} after the prompt`,
      `the roles ${turns
        .slice(shared)
        .map(({ role }) => quoted(role))
        .join(', ')}`,
    )
  if (own.tool_calls !== undefined) throw inputError(where, `a text as the answer of ${quoted(name)}`, 'tool calls')
  return own
}

const checked = (row: PreferenceRow, where: string): PreferenceRow => {
  const { prompt, chosen, rejected } = row
  if (prompt.every(({ content }) => content.trim() === '')) throw inputError(where, 'a prompt', 'an empty one')
  if (chosen.content === rejected.content) throw inputError(where, '"chosen" and "rejected" that differ', `${quoted(chosen.content)} twice`)
  return row
}

const ratedFields = ['completion', 'label'] as const

/** Those of pairs first. Every value is taken as its JSON text. */
export const ratedAnswerColumns: readonly RequestedColumn[] = [
  ...preferenceColumns,
  ...ratedFields.map((name): RequestedColumn => ({ name, optional: true, json: true })),
]

export type RatedAnswerRow = { readonly prompt: readonly UserMessage[]; readonly answer: Message; readonly isDesirable: boolean }

const expectedRated = 'a row with "prompt", "completion" and "label" (or "prompt", "chosen" and "rejected")'

/** One answer, or the two of a pair. @throws InputError for the first thing wrong in the row */
export const parseRatedAnswers = (cells: readonly Cell[], where: string): readonly RatedAnswerRow[] => {
  const pair = cells.slice(0, preferenceColumns.length)
  const [prompt, completion, label] = [pair[0], ...cells.slice(preferenceColumns.length)].map((cell, i) =>
    cell == null ? undefined : parseExact(cell, where, i < 2 ? 'written' : 'large'),
  )
  if (completion === undefined && pair.slice(1).every((cell) => cell != null)) {
    const { prompt: shared, chosen, rejected } = parsePreference(pair, where)
    return [
      { prompt: shared, answer: chosen, isDesirable: true },
      { prompt: shared, answer: rejected, isDesirable: false },
    ]
  }
  for (const [name, value] of Object.entries({ prompt, completion, label }))
    if (value === undefined) throw inputError(where, expectedRated, `one without ${quoted(name)}`)
  const turns = promptTurns(prompt, where)
  if (turns.every(({ content }) => content.trim() === '')) throw inputError(where, 'a prompt', 'an empty one')
  return [{ prompt: turns, answer: parseCompletion(completion, where), isDesirable: parseRating(label, where) }]
}

const parseCompletion = (completion: unknown, where: string): Message => {
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

const parseRating = (label: unknown, where: string): boolean => {
  const rating = ratings.get(label)
  if (rating === undefined) throw inputError(where, 'true or false in "label"', JSON.stringify(label))
  return rating
}
