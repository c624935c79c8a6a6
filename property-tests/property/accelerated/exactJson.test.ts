/** Whole numbers beyond 2^53 keep their digits from JSON to labels, cells and JSON again. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exactJson, parseExact, parseStored, Float } from '../../../accelerated/storage/json.js'
import { readDelimited } from '../../../finetuning/data/index.js'
import { jsonLineRows, jsonRows, objectIn } from '../../../finetuning/data/jsonRows.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('exact-json')

/** A value, and JSON of it that is written here. */
type Written = { readonly value: unknown; readonly json: string }

const integer = fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map((value): Written => {
  const isSafe = value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n
  return { value: isSafe ? Number(value) : value, json: String(value) }
})
const near = fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }).map((value): Written => {
  return { value: value < 2n ** 53n ? Number(value) : value, json: String(value) }
})
const text = fc
  .string({ unit: fc.constantFrom('"', '\\', '{', '[', ',', ':', '-', 'e', '.', 'é', '1234567890123456789', '\\"') })
  .map((value): Written => ({ value, json: JSON.stringify(value) }))
const other = fc
  .constantFrom(true, false, null, 0.1, -0.12345678901234568, 1.5e300)
  .map((value): Written => ({ value, json: JSON.stringify(value) }))
const listOf = (parts: readonly Written[]): Written => ({
  value: parts.map(({ value }) => value),
  json: `[${parts.map(({ json }) => json).join(' , ')}]`,
})
const objectOf = (parts: readonly (readonly [Written, Written])[]): Written => ({
  value: Object.fromEntries(parts.map(([name, { value }]) => [String(name.value), value])),
  json: `{${parts.map(([name, { json }]) => `${name.json}: ${json}`).join(',')}}`,
})
const tree = fc.letrec<{ readonly node: Written; readonly object: Written }>((tie) => ({
  node: fc.oneof({ depthSize: 'small' }, integer, near, text, other, fc.array(tie('node'), { maxLength: 3 }).map(listOf), tie('object')),
  object: fc.uniqueArray(fc.tuple(text, tie('node')), { maxLength: 4, selector: ([{ json }]) => json }).map(objectOf),
}))

describe('JSON with large whole numbers', () => {
  it(`has bigints for those that a number cannot hold, and is written with the same digits (seed ${SEED})`, () =>
    fc.assert(
      fc.property(tree.object, ({ value, json }) => {
        const row = objectIn(json, 'row')
        expect(row).toEqual(value)
        expect(objectIn(exactJson(row), 'row')).toEqual(value)
      }),
      { seed: SEED, numRuns: 2_000 },
    ))

  it('has numbers for those with a fraction or an exponent, and for those beyond all numbers', () => {
    const row = `{"a": 1234567890123456789.0, "b": 12345678901234567890e3, "c": ${'9'.repeat(400)}, "d": -12345678901234567890}`
    expect(objectIn(row, 'row')).toEqual({ a: 1234567890123456800, b: 1.2345678901234568e22, c: Infinity, d: -12345678901234567890n })
  })

  it('is written as JSON.stringify writes what is no bigint', () => {
    const day = new Date(0)
    expect(exactJson({ day, none: undefined, bytes: new Uint8Array([7]), list: [null, 1.5], 'a"b': 12345678901234567890n })).toBe(
      '{"day":"1970-01-01T00:00:00.000Z","bytes":{"0":7},"list":[null,1.5],"a\\"b":12345678901234567890}',
    )
  })

  it('keeps two labels apart, and the digits of a cell, in JSON lines and in a list', async () => {
    const rows = ['9007199254740993', '9007199254740992', '9007199254740993', '7'].map((id, i) => `{"text": "t${i}", "label": ${id}}`)
    for (const [name, content] of [
      ['rows.jsonl', rows.join('\n')],
      ['rows.json', `[${rows.join(',')}]`],
    ] as const) {
      const file = join(folder, name)
      await writeFile(file, content)
      const { labelNames, examples } = await readDelimited(file)
      expect(labelNames, name).toEqual(['7', '9007199254740992', '9007199254740993'])
      expect(examples.map(({ label }) => label)).toEqual([2, 1, 2, 0])
      const cells: unknown[] = []
      await (name.endsWith('l') ? jsonLineRows : jsonRows)(file, [{ name: 'label' }], {}, (_, row) => cells.push(...row))
      expect(cells).toEqual(['9007199254740993', '9007199254740992', '9007199254740993', '7'])
    }
  })

  it('has whole floats apart from integers where numbers are kept as they are written, and writes them as Python does', () => {
    const written = '{"a":1.0,"b":[25.00,-0.0,1e3,1E16,1.5e1,0.5,7,12345678901234567890],"c":" 1.0, [2.0]"}'
    const value = parseExact(written, 'row', 'written')
    const float = (number: number): Float => new Float(number)
    expect(value).toEqual({
      a: float(1),
      b: [float(25), float(-0), float(1000), float(1e16), float(15), 0.5, 7, 12345678901234567890n],
      c: ' 1.0, [2.0]',
    })
    expect(exactJson(value)).toBe('{"a":1.0,"b":[25.0,-0.0,1000.0,1e+16,15.0,0.5,7,12345678901234567890],"c":" 1.0, [2.0]"}')
    expect(parseStored(exactJson(value))).toEqual(value)
    for (const [json, number] of [
      ['1.0', 1],
      [' [ 2.0 ] ', [float(2)]],
      ['-3e0', -3],
    ] as const) // prettier-ignore
      expect(parseExact(json, 'row', 'written')).toEqual(typeof number === 'number' ? float(number) : number)
    expect(parseExact(written, 'row')).toMatchObject({ a: 1, b: [25, -0, 1000, 1e16, 15, 0.5, 7, 12345678901234567890n] })
  })

  it(`finds every whole float, whatever is around it (seed ${SEED})`, () => {
    const float = fc.tuple(fc.integer(), fc.constantFrom('.0', '.00', 'e0', 'E+1', '.0e-0')).map(([whole, end]): Written => {
      return { value: new Float(Number(`${whole}${end}`)), json: `${whole}${end}` }
    })
    const fraction = other.filter(({ value }) => value !== 1.5e300)
    const blank = fc.constantFrom('', ' ', '\n', '\t ')
    const row = fc.tuple(fc.array(fc.oneof(float, text, fraction), { minLength: 1, maxLength: 4 }), blank, blank)
    fc.assert(
      fc.property(row, ([parts, before, after]) => {
        const json = `{"list":${before}[${parts.map((part) => before + part.json + after).join(',')}]${after}}`
        expect(parseExact(json, 'row', 'written')).toEqual({ list: parts.map(({ value }) => value) })
      }),
      { seed: SEED, numRuns: 1_000 },
    )
  })

  it('takes linear time for 3 million digits, quotes or brackets', () => {
    for (const json of [
      `{"a": ${'9'.repeat(3e6)}, "b": 12345678901234567890}`,
      `{"a": "${'\\"'.repeat(15e5)}", "b": 12345678901234567890}`,
      `{"a": [${'12345678901234567890,'.repeat(15e4)}0], "b": 12345678901234567890}`,
    ]) {
      const began = performance.now()
      expect(objectIn(json, 'row')['b']).toBe(12345678901234567890n)
      expect(parseExact(json, 'row', 'written')).toHaveProperty('b', 12345678901234567890n)
      expect(performance.now() - began).toBeLessThan(5_000)
    }
  })
})
