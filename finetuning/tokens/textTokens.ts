/** Texts as tokens to learn from: prompts that are shown, responses that are learned, and the token that ends them. */
import { loadChatTemplate, type ChatTemplate, type Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { eosTokenIds } from '../../accelerated/checkpoints/tokenizer/eosToken.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { longestFirst } from '../../accelerated/checkpoints/tokenizer/truncation.js'
import { loadTokenizer, type Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Examples } from '../../accelerated/models/packing.js'
import { unlabeled, type TextExample } from '../../accelerated/objectives/causalLM.js'
import { messagesIn } from '../data/conversations.js'
import type { Example } from '../data/index.js'
import type { PromptTemplate } from '../data/promptTemplates.js'
import type { ExampleTokenizer } from './exampleTokenizer.js'
import { packed } from './packedTexts.js'

/** Tokens of a text, and of each whether it is learned. */
export type LearnedTokens = { readonly ids: ReadonlyArray<number>; readonly learned: ReadonlyArray<boolean> }

/** A part of a text, and whether it is learned. */
export type Segment = { readonly text: string; readonly learned: boolean }

export type TextTokenOptions = {
  /** null: plain text, where every token is learned */
  readonly promptTemplate: PromptTemplate | null
  /** Also compute the loss on prompt tokens. */
  readonly trainOnInputs: boolean
  /** Several training examples share a row. */
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
  let [texts, cut] = [0, 0]
  /** the examples that a text makes */
  const tokens = function* (example: Example): Generator<TextExample> {
    texts++
    if (promptTemplate === null) {
      yield* pieces([...tokenizer.start, ...tokenizer.ids(example.text), ends[0] as number], maxLength, example.row)
      return
    }
    const whole =
      chat === null ? responseTokens(tokenizer, ends, example) : conversationTokens(tokenizer, ends, messagesIn(example.text), chat)
    if (whole.ids.length > maxLength) cut++
    yield asExample(withinLength(whole, tokenizer.start.length, maxLength), trainOnInputs, example.row)
  }
  const all = (given: Iterable<Example>): ReadonlyArray<TextExample> => {
    const made: TextExample[] = []
    for (const example of given) for (const own of tokens(example)) made.push(own)
    return made
  }
  return {
    training: (given) => examplesOf(packing ? packed(all(given), maxLength) : all(given)),
    evaluation: (given) => examplesOf(all(given)),
    warnings: () =>
      cut === 0
        ? []
        : [`${cut} of ${texts} texts are longer than --max-length ${maxLength}: prompts lose their beginning, responses their end`],
  }
}

const examplesOf = (list: ReadonlyArray<TextExample>): Examples<TextExample> => ({ length: list.length, at: (index) => list[index] })

/** A prompt and its response, whose end is learned too. */
const responseTokens = (tokenizer: Tokenizer, ends: ReadonlyArray<number>, { text, textPair = '' }: Example): LearnedTokens => {
  const segments = [
    { text, learned: false },
    { text: textPair, learned: true },
  ]
  return withEnd(segmentTokens(tokenizer, segments, tokenizer.start), ends)
}

/** Every message of the assistant's is learned. Throws Mistake for a template under which a message changes those before it. */
const conversationTokens = (
  tokenizer: Tokenizer,
  ends: ReadonlyArray<number>,
  messages: ReadonlyArray<Message>,
  chat: ChatTemplate,
): LearnedTokens => withEnd(segmentTokens(tokenizer, conversationSegments(messages, chat), []), ends)

/** The rendered conversation, cut where each answer begins and ends. @throws Mistake */
export const conversationSegments = (messages: ReadonlyArray<Message>, chat: ChatTemplate): ReadonlyArray<Segment> => {
  const segments: Segment[] = []
  let done = ''
  messages.forEach(({ role }, i) => {
    if (role !== 'assistant') return
    const [before, after] = [chat(messages.slice(0, i), true), chat(messages.slice(0, i + 1), false)]
    if (!before.startsWith(done) || !after.startsWith(before))
      throw inputError('--prompt-template chat', 'a template under which no message changes those before it', `another at message ${i + 1}`)
    segments.push({ text: before.slice(done.length), learned: false }, { text: after.slice(before.length), learned: true })
    done = after
  })
  return segments
}

/** Tokens of the joined text. A token belongs to the segment in which it ends, where tokens of the text up to there are the text's own. */
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

const commonLength = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => {
  const at = a.findIndex((id, i) => id !== b[i])
  return at === -1 ? Math.min(a.length, b.length) : at
}

/**
 * What is learned ends with the first token in it that ends a text: what a template writes after it is shown, not learned. The last has one added
 * where it has none of its own; nothing comes after it.
 */
export const withEnd = ({ ids, learned: given }: LearnedTokens, ends: ReadonlyArray<number>): LearnedTokens => {
  const isEnd = (id: number | undefined): boolean => ends.includes(id ?? -1)
  let ended = false
  const learned = given.map((own, i) => {
    const kept = own && !ended
    ended = own && (ended || isEnd(ids[i]))
    return kept
  })
  const last = learned.lastIndexOf(true)
  const cut = { ids: ids.slice(0, last + 1), learned: learned.slice(0, last + 1) }
  return isEnd(ids[last]) ? cut : { ids: [...cut.ids, ends[0] as number], learned: [...cut.learned, true] }
}

/**
 * At most `maxLength` tokens: of what stands before the first that is learned the last ones, of the rest the first ones, the longer giving way;
 * so neither is lost as a whole. The `start` stays.
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

/** `everything`: prompts are learned as well. What comes first has nothing before it to be predicted from. */
const asExample = ({ ids, learned }: LearnedTokens, everything: boolean, row: number): TextExample => ({
  inputIds: Int32Array.from(ids),
  targets: Int32Array.from(ids, (_, i) => (i + 1 < ids.length && (everything || learned[i + 1] === true) ? (ids[i + 1] ?? 0) : unlabeled)),
  row,
})

/** A long text in pieces, each of which begins with the last token of the one before, so that every token but the first is predicted once. */
function* pieces(ids: ReadonlyArray<number>, maxLength: number, row: number): Generator<TextExample> {
  for (let at = 0; at === 0 || at < ids.length - 1; at += maxLength - 1) {
    const own = ids.slice(at, at + maxLength)
    if (own.length > 1) yield asExample({ ids: own, learned: [] }, true, row)
  }
}
