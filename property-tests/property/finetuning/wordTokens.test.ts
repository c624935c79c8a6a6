/** Words and their tokens: the tokens are those of the whole text, and a word is read from its first token. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { loadTokenizer, type Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { characterOffsets, joinedTokens, wordsIn } from '../../../finetuning/tasks/tokenClassification/sentences.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { encodeWords } from '../../../finetuning/tasks/tokenClassification/tokens.js'
import { fixtures } from '../../golden/golden.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'
import { wordPieceJson } from '../../support/wordPieceJson.js'

const { folder } = temporaryFolder('words')
const sizes = { hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8, max_position_embeddings: 514 }
const modelOf = (model_type: string) =>
  parseConfigFile(JSON.stringify({ ...sizes, vocab_size: 2_000, model_type, type_vocab_size: model_type === 'bert' ? 2 : 1 }), 'c').model
const load = (name: string, tokenizer: object, type = 'xlm-roberta'): Promise<Tokenizer> => {
  mkdirSync(join(folder, name))
  writeFileSync(join(folder, name, 'tokenizer.json'), JSON.stringify(tokenizer))
  return loadTokenizer(join(folder, name), modelOf(type))
}

const { texts, kinds } = JSON.parse(readFileSync(join(fixtures, 'unigram.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>>
}
/** A unigram tokenizer's own mark of a word's beginning: a text that has it is divided otherwise as a whole. */
const wordMark = '▁'
const pieces = ['lon', '##don', '##er', 'ann', 'a', '##b', '.', ',', 'in', 'saw', 'u', 's', "'"]

const tokenizers: Record<string, Tokenizer> = {}
beforeAll(async () => {
  tokenizers['bert'] = await load('bert', wordPieceJson(pieces), 'bert')
  tokenizers['bytes'] = await loadTokenizer(
    embeddedModel,
    parseConfigFile(readFileSync(join(embeddedModel, 'config.json'), 'utf8'), 'c').model,
  )
  tokenizers['unigram'] = await load('unigram', kinds['bge']?.tokenizer ?? {})
})

describe.each(['bert', 'bytes', 'unigram'])('words under a tokenizer of kind %s', (kind) => {
  const own = (text: string, maxLength = 250) => tokenizers[kind]!.encode(text, undefined, maxLength)
  const byWords = (text: string, maxLength = 250) => encodeWords(tokenizers[kind]!, text, wordsIn(text), null, maxLength)

  it('have the tokens of the whole text', () => {
    for (const text of [
      "Ann saw U.S. in London, didn't she?",
      ' a  b\tc\n',
      '…—“x”',
      '漢字かな',
      '😀 ok',
      '',
      ...(kind === 'bert' ? [] : texts.filter((text) => !text.includes(wordMark))),
    ])
      expect(byWords(text).inputIds, JSON.stringify(text)).toEqual(own(text).inputIds)
  })

  it(`have the tokens of the whole text, truncated as it is (seed ${SEED})`, () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('London', 'Ann', '.', ' ', 'a', 'ab', ',', 'U.S', '7', 'é'), { maxLength: 14 }),
        fc.integer({ min: 3, max: 12 }),
        (parts, maxLength) => {
          const text = parts.join('')
          const [ours, whole] = [byWords(text, maxLength), own(text, maxLength)]
          expect(ours.inputIds).toEqual(whole.inputIds)
          expect(ours.truncated).toBe(whole.truncated)
          expect(ours.tokenTypeIds).toEqual(whole.tokenTypeIds)
          const places = Array.from(ours.places)
          expect(places).toEqual([...places].sort((a, b) => a - b))
          expect(places.every((place) => place >= 0 && place < ours.inputIds.length - 1)).toBe(true)
        },
      ),
      { seed: SEED, numRuns: 100 },
    ))
})

describe('the first token of a word', () => {
  const labeled = (tokens: readonly string[], classes: readonly number[], maxLength = 50) => {
    const { text, words } = joinedTokens(tokens)
    const { inputIds, targets, places } = encodeWords(tokenizers['bert']!, text, words, classes, maxLength)
    return { tokens: inputIds.length, targets: Array.from(targets), places }
  }

  it("has the word's class, and no other token has one, as in transformers", () => {
    // [CLS] ann saw lon ##don . [SEP]
    expect(labeled(['Ann', 'saw', 'London', '.'], [1, 0, 3, 0])).toEqual({
      tokens: 7,
      targets: [-100, 1, 0, 3, -100, 0, -100],
      places: [1, 2, 3, 5],
    })
  })

  it('is found within words that touch', () => {
    const { places, targets } = encodeWords(tokenizers['bert']!, 'London.', wordsIn('London.'), [1, 2], 50)
    expect(places).toEqual([1, 3])
    expect(Array.from(targets)).toEqual([-100, 1, -100, 2, -100])
  })

  it('is that of the word before for a word without tokens, which has no class then', () => {
    expect(labeled(['\u0000', 'London', '\u0000', '', '.'], [1, 2, 3, 4, 5])).toEqual({
      tokens: 5,
      targets: [-100, 2, -100, 5, -100],
      places: [0, 1, 1, 1, 3],
    })
  })

  it('is shared with the word before where one token holds several words, and only the first of them has a class', async () => {
    const whole = { ...wordPieceJson(['u.s.', 'u', 'in']), pre_tokenizer: { type: 'WhitespaceSplit' } }
    const tokenizer = await load('whole', whole, 'bert')
    const { places, targets } = encodeWords(tokenizer, 'in U.S. in', wordsIn('in U.S. in'), [1, 2, 3, 4, 5, 6], 50)
    expect(places).toEqual([1, 2, 2, 2, 2, 3])
    expect(Array.from(targets)).toEqual([-100, 1, 2, 6, -100])
  })

  it('is missing for words that are cut off', () => {
    expect(labeled(['Ann', 'London', 'Ann'], [1, 2, 3], 5)).toEqual({ tokens: 5, targets: [-100, 1, 2, -100, -100], places: [1, 2] })
  })

  it('takes linear time for a text without blanks', () => {
    const began = performance.now()
    for (const text of ['.'.repeat(200_000), '\u0000'.repeat(100_000), `${'a.'.repeat(50_000)}`])
      encodeWords(tokenizers['bert']!, text, wordsIn(text), null, 128)
    expect(performance.now() - began).toBeLessThan(20_000)
  })
})

describe('wordsIn', () => {
  const words = (text: string) => {
    const ends = wordsIn(text)
    return Array.from({ length: ends.length / 2 }, (_, i) => text.slice(ends[2 * i], ends[2 * i + 1]))
  }

  it('divides a text into runs of letters and digits, other characters, and characters of scripts without blanks', () => {
    expect(words("I'm in São-Paulo 2x, 東京 😀!")).toEqual(['I', "'", 'm', 'in', 'São', '-', 'Paulo', '2x', ',', '東', '京', '😀', '!'])
    expect(words(' \t\n')).toEqual([])
  })

  it('divides the text of joined tokens where they were joined, if they have no blanks', () => {
    const { text, words: joined } = joinedTokens(['Ann', 'Lee', '.'])
    expect(text).toBe('Ann Lee .')
    expect(joined).toEqual(wordsIn(text))
  })
})

describe('characterOffsets', () => {
  it('counts characters as Python does, and code units as JavaScript does', () => {
    const text = 'a😀b'
    const { toUnit, toCharacter } = characterOffsets(text)
    expect([0, 1, 2, 3].map(toUnit)).toEqual([0, 1, 3, 4])
    expect(toUnit(4)).toBeNaN()
    expect([0, 1, 3, 4].map(toCharacter)).toEqual([0, 1, 2, 3])
    expect([characterOffsets('ab').toUnit(2), characterOffsets('ab').toUnit(3)]).toEqual([2, NaN])
  })
})
