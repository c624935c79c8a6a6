/** Text to ids: special tokens and token types of both families, truncation, and ids of a real tokenizer. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { encoderModel } from '../../../accelerated/models/bert/bert.js'
import type { EncoderConfig } from '../../../accelerated/models/bert/config.js'
import { longestFirst, loadTokenizer, type Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import * as validFiles from '../../hostile/validFiles.js'
import { SettingsError } from '../../../accelerated/errors/expectedErrors.js'
import { SEED } from '../../support/seed.js'
import { wordPieceJson } from '../../support/wordPieceJson.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const bert: EncoderConfig = {
  ...{ family: 'bert', vocabularySize: 30, hiddenSize: 4, embeddingSize: 4, layers: 1, heads: 2, intermediateSize: 6, maxPositions: 20 },
  ...{ tokenTypes: 2, layerNormEpsilon: 1e-12, activation: 'gelu', paddingIndex: 0, hiddenDropout: 0, attentionDropout: 0 },
  headDropout: 0,
}
const roberta: EncoderConfig = { ...bert, family: 'roberta', tokenTypes: 1, paddingIndex: 1, maxPositions: 22 }

const wordPiece = wordPieceJson(['a', 'b', '##c', '!'])

const bytePair = { ...validFiles.bytePair, model: { ...validFiles.bytePair.model, unk_token: null } }

const { folder } = temporaryFolder('tokenizer')

const load = async (json: object, config: EncoderConfig): Promise<Tokenizer> => {
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json))
  return loadTokenizer(folder, encoderModel(config))
}

describe(`tokenizers (seed ${SEED})`, () => {
  it('make [CLS] A [SEP] B [SEP] for BERT, with token type 1 from the first token of B', async () => {
    const { encode } = await load(wordPiece, bert)
    expect(encode('A ac!', undefined, 20)).toEqual({ inputIds: [2, 4, 4, 6, 7, 3], tokenTypeIds: [0, 0, 0, 0, 0, 0] })
    expect(encode('a', 'b z', 20)).toEqual({ inputIds: [2, 4, 3, 5, 1, 3], tokenTypeIds: [0, 0, 0, 1, 1, 1] })
    expect(encode('', 'b', 20)).toEqual({ inputIds: [2, 3, 5, 3], tokenTypeIds: [0, 0, 1, 1] })
    expect(encode('a', '', 20)).toEqual({ inputIds: [2, 4, 3], tokenTypeIds: [0, 0, 0] })
  })

  it('make <s> A </s></s> B </s> for RoBERTa, with one token type and no space before either text', async () => {
    const { encode } = await load(bytePair, roberta)
    expect(encode('ab a', undefined, 20)).toEqual({ inputIds: [0, 9, 7, 2], tokenTypeIds: [0, 0, 0, 0] })
    expect(encode('ab a', 'b b', 20)).toEqual({ inputIds: [0, 9, 7, 2, 2, 5, 8, 2], tokenTypeIds: [0, 0, 0, 0, 0, 0, 0, 0] })
    expect(encode('', undefined, 20).inputIds).toEqual([0, 2])
  })

  it('keep the special tokens and the beginning of a truncated text', async () => {
    const { encode } = await load(bytePair, roberta)
    expect(encode('a a a a a', undefined, 4).inputIds).toEqual([0, 4, 7, 2])
    expect(encode('a a a a a', 'b b', 9).inputIds).toEqual([0, 4, 7, 7, 2, 2, 5, 8, 2])
  })

  it("truncate the longer text token by token, and the first of two equal ones (as Hugging Face's fast tokenizers)", () => {
    fc.assert(
      fc.property(fc.nat(40), fc.nat(40), fc.nat(60), (a, b, room) => {
        const [keptA, keptB] = longestFirst(a, b, room)
        let [slowA, slowB] = [a, b]
        while (slowA + slowB > room) {
          // which of two equals gives way shows only in who was longer at the start
          if (slowA > slowB || (slowA === slowB && a <= b)) slowA--
          else slowB--
        }
        expect([keptA, keptB]).toEqual([slowA, slowB])
      }),
      { seed: SEED, numRuns: 2000 },
    )
  })

  it("truncate pairs to the lengths of Python's tokenizers 0.23", () => {
    // [A, B, room, A left, B left]
    const measured = [
      [20, 5, 8, 4, 4],
      [20, 20, 7, 3, 4],
      [20, 20, 6, 3, 3],
      [10, 20, 9, 4, 5],
      [5, 1, 3, 2, 1],
      [5, 2, 1, 1, 0],
      [5, 2, 3, 2, 1],
    ] as const
    for (const [a, b, room, leftA, leftB] of measured) expect([a, b, room, ...longestFirst(a, b, room)]).toEqual([a, b, room, leftA, leftB])
  })

  it("refuse a length without room for a token, or above the encoder's positions", async () => {
    const { encode } = await load(bytePair, roberta)
    const refusal = (maxLength: number, textPair?: string): unknown => {
      try {
        return encode('a', textPair, maxLength)
      } catch (thrown) {
        return thrown instanceof SettingsError ? thrown.message : thrown
      }
    }
    expect(refusal(2)).toBe('maxLength: expected 3 to 20 tokens for a text, including 2 special tokens, got 2')
    expect(refusal(4, 'b')).toBe('maxLength: expected 5 to 20 tokens for two texts, including 4 special tokens, got 4')
    expect(refusal(21, 'b')).toBe('maxLength: expected 5 to 20 tokens for two texts, including 4 special tokens, got 21')
  })

  it('refuse two texts for a BERT with one token type, in one line that names its configuration', async () => {
    const { encode } = await load(wordPiece, { ...bert, tokenTypes: 1 })
    expect(encode('a', undefined, 20).inputIds).toEqual([2, 4, 3])
    expect(() => encode('a', 'b', 20)).toThrow(
      `${folder}/config.json: expected type_vocab_size of at least 2, since there are pairs of texts, got 1`,
    )
  })

  it('name the error of a tokenizer file in one line', async () => {
    const message = (json: object, config: EncoderConfig): Promise<string> =>
      load(json, config).then(
        () => 'no error',
        (thrown: Error) => thrown.message.replaceAll(folder, 'M'),
      )
    expect(await message(wordPiece, { ...bert, vocabularySize: 7 })).toBe(
      'M/tokenizer.json: expected ids below vocab_size 7 of M/config.json, got 7',
    )
    expect(await message(wordPiece, roberta)).toBe(
      'M/tokenizer.json: expected a post-processor that makes <s> A </s></s> B </s>, got ids 2 4 3 4 3 for the pair "a", "a"',
    )
    expect(await message(bytePair, bert)).toBe(
      'M/tokenizer.json: expected a post-processor that makes [CLS] A [SEP] B [SEP], got ids 0 4 2 2 4 2 for the pair "a", "a"',
    )
    expect(await message({ ...wordPiece, post_processor: null }, bert)).toMatch(
      /^M\/tokenizer\.json: expected a post-processor that makes .*, got ids 4 4 for the pair "a", "a"$/,
    )
    expect(await message({}, bert)).toMatch(/^M\/tokenizer\.json: expected a supported tokenizer whose model is an object, got nothing$/)
    await rm(join(folder, 'tokenizer.json'))
    await expect(loadTokenizer(folder, encoderModel(bert))).rejects.toThrow(`${folder}: expected tokenizer.json in the folder, got none`)
  })

  const real = process.env['SALORA_TEST_MODEL']
  it.skipIf(real === undefined)(
    "make the ids of Python's transformers with a real MiniLM tokenizer (needs SALORA_TEST_MODEL)",
    async () => {
      const { encode } = await loadTokenizer(real!, (await openModelFolder(real!)).model)
      const fox = 'The quick brown fox jumps over the lazy dog.'
      const foxIds = [1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012]
      expect(encode(fox, undefined, 128).inputIds).toEqual([101, ...foxIds, 102])
      expect(encode('Unaffable naïveté — 東京!', fox, 128)).toEqual({
        inputIds: [101, 14477, 20961, 3468, 15743, 2618, 1517, 1879, 1755, 999, 102, ...foxIds, 102],
        tokenTypeIds: [...Array(11).fill(0), ...Array(11).fill(1)],
      })
      expect(encode(fox, 'word '.repeat(20), 12).inputIds).toEqual([101, 1996, 4248, 2829, 4419, 102, 2773, 2773, 2773, 2773, 2773, 102])
      expect(encode('word '.repeat(20), 'word '.repeat(20), 10).inputIds).toEqual([101, 2773, 2773, 2773, 102, 2773, 2773, 2773, 2773, 102])
    },
  )
})
