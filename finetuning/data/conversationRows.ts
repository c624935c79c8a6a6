/**
 * A row of a conversation file as messages, whatever its layout: `messages` (OpenAI), `conversations` (ShareGPT), `prompt` and `completion` (TRL).
 * Alpaca has `instruction`, `input` and `output`, Dolly `context` and `response`. `system`, `history` and `tools` may be beside them.
 */
import { z } from 'zod'
import type { Message } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { floatText, Float, parseExact } from '../../accelerated/storage/json.js'
import { validate } from '../../accelerated/errors/validate.js'
import type { Cell } from './rows.js'
import type { RequestedColumn } from './table.js'

/** Messages per conversation, characters per message, and parts, calls and tools of one. */
const [mostMessages, longestMessage, mostParts] = [10_000, 10_000_000, 1_000]

const fields = ['messages', 'conversations', 'prompt', 'completion', 'instruction', 'input', 'context', 'output', 'response'] as const
const besides = ['system', 'history', 'tools'] as const
type Field = (typeof fields)[number] | (typeof besides)[number]

/** Every value is taken as its JSON text. */
export const conversationColumns: readonly RequestedColumn[] = [...fields, ...besides].map((name) => ({
  name,
  optional: true,
  json: true,
}))

/** A message whose parts `paper` and `alpaca` show separately. */
export type UserMessage = Message & { readonly parts?: { readonly instruction: string; readonly input: string } }

export type Conversation = {
  readonly turns: readonly UserMessage[]
  readonly tools: readonly unknown[]
  /** How many of the turns are from fields of their own: the system prompt and the history. */
  readonly before: number
  /** The row's fields that make the conversation. */
  readonly read: readonly string[]
  /** Fields of messages that are not read, such as `weight`. */
  readonly unread: readonly string[]
}

const roles: Readonly<Record<string, string>> = {
  ...{ human: 'user', gpt: 'assistant', model: 'assistant', chatgpt: 'assistant', bing: 'assistant', bard: 'assistant' },
  ...{ function_call: 'assistant', observation: 'tool', function_response: 'tool' },
}

/** Names of other tools for the roles. */
export const roleNames: readonly string[] = Object.keys(roles)

/** Not for names that every object inherits, such as `constructor`. */
const normalizeRole = (name: string): string => (Object.hasOwn(roles, name) ? (roles[name] ?? name) : name)

const text = z.string().max(longestMessage)
const part = z.looseObject({ type: z.string().max(100), text: text.optional() })
const call = z.looseObject({ function: z.looseObject({ name: z.string().max(1_000), arguments: z.unknown() }).optional() })
const message = z.looseObject({
  role: z.string().min(1).max(100).optional(),
  from: z.string().min(1).max(100).optional(),
  content: z.union([text, z.array(part).max(mostParts)]).nullish(),
  value: text.nullish(),
  tool_calls: z.array(call).max(mostParts).nullish(),
})
const messages = z.array(message).min(1).max(mostMessages)
const pairs = z.array(z.tuple([text, text])).max(mostMessages)

/** @throws InputError for the first thing wrong in the row */
export const parseConversation = (cells: readonly Cell[], where: string): Conversation => {
  const values = new Map<Field, unknown>()
  for (const [i, { name }] of conversationColumns.entries()) {
    const cell = cells[i]
    if (cell != null) values.set(name as Field, parseExact(cell, where, 'written'))
  }
  const listed = (['messages', 'conversations'] as const).find((name) => values.has(name))
  const {
    turns,
    unread = [],
    read,
  } = listed === undefined ? plainTurns(values, where) : { ...turnsIn(values.get(listed), where), read: [listed] }
  const before = turnsBefore(values, where, turns[0]?.role === 'system')
  const tools = values.has('tools') ? parseTools(values.get('tools'), where) : []
  return {
    turns: [...before.turns, ...turns],
    before: before.turns.length,
    tools,
    unread,
    read: [...read, ...before.read, ...(values.has('tools') ? ['tools'] : [])],
  }
}

type Turns = Pick<Conversation, 'turns'> & { readonly unread?: readonly string[]; readonly read: readonly string[] }

export const turnsIn = (value: unknown, where: string): Omit<Turns, 'read'> => {
  if (arePlain(value)) return { turns: value.map(({ role, content }) => ({ role: normalizeRole(role), content })) }
  const list = validate(messages, value, where, 'a list of messages, each with its role and its content')
  const unread = new Set<string>()
  const turns = list.map(({ role, from, content, value: said, tool_calls: calls, ...others }, i): Message => {
    const named = role ?? from
    if (named === undefined) throw inputError(where, `a role of message ${i + 1}`, 'none')
    for (const name of Object.keys(others)) if (!['tool_call_id', 'name'].includes(name) && others[name] !== null) unread.add(name)
    const written = parseContent(content ?? said, where, calls != null && calls.length > 0)
    const extra = {
      ...(others['name'] == null ? {} : { name: others['name'] }),
      ...(others['tool_call_id'] == null ? {} : { tool_call_id: others['tool_call_id'] }),
    }
    return {
      role: normalizeRole(named),
      content: written,
      ...(calls == null || calls.length === 0 ? {} : { tool_calls: calls }),
      ...extra,
    }
  })
  return { turns, unread: [...unread] }
}

/** Whether all messages have a role and a text alone, as most have. They need no schema, which takes a third of the time. */
const arePlain = (value: unknown): value is readonly { readonly role: string; readonly content: string }[] =>
  Array.isArray(value) && value.length > 0 && value.length <= mostMessages && value.every(isPlain)

const isPlain = (one: unknown): boolean => {
  if (typeof one !== 'object' || one === null || Object.keys(one).length !== 2 || !('role' in one && 'content' in one)) return false
  const { role, content } = one
  return typeof role === 'string' && role !== '' && role.length <= 100 && typeof content === 'string' && content.length <= longestMessage
}

/** Parts of text are joined. @throws InputError for other parts, such as images, and for no content without calls */
const parseContent = (
  content: string | readonly { readonly type: string; readonly text?: string | undefined }[] | null | undefined,
  where: string,
  hasCalls: boolean,
): string => {
  if (typeof content === 'string') return content
  if (content == null) {
    if (hasCalls) return ''
    throw inputError(where, 'the content of a message', 'null without tool_calls')
  }
  const other = content.find((one) => one.text === undefined)
  if (other !== undefined) throw inputError(where, 'parts of a message that are texts', quoted(other.type))
  return content.map((one) => one.text ?? '').join('')
}

const plainTurns = (values: ReadonlyMap<Field, unknown>, where: string): Turns => {
  if (values.has('prompt') || values.has('completion')) {
    const given = (['prompt', 'completion'] as const).map((name) => {
      if (!values.has(name)) throw missing(where, name)
      return values.get(name)
    })
    const [prompt, completion] = given
    const asked = typeof prompt === 'string' ? { turns: [instructionMessage(prompt, '')] } : turnsIn(prompt, where)
    const answered = typeof completion === 'string' ? { turns: [{ role: 'assistant', content: completion }] } : turnsIn(completion, where)
    if (asked.turns.every(({ content }) => content.trim() === '')) throw inputError(where, 'a prompt', 'an empty one')
    return {
      turns: [...asked.turns, ...answered.turns],
      unread: [asked, answered].flatMap((one) => ('unread' in one ? (one.unread ?? []) : [])),
      read: ['prompt', 'completion'],
    }
  }
  const used = (names: readonly Field[]): Field => names.find((name) => values.has(name)) ?? (names[0] as Field)
  const [outputField, inputField] = [used(['output', 'response']), used(['input', 'context'])]
  for (const name of ['instruction', outputField] as const) if (!values.has(name)) throw missing(where, name)
  const [instruction, input, output] = (['instruction', inputField, outputField] as const).map((name) =>
    textIn(values.get(name) ?? '', name, where),
  )
  if ([instruction, input].join('').trim() === '') throw inputError(where, 'an instruction', 'an empty one')
  return {
    turns: [instructionMessage(instruction ?? '', input ?? ''), { role: 'assistant', content: output ?? '' }],
    read: ['instruction', inputField, outputField],
  }
}

const missing = (where: string, name: string) =>
  inputError(
    where,
    'a row with "instruction" and "output", "prompt" and "completion", "messages", or "conversations"',
    `one without ${quoted(name)}`,
  )

/** @throws InputError for a list or an object; numbers are texts */
const textIn = (value: unknown, name: string, where: string): string => {
  if (typeof value === 'string') return value
  if (['number', 'bigint', 'boolean'].includes(typeof value)) return String(value)
  if (value instanceof Float) return floatText(value.value)
  throw inputError(where, `a text in ${quoted(name)}`, Array.isArray(value) ? 'a list' : 'an object')
}

export const instructionMessage = (instruction: string, input: string): UserMessage => ({
  role: 'user',
  content: input === '' ? instruction : `${instruction}\n\n${input}`,
  parts: { instruction, input },
})

/** The system prompt and the earlier turns from fields of their own. */
const turnsBefore = (values: ReadonlyMap<Field, unknown>, where: string, hasSystem: boolean): Turns => {
  const system = values.get('system') ?? ''
  const written = textIn(system, 'system', where)
  const earlier = values.has('history') ? validate(pairs, values.get('history'), where, 'a history of pairs of texts') : []
  const usesSystem = written.trim() !== '' && !hasSystem
  return {
    turns: [
      ...(usesSystem ? [{ role: 'system', content: written }] : []),
      ...earlier.flatMap(([asked, answered]): readonly Message[] => [
        { role: 'user', content: asked },
        { role: 'assistant', content: answered },
      ]),
    ],
    read: [...(usesSystem || written.trim() === '' ? ['system'] : []), 'history'],
  }
}

/** Tools are a list, or its JSON text. @throws InputError */
const parseTools = (value: unknown, where: string): readonly unknown[] => {
  const list = typeof value === 'string' && value.trim() !== '' ? parseExact(value, where, 'written') : value === '' ? [] : value
  return validate(z.array(z.unknown()).max(mostParts), list, where, 'a list of tools')
}
