/** Tokenizes texts for language modeling: the loss covers the tokens of responses and their end of text, not those of prompts. */
import { loadChatTemplate, type ChatTemplate, type Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { eosTokenIds } from '../../accelerated/checkpoints/tokenizer/eosToken.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { longestFirst } from '../../accelerated/checkpoints/tokenizer/truncation.js'
import { loadTokenizer, type Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Examples } from '../../accelerated/models/packing.js'
import { unlabeled, type TextExample } from '../../accelerated/objectives/causalLM.js'
import { conversationIn } from '../data/conversations.js'
import type { Example } from '../data/index.js'
import type { PromptTemplate } from '../data/promptTemplates.js'
import type { ExampleTokenizer } from './exampleTokenizer.js'
import { packed } from './packedTexts.js'

/** Tokens of a text; `learned[i]`: whether the loss covers token i. */
export type LearnedTokens = { readonly ids: ReadonlyArray<number>; readonly learned: ReadonlyArray<boolean> }

/** A part of a text, and whether the loss covers it. */
export type Segment = { readonly text: string; readonly learned: boolean }

export type TextTokenOptions = {
  /** null: plain text, where the loss covers every token */
  readonly promptTemplate: PromptTemplate | null
  /** Also compute the loss on prompt tokens. */
  readonly trainOnInputs: boolean
  /** Pack several training examples into one row. */
  readonly packing: boolean
}

export const plainTextOptions: TextTokenOptions = { promptTemplate: null, trainOnInputs: false, packing: false }

/** Opens the tokenizer of a language modeling task. @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openTextTokens = async (
  base: ModelFolder,
  { promptTemplate, trainOnInputs, packing }: TextTokenOptions,
  maxLength: number,
): Promise<ExampleTokenizer<TextExample>> => {
  const { folder, model } = base
  const [tokenizer, ends] = [await loadTokenizer(folder, model), await eosTokenIds(folder, model.vocabularySize)]
  const chat = promptTemplate === 'chat' ? await loadChatTemplate(folder) : null
  if (promptTemplate === 'chat' && chat === null)
    throw inputError(folder, 'a chat template (in tokenizer_config.json or chat_template.jinja), for --prompt-template chat', 'none')
  let [texts, truncated] = [0, 0]
  const lost = lostParts()
  /** The examples of one text: several for a long plain text, otherwise one. */
  const tokens = function* (example: Example): Generator<TextExample> {
    texts++
    if (promptTemplate === null) {
      yield* pieces([...tokenizer.start, ...tokenizer.ids(example.text), ends[0] as number], maxLength, example.row)
      return
    }
    const conversation = chat === null ? null : conversationIn(example.text)
    if (conversation !== null && chat !== null) lost.observe(conversation, chat)
    const complete =
      conversation === null || chat === null
        ? responseTokens(tokenizer, ends, example)
        : conversationTokens(tokenizer, ends, conversation, chat)
    if (complete.ids.length > maxLength) truncated++
    yield asExample(withinLength(complete, tokenizer.start.length, maxLength), trainOnInputs, example.row)
  }
  const tokenizeAll = (examples: Iterable<Example>): ReadonlyArray<TextExample> => {
    const tokenized: TextExample[] = []
    for (const example of examples) for (const part of tokens(example)) tokenized.push(part)
    return tokenized
  }
  return {
    training: (examples) => examplesOf(packing ? packed(tokenizeAll(examples), maxLength) : tokenizeAll(examples)),
    evaluation: (examples) => examplesOf(tokenizeAll(examples)),
    warnings: () => [
      ...lost.warnings(),
      ...(truncated === 0
        ? []
        : [`${truncated} of ${texts} texts are longer than --max-length ${maxLength}: prompts lose their beginning, responses their end`]),
    ],
  }
}

/** Counts conversations whose tools or calls of tools the chat template does not render. */
const lostParts = () => {
  let [withoutCalls, withoutTools] = [0, 0]
  return {
    observe: ({ turns, tools }: ReturnType<typeof conversationIn>, chat: ChatTemplate): void => {
      const hasCalls = turns.some(({ tool_calls: calls }) => calls !== undefined)
      if (!hasCalls && tools.length === 0) return
      const rendered = chat(turns, false, tools)
      const silent = turns.map(({ tool_calls: _, ...message }): Message => message)
      if (hasCalls && chat(silent, false, tools) === rendered) withoutCalls++
      if (tools.length > 0 && chat(turns, false) === rendered) withoutTools++
    },
    warnings: (): ReadonlyArray<string> =>
      [['tool calls', withoutCalls] as const, ['tools', withoutTools] as const].flatMap(([what, count]) =>
        count === 0 ? [] : [`the model's chat template does not render the ${what} of ${count} conversations, which are not learned`],
      ),
  }
}

const examplesOf = (list: ReadonlyArray<TextExample>): Examples<TextExample> => ({ length: list.length, at: (index) => list[index] })

/** A prompt and its response. The loss covers the response and the end of text. */
const responseTokens = (tokenizer: Tokenizer, ends: ReadonlyArray<number>, { text, textPair = '' }: Example): LearnedTokens => {
  const segments = [
    { text, learned: false },
    { text: textPair, learned: true },
  ]
  return withEnd(segmentTokens(tokenizer, segments, tokenizer.start), ends)
}

/** The loss covers every message of the assistant. @throws InputError if the template renders earlier messages differently once another follows */
const conversationTokens = (
  tokenizer: Tokenizer,
  ends: ReadonlyArray<number>,
  { turns, tools }: ReturnType<typeof conversationIn>,
  chat: ChatTemplate,
): LearnedTokens => withEnd(segmentTokens(tokenizer, conversationSegments(turns, chat, tools), []), ends)

/** Splits the rendered conversation where each answer begins and ends. @throws InputError as `conversationTokens` */
export const conversationSegments = (
  messages: ReadonlyArray<Message>,
  chat: ChatTemplate,
  tools: ReadonlyArray<unknown> = [],
): ReadonlyArray<Segment> => {
  const segments: Segment[] = []
  let done = ''
  messages.forEach(({ role }, i) => {
    if (role !== 'assistant') return
    const [before, after] = [chat(messages.slice(0, i), true, tools), chat(messages.slice(0, i + 1), false, tools)]
    if (!before.startsWith(done) || !after.startsWith(before))
      throw inputError(
        '--prompt-template chat',
        'a template under which no message changes those before it (or paper, for instructions)',
        `another at message ${i + 1}`,
      )
    segments.push({ text: before.slice(done.length), learned: false }, { text: after.slice(before.length), learned: true })
    done = after
  })
  return segments
}

/** Tokenizes the joined text. A token that spans two segments belongs to the segment in which it ends. */
export const segmentTokens = (
  tokenizer: Pick<Tokenizer, 'ids'>,
  segments: ReadonlyArray<Segment>,
  start: ReadonlyArray<number>,
): LearnedTokens => {
  const ids = tokenizer.ids(segments.map(({ text }) => text).join(''))
  const learned = new Array<boolean>(ids.length).fill(false)
  let [from, text] = [0, '']
  segments.forEach((segment, i) => {
    text += segment.text
    const to = i === segments.length - 1 ? ids.length : commonLength(tokenizer.ids(text), ids)
    if (segment.learned) learned.fill(true, from, to)
    from = to
  })
  return { ids: [...start, ...ids], learned: [...start.map(() => false), ...learned] }
}

/** How many tokens two lists share at their beginning. */
export const commonLength = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  const at = a.findIndex((id, i) => id !== b[i])
  return at === -1 ? Math.min(a.length, b.length) : at
}

/**
 * Ends each learned part at its first end-of-text token: what a template writes after it stays in the input, outside the loss.
 * The last learned part gets an end-of-text token if it has none, and everything after it is dropped.
 */
export const withEnd = ({ ids, learned: isLearned }: LearnedTokens, ends: ReadonlyArray<number>): LearnedTokens => {
  const isEnd = (id: number | undefined): boolean => ends.includes(id ?? -1)
  let ended = false
  const learned = isLearned.map((inPart, i) => {
    const kept = inPart && !ended
    ended = inPart && (ended || isEnd(ids[i]))
    return kept
  })
  const last = learned.lastIndexOf(true)
  const complete = { ids: ids.slice(0, last + 1), learned: learned.slice(0, last + 1) }
  return isEnd(ids[last]) ? complete : { ids: [...complete.ids, ends[0] as number], learned: [...complete.learned, true] }
}

/**
 * Truncates to `maxLength` tokens. The prompt (before the first learned token) loses its beginning, the rest its end, the longer one first,
 * so neither is lost as a whole. The first `start` tokens stay.
 */
export const withinLength = ({ ids, learned }: LearnedTokens, start: number, maxLength: number): LearnedTokens => {
  if (ids.length <= maxLength) return { ids, learned }
  const first = Math.max(start, learned.indexOf(true))
  const [prompt, response] = longestFirst(first - start, ids.length - first, maxLength - start)
  const kept = <T>(list: ReadonlyArray<T>): ReadonlyArray<T> => [
    ...list.slice(0, start),
    ...list.slice(first - prompt, first),
    ...list.slice(first, first + response),
  ]
  return { ids: kept(ids), learned: kept(learned) }
}

/** The target of token i is token i + 1, so the first token is never a target. `everything`: the loss covers prompts too. */
const asExample = ({ ids, learned }: LearnedTokens, everything: boolean, row: number): TextExample => ({
  inputIds: Int32Array.from(ids),
  targets: Int32Array.from(ids, (_, i) => (i + 1 < ids.length && (everything || learned[i + 1] === true) ? (ids[i + 1] ?? 0) : unlabeled)),
  row,
})

/** Cuts a long text into pieces. Each begins with the last token of the one before, so every token but the first is a target once. */
function* pieces(ids: ReadonlyArray<number>, maxLength: number, row: number): Generator<TextExample> {
  for (let at = 0; at === 0 || at < ids.length - 1; at += maxLength - 1) {
    const piece = ids.slice(at, at + maxLength)
    if (piece.length > 1) yield asExample({ ids: piece, learned: [] }, true, row)
  }
}
