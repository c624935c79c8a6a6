/** A row of preferences: a prompt with a chosen and a rejected answer, as TRL's datasets have them. */
import type { Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { exactJson, parseExact } from '../../../accelerated/storage/exactJson.js'
import { instructionMessage, turnsIn, type UserMessage } from '../../data/conversationRows.js'
import type { Cell } from '../../data/rows.js'
import type { RequestedColumn } from '../../data/table.js'

const fields = ['prompt', 'chosen', 'rejected'] as const

/** Every value is taken as its JSON text. */
export const preferenceColumns: ReadonlyArray<RequestedColumn> = fields.map((name) => ({ name, optional: true, json: true }))

export type PreferenceRow = { readonly prompt: ReadonlyArray<UserMessage>; readonly chosen: Message; readonly rejected: Message }

const expected = 'a row with "prompt", "chosen" and "rejected", texts or lists of messages'

/**
 * `chosen` and `rejected` are answers to `prompt`, or conversations that share all messages but the last.
 * @throws InputError for the first thing wrong in the row
 */
export const preferenceOf = (cells: ReadonlyArray<Cell>, where: string): PreferenceRow => {
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
    ReadonlyArray<Message>,
    ReadonlyArray<Message>,
  ]
  const shared = sharedTurns(a, b)
  // a text beside conversations repeats their first message
  const before = Array.isArray(prompt) || (prompt !== undefined && shared === 0) ? promptTurns(prompt, where) : []
  return checked(
    {
      prompt: [...before, ...a.slice(0, shared)],
      chosen: lastOf(a, shared, where, 'chosen'),
      rejected: lastOf(b, shared, where, 'rejected'),
    },
    where,
  )
}

export const answerMessage = (content: string): Message => ({ role: 'assistant', content })

/** @throws InputError for messages that are none */
export const promptTurns = (prompt: unknown, where: string): ReadonlyArray<UserMessage> =>
  typeof prompt === 'string' ? [instructionMessage(prompt, '')] : turnsIn(prompt, where).turns

/** How many messages both begin with, except an answer that is the last of either. */
const sharedTurns = (a: ReadonlyArray<Message>, b: ReadonlyArray<Message>): number => {
  const most = Math.min(a.length, b.length) - 1
  const different = a.slice(0, most).findIndex((message, i) => exactJson(message) !== exactJson(b[i]))
  return different < 0 ? Math.max(0, most) : different
}

const lastOf = (turns: ReadonlyArray<Message>, shared: number, where: string, name: string): Message => {
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
