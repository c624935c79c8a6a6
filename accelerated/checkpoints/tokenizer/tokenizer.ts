/** Text to token ids and back: the folder's own tokenizer, the family's special tokens, and truncation to a length. */
import { z } from 'zod'
import { SettingsError } from '../../errors/expectedErrors.js'
import { inputError, quoted } from '../../errors/inputError.js'
import type { Model, SpecialTokenTemplate } from '../../models/architecture.js'
import { readJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { fileInFolder, joinPath } from '../../storage/paths.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import type { Storage } from '../../storage/storage.js'
import { libraryTokenizer, type LibraryTokenizer } from './libraryTokenizer.js'
import { prefixTokenizer, type TokenizePrefix } from './prefixTokenizer.js'
import { parseTokenizerFile, tokenizerConfigLimit, type TokenizerFile } from './tokenizerFile.js'

export type Tokenizer = {
  /**
   * One text or a pair with special tokens, at most `maxLength` tokens. RoBERTa: `<s> A </s>` or `<s> A </s></s> B </s>`, token types 0.
   * BERT: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, token types 0, then 1 for `B [SEP]`. Families without a template: what the folder's own
   * tokenizer makes, token types 0. An empty `textPair` counts as none.
   * @throws SettingsError if `maxLength` leaves no room for a text, or exceeds the model's positions
   * @throws InputError if a piece of the text has no id
   */
  readonly encode: (text: string, textPair: string | undefined, maxLength: number) => Encoding
  /** The tokens of a text, or the first `most` of them, without added special tokens. @throws InputError if a piece of the text has no id */
  readonly ids: (text: string, most?: number) => readonly number[]
  /** The tokens of a text, and how many of them its beginnings share. @throws InputError as `ids` */
  readonly shared: TokenizeShared
  /** The first tokens of one text with special tokens around them, at most `maxLength`. @throws SettingsError as `encode` */
  readonly frame: (ids: readonly number[], maxLength: number) => Encoding
  /** the special tokens before a text: `<s>`, or none */
  readonly start: readonly number[]
  /** The text of tokens, without special ones. @throws InputError if the folder's decoder is not supported */
  readonly decode: (ids: readonly number[]) => string
  /** A token as the vocabulary writes it, special or not; undefined: no token has the id. */
  readonly idToToken: (id: number) => string | undefined
  /** The bytes that a decoder's token adds to a text, in UTF-8; for a special token, its name. */
  readonly bytes: (id: number) => Uint8Array
  /** Whether `decode` leaves the token out. */
  readonly isSpecial: (id: number) => boolean
}

type TokenizerModel = Pick<Model, 'vocabularySize' | 'specialTokens' | 'spec'>

/**
 * Loads tokenizer.json, and tokenizer_config.json if there is one, of a model folder. Nothing is downloaded.
 * @throws InputError if a file is missing or not supported, if ids exceed the vocabulary, or if special tokens are not those of the family
 */
export const loadTokenizer = async (folder: string, model: TokenizerModel, storage: Storage = nodeFiles): Promise<Tokenizer> => {
  const file = await fileInFolder(folder, 'tokenizer.json', storage)
  if (file === undefined) throw inputError(folder, 'tokenizer.json in the folder', 'none')
  const settings = await readSettings(folder, storage)
  const parsed = parseTokenizerFile(await readText(file, undefined, storage), file, model.vocabularySize, joinPath(folder, 'config.json'))
  const library = libraryTokenizer(parsed, settings, file)
  const toIds = checkedIds(library, file)
  const add = specialTokens(toIds, model.specialTokens, file)
  const ids = prefixTokenizer(toIds, parsed, settings)
  const toBytes = tokenBytes(parsed)
  const specials = new Set(parsed.added_tokens.flatMap(({ id, special }) => (special === true ? [id] : [])))
  return {
    isSpecial: (id) => specials.has(id),
    ids: (text, most = Infinity) => ids(text, most).slice(0, most),
    shared: sharedTokens(
      (text) => ids(text, Infinity),
      dividingTokens(parsed),
      (text) => library.splitter_unnormalized.split(text),
    ),
    start: add.start,
    frame: (tokens, maxLength) => {
      const room = maxLength - specialsIn(maxLength, add, model, false)
      return marked(add(tokens.slice(0, room), undefined), tokens.length > room)
    },
    encode: encoder(ids, add, model, joinPath(folder, 'config.json')),
    decode: (tokens) => {
      if (!parsed.decodes) throw inputError(file, 'a supported decoder, which makes text of tokens', 'another')
      const existing = tokens.filter((id) => library.id_to_token(id) !== undefined) // a vocabulary may have more rows than tokens
      return existing.length === 0 ? '' : library.decode(existing, { skip_special_tokens: true, clean_up_tokenization_spaces: false })
    },
    idToToken: (id) => library.id_to_token(id),
    bytes: (id) => toBytes(library.id_to_token(id) ?? ''),
  }
}

/** The same by the first call only: a vocabulary takes a quarter of a second to read, and its tables tens of megabytes. */
export const loadTokenizerOnce = (source: {
  readonly folder: string
  readonly model: TokenizerModel
  readonly storage: Storage
}): (() => Promise<Tokenizer>) => {
  let loaded: Promise<Tokenizer> | undefined
  return () => (loaded ??= loadTokenizer(source.folder, source.model, source.storage))
}

/** The bytes of a token as the vocabulary writes it, by the decoder that makes text of tokens. */
const tokenBytes = ({ decoder, added_tokens: added }: TokenizerFile): ((token: string) => Uint8Array) => {
  const [utf8, verbatim] = [new TextEncoder(), new Set(added.map(({ content }) => content))]
  const [kinds, letters] = [JSON.stringify(decoder), byteLetters()]
  return (token) => {
    if (verbatim.has(token)) return utf8.encode(token)
    if (kinds.includes('"ByteLevel"'))
      return Uint8Array.from([...token].flatMap((letter) => letters.get(letter) ?? [...utf8.encode(letter)]))
    const [, byte] = /^<0x([0-9A-F]{2})>$/.exec(token) ?? []
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16))
    return utf8.encode(token.replaceAll('▁', ' '))
  }
}

/** The letter of each byte in a byte-level vocabulary: visible ones stand for themselves, the others for the letters from 256 on (Radford et al., 2019). */
const byteLetters = (): ReadonlyMap<string, number> => {
  let next = 256
  const isVisible = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  return new Map(Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(isVisible(byte) ? byte : next++), byte]))
}

const encoder =
  (ids: TokenizePrefix, add: AddSpecialTokens, model: TokenizerModel, configFile: string) =>
  (text: string, second: string | undefined, maxLength: number): Encoding => {
    const { specialTokens: template } = model
    const textPair = second === '' ? undefined : second // as in the original tokenizers
    if (textPair !== undefined && template !== null && template.secondType >= template.types)
      throw inputError(configFile, 'type_vocab_size of at least 2, since there are pairs of texts', String(template.types))
    const room = maxLength - specialsIn(maxLength, add, model, textPair !== undefined)
    if (textPair === undefined) {
      const { kept, isTruncated } = truncatedText(ids, text, room)
      return marked(add(kept, undefined), isTruncated)
    }
    const { kept, isTruncated } = truncatedPair(ids, text, textPair, room)
    return marked(add(...kept), isTruncated)
  }

/** The number of special tokens around a text or a pair. @throws SettingsError if `maxLength` leaves no room, or exceeds the positions */
const specialsIn = (maxLength: number, add: AddSpecialTokens, { spec }: TokenizerModel, isPair: boolean): number => {
  const specials = add([], isPair ? [] : undefined).inputIds.length
  if (Number.isInteger(maxLength) && maxLength > specials && maxLength <= spec.maxPositions) return specials
  const range = `${specials + 1} to ${spec.maxPositions} tokens for ${isPair ? 'two texts' : 'a text'}`
  throw new SettingsError('maxLength', `${range}, including ${specials} special tokens`, String(maxLength))
}

const marked = (encoding: Encoding, isTruncated: boolean): Encoding => (isTruncated ? { ...encoding, truncated: true } : encoding)

/** The library's ids, which are undefined for an unknown piece without an unk_token, whatever its types say. */
const checkedIds =
  (library: LibraryTokenizer, file: string): ToIds =>
  (text, textPair, special = false) => {
    const { ids } = library.encode(text, {
      add_special_tokens: special,
      ...(textPair === undefined ? {} : { text_pair: textPair }),
    })
    if (!ids.every(Number.isSafeInteger))
      throw inputError(file, 'an id for every piece of a text (or an unk_token that has one)', `none for a piece of ${quoted(text, 40)}`)
    return ids
  }

/** The settings of tokenizer_config.json that change ids. Chat templates and all others are not passed on. */
const settingsSchema = z.object({ remove_space: z.boolean().nullish(), do_lowercase_and_remove_accent: z.boolean().nullish() })

const readSettings = async (folder: string, storage: Storage): Promise<z.infer<typeof settingsSchema>> =>
  (await readJson(folder, 'tokenizer_config.json', settingsSchema, 'settings of a tokenizer', tokenizerConfigLimit, storage)) ?? {}

/** Special tokens around one or two texts, checked against those that the folder's own tokenizer adds. */
type Ids = readonly number[]

/** One example for the model; both lists have the same length. */
export type Encoding = {
  readonly inputIds: Ids
  readonly tokenTypeIds: Ids
  /** only if the texts have more tokens than these */
  readonly truncated?: true
}

/** Adds the special tokens to one text or to two. */
type AddSpecialTokens = ((a: Ids, b: Ids | undefined) => Encoding) & {
  /** the tokens before a text */
  readonly start: Ids
}

/** The ids of a text or a pair, with the special tokens of the folder's own tokenizer if `special` is true. */
type ToIds = (text: string, textPair?: string, special?: boolean) => Ids

/** @param template the family's; null if the family has none @throws InputError if the folder's own tokenizer adds other special tokens */
const specialTokens = (toIds: ToIds, template: SpecialTokenTemplate | null, file: string): AddSpecialTokens =>
  template === null ? fromTokenizer(toIds, file) : fromTemplate(toIds, template, file)

const fromTemplate = (toIds: ToIds, { between: ends, secondType, form }: SpecialTokenTemplate, file: string): AddSpecialTokens => {
  const single = toIds('a', undefined, true)
  const [start = NaN, end = NaN] = [single[0], single[single.length - 1]]
  const between = new Array<number>(ends).fill(end)
  const add = (a: Ids, b: Ids | undefined): Encoding => {
    const first = [start, ...a, ...(b === undefined ? [end] : between)]
    const second = b === undefined ? [] : [...b, end]
    // RoBERTa has one token type, so the type of the </s> before B does not matter to it.
    return { inputIds: [...first, ...second], tokenTypeIds: [...first.map(() => 0), ...second.map(() => secondType)] }
  }
  if (!agrees(add, toIds))
    throw inputError(file, `a post-processor that makes ${form}`, `ids ${toIds('a', 'a', true).join(' ')} for the pair "a", "a"`)
  return Object.assign(add, { start: [start] })
}

/** Finds the special tokens in what the folder's own tokenizer makes of a text and of a pair. All token types are 0. */
const fromTokenizer = (toIds: ToIds, file: string): AddSpecialTokens => {
  const [text, single, pair] = [toIds('a'), toIds('a', undefined, true), toIds('a', 'a', true)]
  const at = indexIn(single, text)
  const [start, end] = [single.slice(0, at), single.slice(at + text.length)]
  const afterFirst = pair.slice(start.length + text.length)
  const second = indexIn(afterFirst, text)
  const [between, after] = [afterFirst.slice(0, second), afterFirst.slice(second + text.length)]
  const add = (a: Ids, b: Ids | undefined): Encoding => {
    const inputIds = [...start, ...a, ...(b === undefined ? end : [...between, ...b, ...after])]
    return { inputIds, tokenTypeIds: inputIds.map(() => 0) }
  }
  if (at < 0 || second < 0 || !agrees(add, toIds))
    throw inputError(
      file,
      'a post-processor that puts tokens before, between and after texts',
      `ids ${pair.join(' ')} for the pair "a", "a"`,
    )
  return Object.assign(add, { start })
}

const agrees = (add: (a: Ids, b: Ids | undefined) => Encoding, toIds: ToIds): boolean => {
  const text = toIds('a')
  return (
    add(text, undefined).inputIds.join() === toIds('a', undefined, true).join() &&
    add(text, text).inputIds.join() === toIds('a', 'a', true).join()
  )
}

/** The index of the first occurrence of `part` in `ids`; −1 if there is none. */
const indexIn = (ids: Ids, part: Ids): number => ids.findIndex((_, at) => part.every((id, i) => ids[at + i] === id))

/**
 * The lengths that remain of two texts in `room` tokens. The longer text gives way until both are equal. If the room is odd, the longer one
 * keeps the extra token (the second one if they are equally long).
 */
export const longestFirst = (lengthA: number, lengthB: number, room: number): readonly [number, number] => {
  if (lengthA + lengthB <= room) return [lengthA, lengthB]
  const half = Math.floor(room / 2)
  if (lengthA > lengthB) return lengthB <= half ? [room - lengthB, lengthB] : [room - half, half]
  return lengthA <= half ? [lengthA, room - lengthA] : [half, room - half]
}

type Truncated<T> = { readonly kept: T; readonly isTruncated: boolean }

/** A text truncated to `room` tokens, without tokenizing more of it than that takes. */
const truncatedText = (ids: TokenizePrefix, text: string, room: number): Truncated<Ids> => {
  const prefix = ids(text, room + 1)
  return { kept: prefix.slice(0, room), isTruncated: prefix.length > room }
}

/** Two texts truncated to `room` tokens together, without tokenizing more of a long text than that takes. */
export const truncatedPair = (ids: TokenizePrefix, text: string, textPair: string, room: number): Truncated<readonly [Ids, Ids]> => {
  const [a, b] = comparablePrefixes(ids, text, textPair, room)
  const [lengthA, lengthB] = longestFirst(a.length, b.length, room)
  return { kept: [a.slice(0, lengthA), b.slice(0, lengthB)], isTruncated: a.length + b.length > room }
}

/** More than `room` tokens of both texts. An odd room takes as many as show which is longer; halves of an even one are equal. */
const comparablePrefixes = (ids: TokenizePrefix, text: string, textPair: string, room: number): readonly [Ids, Ids] => {
  for (let most = room + 1; ; most *= 8) {
    const [a, b] = [ids(text, most).slice(0, most), ids(textPair, most).slice(0, most)]
    if (room % 2 === 0 || a.length < most || b.length < most) return [a, b]
  }
}

/**
 * The tokens of a text, and how many of them each of its beginnings has, too. A tokenizer splits a text at its added tokens first: what
 * is before one of them does not change what is after it. So each beginning is tokenized from the last added token only.
 */
type SharedTokens = {
  readonly ids: readonly number[]
  /** by end: the tokens of the text's first characters up to it that are the text's own first tokens */
  readonly shared: readonly number[]
}

/** The tokens of a text, and those that its beginnings of `ends` characters (ascending) share with it. */
type TokenizeShared = (text: string, ends: readonly number[]) => SharedTokens

/** @param dividing the added tokens that divide a text @param split parts of a text, each either an added token or free of them */
export const sharedTokens = (
  tokenizeText: (text: string) => readonly number[],
  dividing: ReadonlySet<string>,
  split: (text: string) => readonly string[],
): TokenizeShared => {
  return (text, ends) => {
    const starts = findStarts(split(text), dividing, ends)
    const starting = new Map<number, number>() // tokens before a start
    const ids: number[] = []
    const distinct = [0, ...new Set(starts.filter((start) => start > 0))]
    for (const [i, start] of distinct.entries()) {
      starting.set(start, ids.length)
      for (const id of tokenizeText(text.slice(start, distinct[i + 1]))) ids.push(id)
    }
    const shared = ends.map((end, i) => {
      if (end >= text.length) return ids.length
      const [start, before] = [starts[i] ?? 0, starting.get(starts[i] ?? 0) ?? 0]
      return before + commonTokens(tokenizeText(text.slice(start, end)), ids, before)
    })
    return { ids, shared }
  }
}

/**
 * Those that the library looks for before it normalizes. One with `lstrip` takes blanks from the part before it. One that begins or ends with
 * blanks loses them beside a token that strips.
 */
export const dividingTokens = ({
  added_tokens: added,
  normalizer,
}: Pick<TokenizerFile, 'added_tokens' | 'normalizer'>): ReadonlySet<string> =>
  new Set(
    added
      .filter(({ normalized, special, lstrip, content }) => {
        const isNormalized = normalizer !== null && (normalized ?? special !== true)
        return !isNormalized && lstrip !== true && content === content.trim()
      })
      .map(({ content }) => content),
  )

/** For each end, where the last dividing token starts that is whole before it; 0 without one. */
const findStarts = (parts: readonly string[], dividing: ReadonlySet<string>, ends: readonly number[]): readonly number[] => {
  let [at, part, start] = [0, 0, 0]
  return ends.map((end) => {
    for (; part < parts.length; part++) {
      const text = parts[part] as string
      if (at + text.length > end) break
      if (dividing.has(text)) start = at
      at += text.length
    }
    return start
  })
}

/** How many tokens of `beginning` are those of `ids` from `from` on. */
const commonTokens = (beginning: readonly number[], ids: readonly number[], from: number): number => {
  const differs = beginning.findIndex((id, i) => id !== ids[from + i])
  return differs === -1 ? Math.min(beginning.length, ids.length - from) : differs
}
