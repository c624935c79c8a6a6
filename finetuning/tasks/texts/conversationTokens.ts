/** Conversations as tokens: the loss covers each answer. A long conversation loses its oldest exchanges, so that what stays is whole. */
import type { ChatTemplate, Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import type { Beginning, Beginnings } from '../../../accelerated/checkpoints/chatTemplate/templateBeginnings.js'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import type { Conversation } from '../../data/conversationRows.js'
import {
  commonLength,
  segmentTokens,
  withEnd,
  withinLength,
  type LearnedTokens,
  type Segment,
  type TruncatedTokens,
} from './learnedTokens.js'

type Turns = Pick<Conversation, 'turns' | 'tools'>

/** The model's own parts: how it frames a conversation, cuts it into tokens, and ends an answer. */
export type ConversationFrame = {
  readonly chat: ChatTemplate
  readonly tokenizer: Pick<Tokenizer, 'ids' | 'shared'>
  readonly ends: readonly number[]
}

/** The loss covers every message of the assistant. @throws InputError if the template renders earlier messages differently once another follows */
export const conversationTokens = ({ chat, tokenizer, ends }: ConversationFrame, { turns, tools }: Turns): LearnedTokens =>
  withEnd(segmentTokens(tokenizer, conversationSegments(turns, chat, tools), []), ends)

/** Splits the rendered conversation where each answer begins and ends. @throws InputError as `conversationTokens` */
export const conversationSegments = (
  messages: readonly Message[],
  chat: ChatTemplate,
  tools: readonly unknown[] = [],
): readonly Segment[] => {
  const answers = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []))
  const inOnePass = answers.length > fewAnswers ? answersInOnePass(messages, chat, answers, tools) : null
  const turns = inOnePass ?? answersOneByOne(messages, chat, answers, tools)
  const segments: Segment[] = []
  let done = nothing
  for (const { at, before, after } of turns) {
    if (!startsWith(before, done) || !startsWith(after, before))
      throw inputError(
        words`${option('promptTemplate')} chat`,
        'a template under which no message changes those before it (or paper, for instructions)',
        `another at message ${at + 1}`,
      )
    segments.push({ text: from(before, countTokens(done)), learned: false }, { text: from(after, countTokens(before)), learned: true })
    done = after
  }
  return segments
}

/** One pass takes the time of the renderings for this many answers. */
const fewAnswers = 4

/** The rendered text up to an answer, and that with it. */
type Answer = { readonly at: number; readonly before: Rendered; readonly after: Rendered }

/** The first `shared` characters of a text, and the rest. */
type Rendered = Beginning & { readonly common: string }
const nothing: Rendered = { common: '', shared: 0, rest: '' }

function* answersOneByOne(
  messages: readonly Message[],
  chat: ChatTemplate,
  answers: readonly number[],
  tools: readonly unknown[],
): Generator<Answer> {
  for (const at of answers)
    yield {
      at,
      before: { ...nothing, rest: chat(messages.slice(0, at), true, tools) },
      after: { ...nothing, rest: chat(messages.slice(0, at + 1), false, tools) },
    }
}

const answersInOnePass = (
  messages: readonly Message[],
  { beginnings }: ChatTemplate,
  answers: readonly number[],
  tools: readonly unknown[],
): readonly Answer[] | null => {
  const before = beginnings?.(messages, answers, true, tools) ?? null
  if (before === null) return null
  const afterAnswers = answers.map((at) => at + 1)
  const after = beginnings?.(messages, afterAnswers, false, tools) ?? null
  if (after === null) return null
  // one text for both, so that what they share needs no comparison
  const same = commonStart(before.common, after.common).length
  const rendered = ({ common, of }: Beginnings, length: number): Rendered => {
    const { shared, rest } = of.get(length) as Beginning
    return shared <= same
      ? { common: before.common, shared, rest }
      : { common: before.common, shared: same, rest: common.slice(same, shared) + rest }
  }
  return answers.map((at) => ({ at, before: rendered(before, at), after: rendered(after, at + 1) }))
}

const countTokens = ({ shared, rest }: Rendered): number => shared + rest.length

/** The characters from `at` on. */
const from = ({ common, shared, rest }: Rendered, at: number): string =>
  at < shared ? common.slice(at, shared) + rest : rest.slice(at - shared)

const startsWith = (whole: Rendered, start: Rendered): boolean => {
  const known = whole.common === start.common ? Math.min(whole.shared, start.shared) : 0
  return from(whole, known).startsWith(from(start, known))
}

/**
 * Drops the oldest exchanges after the system prompt until at most `maxLength` tokens are left, and renders the rest anew. If not even the last
 * exchange fits, it loses tokens as by `withinLength`, after the template's opening.
 */
export const withinExchanges = (frame: ConversationFrame, conversation: Turns, maxLength: number): TruncatedTokens => {
  const complete = conversationTokens(frame, conversation)
  if (complete.ids.length <= maxLength) return { ...complete, cuts: [] }
  const { turns, tools } = conversation
  const starts = exchangeStarts(turns)
  const last = starts.length - 1
  const from = (exchange: number): Turns => ({ turns: [...turns.slice(0, starts[0]), ...turns.slice(starts[exchange])], tools })
  let [tooLong, kept] = [0, conversationTokens(frame, from(last))]
  const findCuts = (exchanges: number, { ids }: LearnedTokens) =>
    exchanges === 0 ? [] : [{ at: commonLength(complete.ids, ids), tokens: complete.ids.length - ids.length, exchanges }]
  if (kept.ids.length > maxLength) {
    const opening = Math.min(openingLength(frame, from(last), kept), maxLength - Math.max(2, Math.ceil(maxLength * smallestRest)))
    const { cuts, ...rest } = withinLength(kept, opening, maxLength)
    return { ...rest, cuts: [...findCuts(last, kept).map((cut) => ({ ...cut, at: Math.min(cut.at, opening) })), ...cuts] }
  }
  let fits = last
  while (fits - tooLong > 1) {
    const middle = (tooLong + fits) >> 1
    const tokens = conversationTokens(frame, from(middle))
    if (tokens.ids.length <= maxLength) [fits, kept] = [middle, tokens]
    else tooLong = middle
  }
  return { ...kept, cuts: findCuts(fits, kept) }
}

/** The share of the tokens that an opening leaves to its exchange at least. */
const smallestRest = 0.25

/** Where each exchange begins: at a message of the user after an answer. Messages after the last answer are not learned, so they begin none. */
const exchangeStarts = (turns: readonly Message[]): readonly number[] => {
  const end = turns.findLastIndex(({ role }) => role === 'assistant')
  const first = turns.findIndex(({ role }) => !['system', 'developer'].includes(role))
  const later = turns.flatMap(({ role }, i) => (i > first && i < end && role === 'user' && turns[i - 1]?.role !== 'user' ? [i] : []))
  // an exchange without an answer belongs to the one before it
  const answered = later.filter((start, i) => turns.slice(start, later[i + 1] ?? end + 1).some(({ role }) => role === 'assistant'))
  return [first, ...answered]
}

/** Tokens before the first message after the system prompt: the rendered text up to where another content would change it. */
const openingLength = ({ chat, tokenizer }: ConversationFrame, { turns, tools }: Turns, { ids }: LearnedTokens): number => {
  const first = turns.findIndex(({ role }) => !['system', 'developer'].includes(role))
  const prompt = turns.slice(
    0,
    turns.findIndex(({ role }) => role === 'assistant'),
  )
  const written = chat(prompt, true, tools)
  const content = turns[first]?.content.trim() ?? ''
  const other = prompt.map((turn, i): Message => (i === first ? { ...turn, content: content.startsWith('A') ? 'B' : 'A' } : turn))
  return commonLength(tokenizer.ids(commonStart(written, chat(other, true, tools))), ids)
}

const commonStart = (a: string, b: string): string => {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
