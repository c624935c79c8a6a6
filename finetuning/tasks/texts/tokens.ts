/** Tokenizes texts for language modeling: the loss covers the tokens of responses and their end of text, not those of prompts. */
import { loadChatTemplate, type ChatTemplate, type Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { eosTokenIds } from '../../../accelerated/checkpoints/tokenizer/eosToken.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Examples } from '../../../accelerated/models/packing.js'
import type { TextExample } from '../../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { conversationIn } from '../../data/conversations.js'
import type { Example } from '../../data/index.js'
import type { PromptTemplate } from '../../data/promptTemplates.js'
import type { ExampleTokenizer } from '../exampleTokenizer.js'
import { conversationTokens, withinExchanges } from './conversationTokens.js'
import { segmentTokens, withEnd, withinLength, type Cut, type LearnedTokens, type TruncatedTokens } from './learnedTokens.js'

// Packing: several texts share one row of at most `maxLength` tokens and do not attend to each other.
/**
 * Packs texts into rows of at most `maxLength` tokens, shortest text first. Attention is as wide as the longest text of a batch,
 * so texts of similar length share a row. `row` of a packed row is that of its first text.
 */
export const packed = (texts: readonly TextExample[], maxLength: number): readonly TextExample[] => {
  const order = texts.map((_, i) => i).sort((a, b) => countTokens(texts[a]) - countTokens(texts[b]) || a - b)
  const rows: TextExample[][] = []
  let free = 0 // tokens left in the last row
  for (const i of order) {
    const text = texts[i] as TextExample
    if (countTokens(text) > free) {
      rows.push([])
      free = maxLength
    }
    rows.at(-1)?.push(text)
    free -= countTokens(text)
  }
  return rows.map(joined)
}

const countTokens = (text: TextExample | undefined): number => text?.inputIds.length ?? 0

const joined = (texts: readonly TextExample[]): TextExample => {
  const concatenate = (of: (text: TextExample) => ArrayLike<number>): Int32Array =>
    Int32Array.from(texts.flatMap((text) => Array.from(of(text))))
  let end = 0
  const ends = texts.map((text) => (end += countTokens(text)))
  return {
    inputIds: concatenate(({ inputIds }) => inputIds),
    targets: concatenate(({ targets }) => targets),
    ends,
    row: texts[0]?.row ?? 0,
  }
}

/** tokens: the prompt loses its beginning and the rest its end · turns: the oldest exchanges are dropped whole */
export const truncations = ['turns', 'tokens'] as const
export type Truncation = (typeof truncations)[number]

export type TextTokenOptions = {
  /** null: plain text, where the loss covers every token */
  readonly promptTemplate: PromptTemplate | null
  /** the date that a chat template writes; undefined: today */
  readonly templateDate?: string | undefined
  /** How a long conversation becomes shorter; `turns` needs `chat`. */
  readonly truncation: Truncation
  /** Also compute the loss on prompt tokens. */
  readonly trainOnInputs: boolean
  /** Pack several training examples into one row. */
  readonly packing: boolean
}

export const plainTextOptions: TextTokenOptions = { promptTemplate: null, truncation: 'tokens', trainOnInputs: false, packing: false }

/** An example as a run trains on it, and what truncation left out of it. */
export type ExplainedText = { readonly example: TextExample; readonly cuts: readonly Cut[] }

/** `explained`: the examples of one text, before packing: several for a long plain text, otherwise one. */
export type TextTokenizer = ExampleTokenizer<TextExample> & { readonly explained: (example: Example) => Iterable<ExplainedText> }

/** The tokenizer, the ids that end a text, and the chat template where it is asked for. @throws InputError if the model has none */
export const openTemplateTokenizer = async (
  { folder, model, tokenizer: open }: ModelFolder,
  { promptTemplate, templateDate }: Pick<TextTokenOptions, 'promptTemplate' | 'templateDate'>,
) => {
  const [tokenizer, ends] = [await open(), await eosTokenIds(folder, model.vocabularySize)]
  const chat = promptTemplate === 'chat' ? await loadChatTemplate(folder, { date: templateDate }) : null
  if (promptTemplate === 'chat' && chat === null)
    throw inputError(
      folder,
      words`a chat template (in tokenizer_config.json or chat_template.jinja), for ${option('promptTemplate')} chat`,
      'none',
    )
  return { tokenizer, ends, chat }
}

/** Opens the tokenizer of a language modeling task. @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openTextTokens = async (
  base: ModelFolder,
  { truncation, trainOnInputs, packing, ...template }: TextTokenOptions,
  maxLength: number,
): Promise<TextTokenizer> => {
  const { promptTemplate } = template
  const { tokenizer, ends, chat } = await openTemplateTokenizer(base, template)
  let [texts, truncated, withoutTokens] = [0, 0, 0]
  const lost = lostParts()
  const truncatedTokens = (example: Example): TruncatedTokens => {
    if (chat === null) return withinLength(responseTokens(tokenizer, ends, example), tokenizer.start.length, maxLength)
    const conversation = conversationIn(example.text)
    lost.observe(conversation, chat)
    const frame = { chat, tokenizer, ends }
    if (truncation === 'turns') return withinExchanges(frame, conversation, maxLength)
    return withinLength(conversationTokens(frame, conversation), tokenizer.start.length, maxLength)
  }
  const explained = function* (example: Example): Generator<ExplainedText> {
    texts++
    if (promptTemplate === null) {
      for (const piece of pieces([...tokenizer.start, ...tokenizer.ids(example.text), ends[0] as number], maxLength, example.row))
        yield { example: piece, cuts: [] }
      return
    }
    const { cuts, ...kept } = truncatedTokens(example)
    if (cuts.length > 0) truncated++
    if (cuts.some(({ exchanges }) => exchanges === undefined)) withoutTokens++
    yield { example: asExample(kept, trainOnInputs, example.row), cuts }
  }
  const tokenizeAll = (examples: Iterable<Example>): readonly TextExample[] => {
    const tokenized: TextExample[] = []
    for (const example of examples) for (const part of explained(example)) tokenized.push(part.example)
    return tokenized
  }
  return {
    explained,
    training: (examples) => toExamples(packing ? packed(tokenizeAll(examples), maxLength) : tokenizeAll(examples)),
    evaluation: (examples) => toExamples(tokenizeAll(examples)),
    warnings: () => [
      ...lost.warnings(),
      ...(truncated === 0 ? [] : [truncationWarning({ texts, truncated, withoutTokens, truncation }, maxLength)]),
    ],
  }
}

type Truncated = { readonly texts: number; readonly truncated: number; readonly withoutTokens: number; readonly truncation: Truncation }

const truncationWarning = ({ texts, truncated, withoutTokens, truncation }: Truncated, maxLength: number): string => {
  const longer = `${truncated} of ${texts} texts are longer than --max-length ${maxLength}`
  if (truncation === 'tokens') return `${longer}: prompts lose their beginning, responses their end`
  const whole = truncated - withoutTokens
  return `${longer}: ${[
    ...(whole === 0 ? [] : [`${whole} lose their oldest exchanges`]),
    ...(withoutTokens === 0 ? [] : [`${withoutTokens} are left with one exchange, which loses tokens`]),
  ].join(', ')}`
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
    warnings: (): readonly string[] =>
      [['tool calls', withoutCalls] as const, ['tools', withoutTools] as const].flatMap(([what, count]) =>
        count === 0 ? [] : [`the model's chat template does not render the ${what} of ${count} conversations, which are not learned`],
      ),
  }
}

const toExamples = (list: readonly TextExample[]): Examples<TextExample> => ({ length: list.length, at: (index) => list[index] })

/** A prompt and its response. The loss covers the response and the end of text. */
const responseTokens = (tokenizer: Tokenizer, ends: readonly number[], { text, textPair = '' }: Example): LearnedTokens => {
  const segments = [
    { text, learned: false },
    { text: textPair, learned: true },
  ]
  return withEnd(segmentTokens(tokenizer, segments, tokenizer.start), ends)
}

/** The target of token i is token i + 1, so the first token is never a target. `everything`: the loss covers prompts too. */
export const asExample = ({ ids, learned }: LearnedTokens, everything: boolean, row: number): TextExample => ({
  inputIds: Int32Array.from(ids),
  targets: Int32Array.from(ids, (_, i) => (i + 1 < ids.length && (everything || learned[i + 1] === true) ? (ids[i + 1] ?? 0) : unlabeled)),
  row,
})

/** Cuts a long text into pieces. Each begins with the last token of the one before, so every token but the first is a target once. */
function* pieces(ids: readonly number[], maxLength: number, row: number): Generator<TextExample> {
  for (let at = 0; at === 0 || at < ids.length - 1; at += maxLength - 1) {
    const piece = ids.slice(at, at + maxLength)
    if (piece.length > 1) yield asExample({ ids: piece, learned: [] }, true, row)
  }
}
