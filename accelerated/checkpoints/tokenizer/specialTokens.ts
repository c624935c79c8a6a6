/** Special tokens around one or two texts, checked against those that the folder's own tokenizer adds. */
import { inputError } from '../../errors/inputError.js'
import type { SpecialTokenTemplate } from '../../models/architecture.js'

type Ids = ReadonlyArray<number>

/** One example for the model; both lists have the same length. */
export type Encoding = {
  readonly inputIds: Ids
  readonly tokenTypeIds: Ids
  /** only if the texts have more tokens than these */
  readonly truncated?: true
}

/** Adds the special tokens to one text or to two. */
export type AddSpecialTokens = ((a: Ids, b: Ids | undefined) => Encoding) & {
  /** the tokens before a text */
  readonly start: Ids
}

/** The ids of a text or a pair, with the special tokens of the folder's own tokenizer if `special` is true. */
export type IdsOf = (text: string, textPair?: string, special?: boolean) => Ids

/** @param template the family's; null if the family has none @throws InputError if the folder's own tokenizer adds other special tokens */
export const specialTokens = (idsOf: IdsOf, template: SpecialTokenTemplate | null, file: string): AddSpecialTokens =>
  template === null ? fromTokenizer(idsOf, file) : fromTemplate(idsOf, template, file)

const fromTemplate = (idsOf: IdsOf, { between: ends, secondType, form }: SpecialTokenTemplate, file: string): AddSpecialTokens => {
  const single = idsOf('a', undefined, true)
  const [start = NaN, end = NaN] = [single[0], single[single.length - 1]]
  const between = new Array<number>(ends).fill(end)
  const add = (a: Ids, b: Ids | undefined): Encoding => {
    const first = [start, ...a, ...(b === undefined ? [end] : between)]
    const second = b === undefined ? [] : [...b, end]
    // RoBERTa has one token type, so the type of the </s> before B does not matter to it.
    return { inputIds: [...first, ...second], tokenTypeIds: [...first.map(() => 0), ...second.map(() => secondType)] }
  }
  if (!agrees(add, idsOf))
    throw inputError(file, `a post-processor that makes ${form}`, `ids ${idsOf('a', 'a', true).join(' ')} for the pair "a", "a"`)
  return Object.assign(add, { start: [start] })
}

/** Finds the special tokens in what the folder's own tokenizer makes of a text and of a pair. All token types are 0. */
const fromTokenizer = (idsOf: IdsOf, file: string): AddSpecialTokens => {
  const [text, single, pair] = [idsOf('a'), idsOf('a', undefined, true), idsOf('a', 'a', true)]
  const at = indexIn(single, text)
  const [start, end] = [single.slice(0, at), single.slice(at + text.length)]
  const afterFirst = pair.slice(start.length + text.length)
  const second = indexIn(afterFirst, text)
  const [between, after] = [afterFirst.slice(0, second), afterFirst.slice(second + text.length)]
  const add = (a: Ids, b: Ids | undefined): Encoding => {
    const inputIds = [...start, ...a, ...(b === undefined ? end : [...between, ...b, ...after])]
    return { inputIds, tokenTypeIds: inputIds.map(() => 0) }
  }
  if (at < 0 || second < 0 || !agrees(add, idsOf))
    throw inputError(
      file,
      'a post-processor that puts tokens before, between and after texts',
      `ids ${pair.join(' ')} for the pair "a", "a"`,
    )
  return Object.assign(add, { start })
}

const agrees = (add: (a: Ids, b: Ids | undefined) => Encoding, idsOf: IdsOf): boolean => {
  const text = idsOf('a')
  return (
    add(text, undefined).inputIds.join() === idsOf('a', undefined, true).join() &&
    add(text, text).inputIds.join() === idsOf('a', 'a', true).join()
  )
}

/** The index of the first occurrence of `part` in `ids`; −1 if there is none. */
const indexIn = (ids: Ids, part: Ids): number => ids.findIndex((_, at) => part.every((id, i) => ids[at + i] === id))
