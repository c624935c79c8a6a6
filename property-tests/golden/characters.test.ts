/** Texts are cut and normalized as Hugging Face's tokenizers do it, at each of the 144,000 characters of Unicode 14. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { libraryTokenizer } from '../../accelerated/checkpoints/tokenizer/libraryTokenizer.js'
import { parseTokenizerFile } from '../../accelerated/checkpoints/tokenizer/tokenizerFile.js'
import { fixtures } from './golden.js'

type Ranges = readonly (readonly [from: number, to: number])[]
/** A text with some character, written as ·, after a cut or a normalizer; and the characters with this result. */
type Shapes = Readonly<Record<string, Ranges>>

const golden = JSON.parse(readFileSync(join(fixtures, 'characters.json'), 'utf8')) as {
  readonly characters: Ranges
  readonly cuts: Readonly<Record<string, Shapes>>
  readonly normalized: Readonly<Record<string, Shapes>>
  readonly lowercase: Readonly<Record<string, readonly [lowercase: string, bert: string]>>
}
const codesOf = (ranges: Ranges): readonly number[] =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
const characters = new Set(codesOf(golden.characters))

type Parts = {
  readonly pre_tokenizer: { readonly pre_tokenize: (text: string) => readonly string[] }
  readonly normalizer: { readonly normalize: (text: string) => string }
}
/** The parts of a tokenizer.json that has these. */
const partsOf = (parts: object): Parts => {
  const model = { type: 'WordPiece', unk_token: '?', vocab: { '?': 0 } }
  const file = parseTokenizerFile(JSON.stringify({ model, ...parts }), 'tokenizer.json', 1, 'config.json')
  return libraryTokenizer(file, {}, 'tokenizer.json') as unknown as Parts
}

/** Characters with another result than theirs, with both: the first few. */
const differing = (shapes: Shapes, shapeOf: (character: string) => string): readonly string[] =>
  Object.entries(shapes)
    .flatMap(([shape, ranges]) =>
      codesOf(ranges).flatMap((code) => {
        const actual = characters.has(code) ? shapeOf(String.fromCodePoint(code)) : shape
        return actual === shape ? [] : [`U+${code.toString(16)}: ${actual}, not ${shape}`]
      }),
    )
    .slice(0, 10)

const cuts: Readonly<Record<string, object>> = {
  BertPreTokenizer: { type: 'BertPreTokenizer' },
  ByteLevel: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  Digits: { type: 'Digits', individual_digits: false },
  'individual Digits': { type: 'Digits', individual_digits: true },
  Whitespace: { type: 'Whitespace' },
  WhitespaceSplit: { type: 'WhitespaceSplit' },
}
const normalizers: Readonly<Record<string, object>> = {
  Strip: { type: 'Strip', strip_left: true, strip_right: true },
  BertNormalizer: { type: 'BertNormalizer', clean_text: false, handle_chinese_chars: true, strip_accents: null, lowercase: false },
}

/** The texts of byte-level words, whose characters stand for bytes: GPT-2's printable ones for themselves, the others from U+0100 on. */
const printable = codesOf([
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0xff],
])
const hidden = codesOf([[0, 255]]).filter((byte) => !printable.includes(byte))
const byteOf = new Map([...printable.map((byte) => [byte, byte] as const), ...hidden.map((byte, i) => [256 + i, byte] as const)])
const textOf = (word: string): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(word, (letter) => byteOf.get(letter.charCodeAt(0)) ?? 0))

describe("as Hugging Face's tokenizers", () => {
  it('knows many characters, and all shapes of the fixture', () => {
    expect(characters.size).toBeGreaterThan(144_000)
    expect(Object.keys(golden.cuts).sort()).toEqual(Object.keys(cuts).sort())
    expect(Object.keys(golden.normalized).sort()).toEqual(Object.keys(normalizers).sort())
  })

  it.each(Object.entries(golden.cuts))('%s cuts a text', (name, shapes) => {
    const { pre_tokenizer: cut } = partsOf({ pre_tokenizer: cuts[name] })
    const words = (text: string): readonly string[] => cut.pre_tokenize(text).map(name === 'ByteLevel' ? textOf : (word) => word)
    expect(differing(shapes, (letter) => words(`a${letter}b ${letter}1`).join('|').replaceAll(letter, '·'))).toEqual([])
  })

  it.each(Object.entries(golden.normalized))('%s normalizes a text', (name, shapes) => {
    const { normalizer } = partsOf({ normalizer: normalizers[name] })
    expect(differing(shapes, (letter) => normalizer.normalize(`${letter}a${letter}b ${letter}`).replaceAll(letter, '·'))).toEqual([])
  })

  it('lowercases each letter alone: Σ becomes σ, also at the end of a word', () => {
    const bert = { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }
    const [one, other] = [{ type: 'Lowercase' }, bert].map((normalizer) => partsOf({ normalizer }).normalizer)
    const words = Object.keys(golden.lowercase)
    expect(words.map((word) => [one?.normalize(word), other?.normalize(word)])).toEqual(Object.values(golden.lowercase))
  })
})
