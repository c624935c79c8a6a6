/** The first examples of a decoder's data, token by token, as a run trains on them. */
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { InputError } from '../../accelerated/errors/inputError.js'
import { unlabeled } from '../../accelerated/objectives/labeledTokens.js'
import type { Dataset } from '../data/index.js'
import type { Cut } from '../tasks/texts/learnedTokens.js'
import { openTextTokens, type ExplainedText, type TextTokenOptions } from '../tasks/texts/tokens.js'

export type ShownToken = {
  readonly id: number
  /** A special token is written as in the vocabulary. A letter of several tokens is the text of the last one; the others are U+FFFD. */
  readonly text: string
  /** Whether the loss covers the token. */
  readonly learned: boolean
}

export type ShownExample = {
  readonly row: number
  /** Tokens of the example as a run trains on it. */
  readonly length: number
  /** Learned ones among them. */
  readonly learned: number
  /** What truncation left out, before which token. */
  readonly cuts: readonly Cut[]
  /** The first ones, at most 2,000. */
  readonly tokens: readonly ShownToken[]
}

const mostTokens = 2_000

/** The first `count` examples before packing. The learned tokens are the targets of the example that training reads. @throws InputError */
export const previewExamples = async (
  base: ModelFolder,
  options: TextTokenOptions,
  { examples }: Pick<Dataset, 'examples'>,
  { count, maxLength }: { readonly count: number; readonly maxLength: number },
): Promise<readonly ShownExample[]> => {
  const tokenizer = await base.tokenizer()
  const { explained } = await openTextTokens(base, options, Math.min(maxLength, base.model.spec.maxPositions))
  const shown: ShownExample[] = []
  for (const example of examples)
    for (const part of explained(example)) {
      if (shown.length >= count) return shown
      shown.push(previewExample(tokenizer, part))
    }
  return shown
}

const previewExample = (tokenizer: Tokenizer, { example, cuts }: ExplainedText): ShownExample => {
  const { inputIds, targets, row } = example
  const ids = Array.from(inputIds)
  const learned = ids.map((_, i) => i > 0 && targets[i - 1] !== unlabeled)
  const texts = tokenTexts(tokenizer, ids.slice(0, mostTokens))
  return {
    ...{ row, length: ids.length, learned: learned.filter(Boolean).length, cuts },
    tokens: texts.map((text, i) => ({ id: ids[i] ?? NaN, text, learned: learned[i] === true })),
  }
}

/** Earlier tokens to decode with a new one: some decoders drop a blank at the start of a text. */
const context = 5

/** A decoder's text for bytes that are not a whole letter yet. */
const unfinished = '\ufffd'

/** The text of each token. */
export const tokenTexts = (tokenizer: Pick<Tokenizer, 'decode' | 'idToToken'>, ids: readonly number[]): readonly string[] => {
  const decode = chooseDecode(tokenizer)
  let [before, pending]: [readonly number[], readonly number[]] = [[], []]
  return ids.map((id) => {
    if (decode([id]) === '') {
      ;[before, pending] = [[], []]
      return tokenizer.idToToken(id) ?? ''
    }
    const all = [...before, ...pending, id]
    const text = decode(all).slice(decode(before).length)
    const isWhole = !text.endsWith(unfinished)
    ;[before, pending] = isWhole ? [all.slice(-context), []] : [before, [...pending, id].slice(-context)]
    return isWhole ? text : unfinished
  })
}

/** Without a supported decoder, each token is written as in the vocabulary. */
const chooseDecode = ({ decode }: Pick<Tokenizer, 'decode'>): Tokenizer['decode'] => {
  try {
    decode([0])
    return decode
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    return () => ''
  }
}
