/** Text to token ids: the folder's own tokenizer, the family's special tokens as the originals place them, the longer text cut first. */
import { join } from 'node:path'
import { Tokenizer as Pieces } from '@huggingface/tokenizers'
import { z } from 'zod'
import { precompiledNormalizer } from './precompiledNormalizer.js'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { InputError, inputError, quoted, reason } from '../../errors/inputError.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import type { SpecialTokenTemplate, Model } from '../../models/architecture.js'
import { prefixTokenizer, type TokenizePrefix } from './prefixTokenizer.js'
import { SettingsError } from '../../errors/settingsError.js'
import { parseTokenizerFile, piecesOf, tokenizerConfigLimit, wordMark, type TokenizerFile } from './tokenizerFile.js'
import { unigram, type ScoredPieces } from './unigram.js'

/** One example for the encoder; both lists have its length. */
export type Encoding = { readonly inputIds: ReadonlyArray<number>; readonly tokenTypeIds: ReadonlyArray<number> }

/** A loaded tokenizer. */
export type Tokenizer = {
  /**
   * RoBERTa: `<s> A </s>` or `<s> A </s></s> B </s>`, token types 0. BERT: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, token types 0,
   * then 1 for `B [SEP]`. Families without a form of their own: as the tokenizer has it, token types 0. At most `maxLength` tokens. Throws
   * SettingsError if `maxLength` leaves no room or is more than the model has positions for, and Mistake for a text that cannot be taken.
   */
  readonly encode: (text: string, textPair: string | undefined, maxLength: number) => Encoding
  /** Tokens of a text alone, special ones only where it writes them out: all of them, or the first `most`. Throws Mistake. */
  readonly ids: (text: string, most?: number) => ReadonlyArray<number>
  /** what the tokenizer puts before a text: `<s>`, or nothing */
  readonly start: ReadonlyArray<number>
  /** The text of tokens, special ones left out. Throws Mistake where the folder does not say how. */
  readonly decode: (ids: ReadonlyArray<number>) => string
}

/**
 * Loads tokenizer.json (and tokenizer_config.json, if there) of a model folder; nothing is fetched. Throws Mistake: a file missing or
 * not understood, ids beyond the word table, special tokens placed unlike the family's.
 */
export const loadTokenizer = async (
  folder: string,
  model: Pick<Model, 'vocabularySize' | 'specialTokens' | 'spec'>,
): Promise<Tokenizer> => {
  const file = await fileInFolder(folder, 'tokenizer.json')
  if (file === undefined) throw inputError(folder, 'tokenizer.json in the folder', 'none')
  const settingsFile = await fileInFolder(folder, 'tokenizer_config.json')
  const settings = settingsFile === undefined ? {} : parseSettings(await readText(settingsFile, tokenizerConfigLimit), settingsFile)
  const parsed = parseTokenizerFile(await readText(file), file, model.vocabularySize, join(folder, 'config.json'))
  const tokenizer = construct(parsed, settings, file)
  const idsOf = (text: string, textPair?: string, special = false): ReadonlyArray<number> => {
    const { ids } = tokenizer.encode(text, {
      add_special_tokens: special,
      ...(textPair === undefined ? {} : { text_pair: textPair }),
    })
    // an unknown piece has none, whatever the type says
    if (!ids.every(Number.isSafeInteger))
      throw inputError(file, 'an id for every piece of a text (or an unk_token that has one)', `none for a piece of ${quoted(text, 40)}`)
    return ids
  }

  const frame = model.specialTokens === null ? ownFrame(idsOf, file) : frameOf(idsOf, model.specialTokens, file)
  const ids = prefixTokenizer(idsOf, parsed, settings)
  return {
    ids: (text, most) => (most === undefined ? idsOf(text) : ids(text, most).slice(0, most)),
    start: frame.start,
    encode: (text, second, maxLength) => {
      const textPair = second === '' ? undefined : second // as the originals: an empty second text is none
      const specials = frame([], textPair === undefined ? undefined : []).inputIds.length
      if (textPair !== undefined && model.specialTokens !== null && model.specialTokens.secondType >= model.specialTokens.types)
        throw inputError(
          join(folder, 'config.json'),
          'type_vocab_size of at least 2, where there are pairs of texts',
          String(model.specialTokens.types),
        )
      if (!Number.isInteger(maxLength) || maxLength <= specials || maxLength > model.spec.maxPositions) {
        const room = `${specials + 1} to ${model.spec.maxPositions} tokens for ${textPair === undefined ? 'a text' : 'two texts'}`
        throw new SettingsError('maxLength', `${room}, ${specials} of which are special`, String(maxLength))
      }
      const room = maxLength - specials
      if (textPair === undefined) return frame(ids(text, room).slice(0, room), undefined)
      const [a, b] = bothIds(ids, text, textPair, room)
      const [lengthA, lengthB] = longestFirst(a.length, b.length, room)
      return frame(a.slice(0, lengthA), b.slice(0, lengthB))
    },
    decode: (given) => {
      if (!parsed.decodes) throw inputError(file, 'a decoder of a known kind, for the text of tokens', 'another')
      const known = given.filter((id) => tokenizer.id_to_token(id) !== undefined) // tables may have more rows than there are tokens
      return known.length === 0 ? '' : tokenizer.decode(known, { skip_special_tokens: true, clean_up_tokenization_spaces: false })
    },
  }
}

/**
 * The lengths that remain of two texts when together they may have `room` tokens: the longer gives way until both are equal; of an odd
 * room the longer keeps the extra token (the second, if they are equally long).
 */
export const longestFirst = (lengthA: number, lengthB: number, room: number): readonly [number, number] => {
  if (lengthA + lengthB <= room) return [lengthA, lengthB]
  const half = Math.floor(room / 2)
  if (lengthA > lengthB) return lengthB <= half ? [room - lengthB, lengthB] : [room - half, half]
  return lengthA <= half ? [lengthA, room - lengthA] : [half, room - half]
}

/** Of two texts as many tokens as tell which is longer, where both have more than there is room for. */
const bothIds = (
  ids: TokenizePrefix,
  text: string,
  textPair: string,
  room: number,
): readonly [ReadonlyArray<number>, ReadonlyArray<number>] => {
  for (let most = room + 1; ; most *= 8) {
    const [a, b] = [ids(text, most).slice(0, most), ids(textPair, most).slice(0, most)]
    if (a.length < most || b.length < most) return [a, b]
  }
}

type Frame = ((a: ReadonlyArray<number>, b: ReadonlyArray<number> | undefined) => Encoding) & { readonly start: ReadonlyArray<number> }

/** Puts the special tokens round the texts, after checking on a short pair that the folder's own tokenizer would place them the same. */
const frameOf = (
  idsOf: (text: string, textPair?: string, special?: boolean) => ReadonlyArray<number>,
  { between: ends, secondType, form }: SpecialTokenTemplate,
  file: string,
): Frame => {
  const probe = idsOf('a')
  const framed = idsOf('a', undefined, true)
  const [start = NaN, end = NaN] = [framed[0], framed[framed.length - 1]]
  const between = new Array<number>(ends).fill(end)
  const frame = (a: ReadonlyArray<number>, b: ReadonlyArray<number> | undefined): Encoding => {
    const first = [start, ...a, ...(b === undefined ? [end] : between)]
    const second = b === undefined ? [] : [...b, end]
    // RoBERTa has one token type; the second </s> before B is of no consequence to it
    return { inputIds: [...first, ...second], tokenTypeIds: [...first.map(() => 0), ...second.map(() => secondType)] }
  }
  const agrees =
    frame(probe, undefined).inputIds.join() === framed.join() && frame(probe, probe).inputIds.join() === idsOf('a', 'a', true).join()
  if (!agrees) {
    throw inputError(file, `a post-processor that makes ${form}`, `ids ${idsOf('a', 'a', true).join(' ')} for the pair "a", "a"`)
  }
  return Object.assign(frame, { start: [start] })
}

/** The special tokens as the folder's own tokenizer places them, found by what it makes of a text and of a pair. All token types are 0. */
const ownFrame = (idsOf: (text: string, textPair?: string, special?: boolean) => ReadonlyArray<number>, file: string): Frame => {
  const [probe, single, pair] = [idsOf('a'), idsOf('a', undefined, true), idsOf('a', 'a', true)]
  const at = placeIn(single, probe)
  const [start, end] = [single.slice(0, at), single.slice(at + probe.length)]
  const second = placeIn(pair.slice(start.length + probe.length), probe)
  const between = pair.slice(start.length + probe.length, start.length + probe.length + second)
  const after = pair.slice(start.length + probe.length + second + probe.length)
  const frame = (a: ReadonlyArray<number>, b: ReadonlyArray<number> | undefined): Encoding => {
    const inputIds = [...start, ...a, ...(b === undefined ? end : [...between, ...b, ...after])]
    return { inputIds, tokenTypeIds: inputIds.map(() => 0) }
  }
  const agrees =
    at >= 0 &&
    second >= 0 &&
    frame(probe, undefined).inputIds.join() === single.join() &&
    frame(probe, probe).inputIds.join() === pair.join()
  if (!agrees)
    throw inputError(
      file,
      'a post-processor that puts tokens before, between and after texts',
      `ids ${pair.join(' ')} for the pair "a", "a"`,
    )
  return Object.assign(frame, { start })
}

/** Where `part` stands in `ids`; −1 where it does not. */
const placeIn = (ids: ReadonlyArray<number>, part: ReadonlyArray<number>): number =>
  ids.findIndex((_, at) => part.every((id, i) => ids[at + i] === id))

/** What of tokenizer_config.json changes ids; chat templates and the rest are not passed on. */
const tokenizerSettings = z.object({ remove_space: z.boolean().nullish(), do_lowercase_and_remove_accent: z.boolean().nullish() })

const parseSettings = (text: string, file: string): z.infer<typeof tokenizerSettings> =>
  validate(tokenizerSettings, parseJson(text, file), file, 'settings of a tokenizer')

const construct = (tokenizerJson: TokenizerFile, settings: object, file: string): Pieces => {
  const { model } = tokenizerJson
  // a unigram model is ours: the library's takes seconds and a quarter of a gigabyte to open, and memory by the length of a text
  const ownModel = model.type === 'Unigram' ? { model: { type: 'WordPiece', unk_token: '', vocab: {} } } : {}
  // it only moves places in the text; the library's, alone, loses the second of two texts
  const noProcessor = tokenizerJson.post_processor?.type === 'ByteLevel' ? { post_processor: null } : {}
  const given = { ...tokenizerJson, ...ownModel, ...noProcessor }
  try {
    const pieces = new Pieces(given, settings)
    // Words are remembered by wordCache.ts; the library's own memory costs more than it saves once a file has more words than it holds.
    if (pieces.model !== null && 'max_length_to_cache' in pieces.model) pieces.model.max_length_to_cache = 0
    if (model.type === 'Unigram') pieces.model = unigramModel(piecesOf(model, file), model.unk_id, wordMark(tokenizerJson))
    // the library's own normalizes by Unicode, whatever the file's table says
    const normalizer: NormalizerPart | null = pieces.normalizer
    for (const part of normalizer?.normalizers ?? [normalizer])
      if (part?.charsmap !== undefined) part.normalize = precompiledNormalizer(part.charsmap, file)
    return pieces
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(file, 'a tokenizer that @huggingface/tokenizers understands', reason(thrown))
  }
}

/** A part of the library's normalizer: a sequence, or one with a table of characters. */
type NormalizerPart = {
  normalize: (text: string) => string
  readonly charsmap?: string
  readonly normalizers?: ReadonlyArray<NormalizerPart>
}

/** As the library calls a model. */
const unigramModel = (pieces: ScoredPieces, unknown: number, mark: string | null) =>
  Object.assign(unigram(pieces, unknown, mark), {
    tokens_to_ids: new Map(pieces.map(([piece], id) => [piece, id])),
    unk_token_id: unknown,
  })
