/** InputErrors: one line for any text, and the expectation of a schema in words. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { SettingsError } from '../../../accelerated/errors/expectedErrors.js'
import { inputError, quoted, formatValue } from '../../../accelerated/errors/inputError.js'
import { nearest } from '../../../accelerated/errors/nearest.js'
import { fromSentError, toSentError } from '../../../accelerated/errors/sentError.js'
import { validate } from '../../../accelerated/errors/validate.js'
import { SEED } from '../../support/seed.js'

describe(`an InputError (seed ${SEED})`, () => {
  it('is one line of where, expected and got, for any texts', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\u001b[2J', 'a\nb\r\u2028c', 'x'.repeat(5_000)))
    fc.assert(
      fc.property(text, text, text, (where, expected, got) => {
        const { message, ...parts } = inputError(where, expected, got)
        expect(message).toBe(`${parts.where}: expected ${parts.expected}, got ${parts.got}`)
        expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        expect(Math.max(parts.expected.length, parts.got.length)).toBeLessThan(1_002)
      }),
      { seed: SEED, numRuns: 300 },
    )
    expect(inputError('a\tb', 'c\u0085', 'd\u001b[31m').message).toBe('a\\u0009b: expected c\\u0085, got d\\u001b[31m')
  })

  it("is of kind 'usage' if it names a flag, and of kind 'world' if it names the flag's value", () => {
    expect(['--task', '--eval-data'].map((where) => inputError(where, 'a', 'b').kind)).toEqual(['usage', 'usage'])
    expect(['x.tsv', '--run runs/1', '--model "x"', '-'].map((where) => inputError(where, 'a', 'b').kind)).toEqual(Array(4).fill('world'))
  })

  it('quotes at most eighty characters, and cuts none in two', () => {
    expect(quoted('🙂'.repeat(80))).toBe(`"${'🙂'.repeat(80)}"`)
    expect(quoted('🙂'.repeat(81))).toBe(`"${'🙂'.repeat(80)}…"`)
    expect(quoted('x'.repeat(1_000_000), 3)).toBe('"xxx…"')
    expect([undefined, null, 'a', 1.5, Infinity, ['a'], {}].map(formatValue)).toEqual('nothing null "a" 1.5 Infinity ["a"] {}'.split(' '))
  })
})

describe('a value and its schema', () => {
  const r = z.int().min(1).max(9)
  const types = z.discriminatedUnion('type', [z.object({ type: z.literal('A') }), z.object({ type: z.literal('B') })])
  const sides = z.union([z.strictObject({ left: r }), z.strictObject({ right: r })])

  it.each<readonly [z.ZodType, unknown, string]>([
    [z.object({ r }), { r: 0 }, 'a thing whose r is a whole number of at least 1, got 0'],
    [z.object({ r }), { r: 10 }, 'a thing whose r is a whole number of at most 9, got 10'],
    [z.object({ r }), { r: 1.5 }, 'a thing whose r is a whole number, got 1.5'],
    [z.object({ r }), {}, 'a thing whose r is a whole number, got nothing'],
    [z.object({ r: z.int() }), { r: 2 ** 60 }, `a thing whose r is a whole number of at most ${2 ** 53 - 1}, got ${2 ** 60}`],
    [z.object({ x: z.number() }), { x: Infinity }, 'a thing whose x is a number, got Infinity'],
    [z.object({ x: z.number().gt(0) }), { x: 0 }, 'a thing whose x is a number above 0, got 0'],
    [z.object({ x: z.number().lt(1) }), { x: 1 }, 'a thing whose x is a number below 1, got 1'],
    [z.object({ x: z.enum(['a', 'b', 'c']) }), { x: 'd' }, 'a thing whose x is one of a, b, c, got "d"'],
    [z.object({ x: z.literal(false).nullish() }), { x: 'd' }, 'a thing whose x is false, got "d"'],
    [z.object({ x: z.boolean() }), { x: null }, 'a thing whose x is true or false, got null'],
    [z.object({ x: z.string().max(2) }), { x: 'abc' }, 'a thing whose x is a text of at most 2 characters, got "abc"'],
    [z.object({ x: z.array(z.string()).min(1) }), { x: [] }, 'a thing whose x is a list of at least 1 entry, got []'],
    [z.object({ x: z.tuple([r, r]) }), { x: 'a' }, 'a thing whose x is a list, got "a"'],
    [z.object({ x: z.array(z.object({ y: z.string() })) }), { x: [{ y: '' }, { y: 7 }] }, 'a thing whose x.1.y is a text, got 7'],
    [z.object({ x: types }), { x: { type: 'C' } }, 'a thing whose x.type is one of A, B, got "C"'],
    [z.object({ x: z.union([z.null(), r]) }), { x: 0.5 }, 'a thing whose x is null or a whole number, got 0.5'],
    [sides, { up: 1 }, 'a thing (an object whose left is a whole number or an object whose right is a whole number), got {"up":1}'],
    [z.record(z.string().max(2), r), { abc: 1 }, 'a thing whose abc is under a key that is a text of at most 2 characters, got 1'],
    [z.strictObject({}), { foo: 'bar' }, 'a thing (no key foo), got "bar"'],
    [z.object({ x: z.strictObject({}) }), { x: { foo: 1 } }, 'a thing whose x has no key foo, got 1'],
    [z.object({}), [], 'a thing (an object), got []'],
    [z.record(z.string(), r), { ['k'.repeat(5_000)]: 0 }, `a thing whose ${'k'.repeat(80)}… is a whole number of at least 1, got 0`],
    [z.object({ x: z.number().refine((x) => x > 1, 'more than one') }), { x: 1 }, 'a thing whose x is more than one, got 1'],
  ])('%#: is described in words', (schema, value, line) => {
    expect(() => validate(schema, value, 'x.json', 'a thing')).toThrow(
      expect.objectContaining({ name: 'InputError', message: `x.json: expected ${line}` }),
    )
  })

  it('is returned with its defaults if the schema accepts it', () => {
    expect(validate(z.object({ r: r.default(3) }), {}, 'x.json', 'a thing')).toEqual({ r: 3 })
  })
})

describe('a SettingsError', () => {
  it('keeps its remedy on its way from a thread', () => {
    const error = new SettingsError('density', 'a setting of method lora', '0.25', 'it belongs to salora: use method "salora"')
    const line = 'density: expected a setting of method lora, got 0.25 (it belongs to salora: use method "salora")'
    expect([error, fromSentError(structuredClone(toSentError(error)))].map(({ message }) => message)).toEqual([line, line])
  })
})

/** Whether one name is near enough, from short texts, in which one edit is allowed, to long ones, in which three are. */
const isNear = (typed: string, name: string): boolean => nearest(typed, [name]) === name

describe('the nearest name', () => {
  it('is one edit away for an insertion, a deletion, a substitution, or a swap of neighbors', () => {
    for (const typed of ['9123', '12', '193', '213', '132']) expect(isNear(typed, '123'), typed).toBe(true)
    for (const typed of ['1', '893', '321', '231']) expect(nearest(typed, ['123']), typed).toBe(null)
  })

  it('is not nearer by a swap than by another edit: of equal distances the first name wins', () => {
    expect(nearest('ba', ['b', 'ab'])).toBe('b')
    expect(nearest('ba', ['ab', 'b'])).toBe('ab')
    expect(nearest('ba', ['ab', 'ba'])).toBe('ba')
  })

  it('differs in a third of the typed letters, rounded up, and in three of them at most', () => {
    expect([isNear('123', '923'), isNear('123', '893')]).toEqual([true, false])
    expect([isNear('1234', '9834'), isNear('1234', '9874')]).toEqual([true, false])
    expect([isNear('1234567', '9874567'), isNear('1234567890123', '8765567890123')]).toEqual([true, false])
  })

  it('is none for a text that nobody types, or without names', () => {
    expect(nearest('a'.repeat(100), ['a'.repeat(99)])).toBe('a'.repeat(99))
    expect(nearest('a'.repeat(101), ['a'.repeat(100)])).toBe(null)
    expect(nearest('rank', [])).toBe(null)
  })
})
