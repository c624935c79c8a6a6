/** JSON that is nested too deep, too large, has a key twice or an impossible number is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { parseJson } from '../../../accelerated/storage/json.js'
import { readText } from '../../../accelerated/storage/text.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { parseShardIndex } from '../../../accelerated/checkpoints/safetensors/weightFiles.js'
import { jsonLineRows, jsonRows } from '../../../finetuning/data/jsonRows.js'
import { parseRunConfig } from '../../../finetuning/run/runFiles.js'
import { SEED } from '../../support/seed.js'
import { applyEdits, edits } from '../cases.js'
import { roberta, runConfig } from '../validFiles.js'
import { at, place, put, refusal, sized, usePlace } from './folder.js'

usePlace()

describe('JSON', () => {
  it('JSON with more than 64 levels is refused, and so is JSON with a million levels', async () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
    expect(parseJson(nested(64), 'x')).toHaveLength(1)
    for (const levels of [65, 1_000_000])
      expect(await refusal(() => parseJson(nested(levels), 'x'))).toBe('x: expected at most 64 levels of JSON, got more')
    for (const [name, read] of [
      ['config.json', parseConfigFile],
      ['index', parseShardIndex],
      ['run', parseRunConfig],
    ] as const) {
      expect(await refusal(() => read(`{"a":${nested(100_000)}}`, name))).toBe(`${name}: expected at most 64 levels of JSON, got more`)
    }
  })
  it.each(['jsonl', 'json'])('a row of a .%s with more than 64 levels is refused by its number', async (kind) => {
    const row = (levels: number): string => `{"text": "a", "label": 1, "more": ${'['.repeat(levels)}${']'.repeat(levels)}}`
    const rowsOf = async (levels: number): Promise<number> => {
      const rows = [row(1), row(levels)]
      await put(`rows.${kind}`, kind === 'json' ? `[${rows.join(',')}]` : rows.join('\n'))
      let count = 0
      await (kind === 'json' ? jsonRows : jsonLineRows)(at(`rows.${kind}`), [{ name: 'more', json: true }], {}, () => count++)
      return count
    }
    expect(await rowsOf(63)).toBe(2)
    for (const levels of [64, 1_000_000])
      expect(await refusal(() => rowsOf(levels))).toBe(`F/rows.${kind}, row 2: expected at most 64 levels of JSON, got more`)
  })
  it('may have any number of brackets, quotes and backslashes within strings', async () => {
    for (const text of ['[{'.repeat(100), '\\"['.repeat(200), '[]]]]]]]]'.repeat(100), '\\', '\\\\', '"', '}}', '","'])
      expect(parseJson(JSON.stringify({ [text]: text, b: [text, text] }), 'x')).toEqual({ [text]: text, b: [text, text] })
    const closing = JSON.stringify(']'.repeat(100)) // closes nothing
    expect(await refusal(() => parseJson(`${'[{"a":'.repeat(32)}[${closing}]${'}]'.repeat(32)}`, 'x'))).toBe(
      'x: expected at most 64 levels of JSON, got more',
    )
  })
  it('JSON larger than its bound is refused by the size of its file', async () => {
    await sized('tokenizer.json', Buffer.from('{'), 70_000_000_000)
    expect(await refusal(() => readText(at('tokenizer.json')))).toBe('F/tokenizer.json: expected at most 64000000 bytes, got 70000000000')
    await sized('config.json', Buffer.from('{'), 16_000_001)
    expect(await refusal(() => openModelFolder(place.folder))).toBe('F/config.json: expected at most 16000000 bytes, got 16000001')
  })
  it('JSON that is not UTF-8 is refused', async () => {
    await put('x', Buffer.from([0x22, 0xff, 0x22]))
    expect(await refusal(() => readText(at('x')))).toBe('F/x: expected text in UTF-8, got bytes that are not')
  })
  it('JSON with a key twice is refused, however the key is escaped and nested', async () => {
    const texts = ['{"ab":1,"ab":2}', '{"ab":1,"a\\u0062":2}', '[{"c":{"ab":"}","x":["ab","ab"],"ab":{}}}]', '{"\\\\":1,"ab":1,"ab":2}']
    for (const text of texts) expect(await refusal(() => parseJson(text, 'x'))).toBe('x: expected each key once, got "ab" twice')
    expect(parseJson('[{"ab":"ab"},{"ab":{"ab":1}}]', 'x')).toHaveLength(2)
  })
  it('JSON has keys that differ by a byte order mark at their start, as in the vocabulary of Gemma', async () => {
    const texts = [
      '{"\ufeff//":1,"//":2,"\ufeff":3,"":4,"\ufeff\ufeff//":5}',
      '{"\\uFEFF//":1,"//":2,"\\\\ufeff":3,"ufeff":4}',
      '{"é":0,"\\n":1,"\\ufeff":2,"":3}',
    ]
    for (const text of texts) expect(parseJson(text, 'x')).toEqual(JSON.parse(text))
    for (const text of ['{"\ufeffa":1,"\ufeffa":2}', '{"é\\t":0,"\\ufeffa":1,"\ufeffa":2}'])
      expect(await refusal(() => parseJson(text, 'x'))).toBe('x: expected each key once, got "\ufeffa" twice')
  })
  it(`is parsed like JSON.parse or refused, after any change (seed ${SEED})`, () => {
    const value = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' })
    fc.assert(
      fc.property(value, fc.option(edits), fc.nat(3), (json, changes, indent) => {
        const written = Buffer.from(JSON.stringify(json, null, indent))
        const text = (changes === null ? written : applyEdits(written, changes)).toString()
        const attempt = (parse: () => unknown): unknown => {
          try {
            return { read: parse() }
          } catch (thrown) {
            return thrown instanceof InputError && /got ".*" twice$/.test(thrown.message) ? 'twice' : 'refused'
          }
        }
        const ours = attempt(() => parseJson(text, 'x'))
        if (changes === null || ours !== 'twice') expect(ours).toEqual(attempt(() => JSON.parse(text)))
      }),
      { seed: SEED, numRuns: 2_000 },
    )
  })
  it('JSON with the names of prototypes changes no prototype', async () => {
    const text = (json: object): string =>
      JSON.stringify(json).replace('{', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},')
    expect(parseConfigFile(text(roberta), 'x').model.vocabularySize).toBe(11)
    expect(parseRunConfig(text(runConfig), 'x').model).toBe('./bert')
    expect(parseRunConfig(JSON.stringify(runConfig).replace('"task":"sentiment"', '"__proto__":"x"'), 'x').task).toEqual({})
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })
  it.each([
    ['vocab_size', 10_000_000],
    ['hidden_size', 65_536],
    ['num_hidden_layers', 1_024],
    ['num_attention_heads', 1_024],
    ['intermediate_size', 1_048_576],
    ['max_position_embeddings', 1_048_576],
    ['type_vocab_size', 1_024],
    ['num_labels', 1_000_000],
  ])('JSON with a %s other than a whole number from 1 to %d is refused', async (key, limit) => {
    const withZero = JSON.stringify({ ...roberta, [key]: 0 })
    const refusalOf = (value: string | number): Promise<string> =>
      refusal(() => parseConfigFile(withZero.replace(`"${key}":0`, `"${key}":${value}`), 'config.json'))
    for (const value of [0, -1, 1.5, '1e308', '1e999', '9007199254740993', limit + 1])
      expect(await refusalOf(value)).toMatch(new RegExp(`^config\\.json: expected an? [a-z]+ whose ${key} is a whole number`))
    expect(await refusalOf(limit)).not.toContain('whose')
  })
  it.each<readonly [string, object]>([
    ['id2label.0', { id2label: { 0: 'x'.repeat(1_001), 1: 'y' } }],
    ['_name_or_path', { _name_or_path: 'x'.repeat(10_001) }],
  ])('JSON with a long %s is refused', async (key, change) => {
    expect(await refusal(() => parseConfigFile(JSON.stringify({ ...roberta, ...change }), 'config.json'))).toContain(
      `expected a configuration whose ${key} is a text of at most 1`,
    )
  })
})
