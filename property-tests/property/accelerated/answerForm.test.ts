/** Answers of a form: random logits write JSON that an independent validator accepts, and a limited draw is the model's own, renormalized. */
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerBatch, answerText, formGrammar, type AnswerEvent } from '../../../accelerated/generation/answers.js'
import type { Decoder, DecodedRows, Logits } from '../../../accelerated/generation/decoder.js'
import { grammarLimits, limitScores, literal, choice, sortTokens } from '../../../accelerated/generation/grammar.js'
import { changeScores, samplingDistribution } from '../../../accelerated/generation/sampling.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { SEED } from '../../support/seed.js'

const utf8 = new TextEncoder()
const pieces = [
  '{"',
  '": ',
  '":',
  '", "',
  '"}',
  '}',
  ', ',
  '[{',
  '}]',
  '[]',
  'true',
  'null',
  '12',
  '.5',
  'e',
  'ab',
  '\n  ',
  '日',
  'é"',
  '\\u00',
  '"a"',
  '"b',
  '-',
]
/** Each byte, some pieces, half a letter with a quote before it, a special token that looks like JSON, and the end. */
const vocabulary = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...pieces.map((piece) => utf8.encode(piece)),
  Uint8Array.of(0x22, 0xe6),
]
const [special, end, size] = [vocabulary.length, vocabulary.length + 1, vocabulary.length + 2]
const decode = (ids: readonly number[]): string =>
  new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => [...(vocabulary[id] ?? [])])))
const tokenizer = { decode, isSpecial: (id: number) => id >= special, bytes: (id: number) => vocabulary[id] ?? utf8.encode('{}') }
const text = answerText(tokenizer, size, [end])

/** Logits that depend on the tokens of a row alone; ends and closing brackets are likelier, so that texts end. */
const logitsAfter = (tokens: readonly number[], seed: number): Logits => {
  const key = tokens.reduce((hash, token) => (Math.imul(hash, 31) + token + 7) >>> 0, seed)
  const logits = Float32Array.from(normals(key, 'initialization', 0, size), (x) => 2 * x)
  for (const likely of [end, 0x22, 0x5d, 0x7d]) logits[likely] = (logits[likely] ?? 0) + 4
  return logits
}
const randomRows = (
  first: readonly (readonly number[])[],
  seed: number,
): DecodedRows & { readonly rows: () => readonly (readonly number[])[] } => {
  let rows = first
  return {
    rows: () => rows,
    logits: () => rows.map((tokens) => logitsAfter(tokens, seed)),
    append: async (next) => {
      rows = next.map(({ from, token }) => [...(rows[from] ?? []), token])
    },
    join: async (others) => {
      rows = [...rows, ...(others as unknown as { rows: () => typeof rows }).rows()]
    },
    cached: () => ({ memory: undefined as never, rows: [] }),
    reread: async () => undefined,
  }
}
const randomDecoder = (seed: number): Decoder => ({
  assembly: { model: { vocabularySize: size } } as Decoder['assembly'],
  positions: 10_000,
  begin: async (prompts) => randomRows(prompts, seed),
  tokenBytes: 1,
  score: async () => undefined,
  checkWeights: async () => undefined,
  release: async () => undefined,
})

type Ended = Extract<AnswerEvent, { readonly kind: 'answer' }>
type Settings = Parameters<ReturnType<typeof answerBatch>['add']>[0]['settings']
const answersTo = async (all: readonly Settings[], seed: number): Promise<readonly (Ended & { readonly streamed: string })[]> => {
  const batch = answerBatch(randomDecoder(seed), text)
  all.forEach((settings, prompt) => batch.add({ prompt, ids: [65], settings, draw: 0 }))
  const [ended, streamed] = [[] as Ended[], all.map(() => '')]
  for await (const event of batch.events()) {
    if (event.kind === 'failed') throw event.error
    if (event.kind === 'piece') streamed[event.prompt] += event.text
    if (event.kind === 'answer') ended[event.prompt] = event
  }
  return ended.map((one, i) => ({ ...one, streamed: streamed[i] ?? '' }))
}

type Schema = Readonly<Record<string, unknown>>
const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'id', 'größe', 'q"'), { maxLength: 4 })
const value = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
const range = fc.tuple(fc.nat(3), fc.nat(3)).map(([min, more]) => [min, min + more] as const)
const schemas: fc.Arbitrary<Schema> = fc.letrec<{ one: Schema }>((tie) => ({
  one: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Schema>(
      { type: 'integer' },
      { type: 'number' },
      { type: 'boolean' },
      { type: 'null' },
      { type: ['integer', 'null'] },
      { $ref: '#/$defs/shared' },
    ),
    range.map(([minLength, maxLength]): Schema => ({ type: 'string', minLength, maxLength, description: 'a note' })),
    fc.array(value, { minLength: 1, maxLength: 4 }).map((list): Schema => ({ enum: list })),
    value.map((one): Schema => ({ const: one })),
    fc.tuple(tie('one'), range).map(([items, [minItems, maxItems]]): Schema => ({ type: 'array', items, minItems, maxItems })),
    fc.tuple(names, fc.array(tie('one'), { minLength: 4, maxLength: 4 }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 })).map(
      ([keys, inner, isRequired]): Schema => ({
        type: 'object',
        properties: Object.fromEntries(keys.map((key, i) => [key, inner[i]])),
        required: keys.filter((_, i) => isRequired[i]),
        additionalProperties: false,
      }),
    ),
    fc.array(tie('one'), { minLength: 1, maxLength: 3 }).map((anyOf): Schema => ({ anyOf })),
    tie('one').map(
      (one): Schema => ({
        oneOf: [
          { type: 'array', items: one, maxItems: 1 },
          { type: 'string', maxLength: 2 },
        ],
      }),
    ),
    fc.constant<Schema>({ type: 'object', additionalProperties: { type: 'boolean' } }),
  ),
})).one
const rooted = schemas.map(
  (schema): Schema => ({ ...schema, $defs: { shared: { type: 'array', items: { type: 'boolean' }, maxItems: 2 } } }),
)

describe(`an answer of a form (seed ${SEED})`, () => {
  it('fits its schema for another validator, greedy and sampled, beside free answers and with biased tokens', () =>
    fc.assert(
      fc.asyncProperty(rooted, fc.nat(1_000_000), async (schema, seed) => {
        const common = { form: [[{ schema }]], maxNewTokens: 600, logitBias: { [end]: -50, 123: 5 } }
        const sampled = [0, 1].map((more) => ({ ...common, temperature: 1, seed: seed + more, topP: more === 1 ? 0.9 : 1 }))
        const given = [common, { maxNewTokens: 5 }, ...sampled]
        const all = await answersTo(given, seed)
        const isValid = new Ajv({ strict: false, validateSchema: false }).compile(schema)
        for (const [i, { text: json, streamed, ended }] of all.entries()) {
          expect(streamed).toBe(json)
          if (i === 1) continue
          expect(ended, json).toBe('end')
          expect(isValid(JSON.parse(json)), `${json} ${JSON.stringify(schema)}`).toBe(true)
        }
      }),
      { seed: SEED, numRuns: 60 },
    ))

  const bytes = sortTokens(257, (id) => (id < 256 ? Uint8Array.of(id) : null))
  /** Whether a text may be written byte by byte, and end. */
  const canWrite = (schema: unknown, json: string): boolean => {
    const limit = grammarLimits(formGrammar([[{ schema }]]), bytes, [256])()
    const written = [...utf8.encode(json)]
    return [...written, 256].every((next, i) => (((limit.allowed(written.slice(0, i))[next >>> 5] ?? 0) >>> (next & 31)) & 1) === 1)
  }
  const numbers = fc.oneof(
    fc.integer(),
    fc.integer({ min: -9_999, max: 9_999 }).map((x) => x / 100),
    fc.constantFrom(0, 1e-7, 2.5e21, 999_999_999_999_999),
  )
  const { any } = fc.letrec<{ any: unknown }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.string({ maxLength: 6 }), numbers, fc.boolean(), fc.constant(null)),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.string({ unit: 'binary', maxLength: 4 }), tie('any'), { maxKeys: 3 }),
    ),
  }))

  it('may be any JSON, as JSON.stringify writes it, with blanks or without, but no deeper than 24 levels where no schema says more', () => {
    const object = fc.dictionary(fc.string({ unit: 'binary', maxLength: 4 }), any, { maxKeys: 3 })
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, 2), (value, indentation) => {
        const json = JSON.stringify(value, null, indentation)
        expect(canWrite({ type: 'object' }, json), json).toBe(true)
      }),
      { seed: SEED, numRuns: 60 },
    )
    const nested = (levels: number): string => (levels % 2 === 0 ? `{"a":${nestedRest(levels)}}` : `[${nestedRest(levels)}]`)
    const nestedRest = (levels: number): string => (levels === 1 ? '' : nested(levels - 1))
    expect([canWrite({}, nested(24)), canWrite({}, nested(25))]).toEqual([true, false])
    for (const escaped of ['\\u00e9', '\\uD83D\\uDE00', '\\/', '\\b', '\u007f', '\u{10ffff}'])
      expect(canWrite({}, `"${escaped}"`), escaped).toBe(true)
  })

  it.each<readonly [schema: unknown, fitting: readonly string[], others: readonly string[]]>([
    [{}, ['3', '"x"', '[]', 'null', '"\\ud83d\\uDE00"'], ['nul', '03', '+1', '.5', '1.', "'x'", '"\\ud83d"', '"\\udc00"', '"\n"', '[1,]']],
    [{ type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 2 }, ['[0]', '[ -1, 2 ]', '[\n 1\n]'], ['[]', '[1,2,3]', '[1.5]']],
    [{ type: 'array', items: false, maxItems: 0 }, ['[]', '[ ]'], ['[null]']],
    [{ type: 'string', minLength: 1, maxLength: 2 }, ['"é"', '"\\n日"'], ['""', '"abc"']],
    [{ required: ['a'] }, ['{"a":[]}'], ['{}', '{"b":1}']],
    [{ properties: { a: {}, b: {} }, required: ['b'] }, ['{"b":1}', '{"a": 1, "b": 2}'], ['{"a":1}', '{"b":2,"a":1}']],
    [{ oneOf: [{ const: 1 }, { enum: ['b', null] }] }, ['1', '"b"', 'null'], ['2', '"1"']],
    [{ type: 'integer', enum: [1, 'a', 2.5] }, ['1'], ['"a"', '2.5']],
  ])('of %j may be what fits, and nothing else', (schema, fitting, others) => {
    for (const json of fitting) expect(canWrite(schema, json), json).toBe(true)
    for (const json of others) expect(canWrite(schema, json), json).toBe(false)
  })

  it('is any JSON object, or is cut off where the room for tokens or a stop text ends it', async () => {
    const form = [[{ schema: { type: 'object' } }]]
    const all = await answersTo(
      Array.from({ length: 20 }, (_, seed) => ({ form, temperature: 1, seed, maxNewTokens: 400 })),
      SEED,
    )
    const whole = all.filter(({ ended }) => ended === 'end')
    expect(whole.length).toBeGreaterThan(10)
    for (const { text: json } of whole) expect(typeof JSON.parse(json)).toBe('object')
    const [cut, stopped] = await answersTo(
      [
        { form: [[{ schema: { const: 'abcdef' } }]], maxNewTokens: 3 },
        { form: [['ab', 'cd']], stop: ['c'] },
      ],
      1,
    )
    expect([cut?.ended, cut?.tokens, stopped?.ended, stopped?.text]).toEqual(['length', 3, 'stop', 'ab'])
  })

  it('is drawn from the renormalized distribution of the tokens that fit', () => {
    // "a" or "abc", over the tokens a, b, ab, c, x and the end: after "a" come b and the end
    const words = ['a', 'b', 'ab', 'c', 'x', 'bc'].map((word) => utf8.encode(word))
    const startLimit = grammarLimits(
      choice(literal('a'), literal('abc')),
      sortTokens(7, (id) => words[id] ?? null),
      [6],
    )
    let limit = startLimit()
    const logits = Float64Array.of(0.3, -1, 2, 0.5, 9, 1.5, -0.7)
    const drawn = (tokens: readonly number[]) =>
      new Map(
        samplingDistribution(limitScores(logits, limit.allowed(tokens)), { temperature: 0.8, topK: null, topP: 1 }).map((one) => [
          one.token,
          one.score,
        ]),
      )
    const closed = (tokens: readonly number[]) => {
      const powers = tokens.map((token) => Math.exp((logits[token] ?? 0) / 0.8))
      return powers.map((power) => power / powers.reduce((a, b) => a + b))
    }
    for (const [before, fits] of [
      [[], [0, 2]],
      [[0], [1, 5, 6]],
      [[0, 1], [3]],
    ] as const) {
      const given = drawn(before)
      expect([...given.keys()].sort()).toEqual(fits)
      closed(fits).forEach((probability, i) => expect(given.get(fits[i] ?? -1)).toBeCloseTo(probability, 12))
    }
    limit = startLimit()
    expect([[0], [0, 5]].map(limit.isComplete)).toEqual([false, true])
    const biased = changeScores(
      logits,
      { repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0, logitBias: { 4: 100, 0: -100 } },
      [],
      [],
    )
    expect(
      samplingDistribution(limitScores(Float64Array.from(biased), startLimit().allowed([])), { temperature: 1, topK: null, topP: 1 })[0]
        ?.token,
    ).toBe(2)
  })

  const refusals: readonly (readonly [schema: unknown, message: string])[] = [
    [{ type: 'integer', minimum: 3 }, 'schema: expected keywords that are supported, got minimum'],
    [{ properties: { a: { type: 'string', pattern: '^x' } } }, 'schema.properties.a: expected keywords that are supported, got pattern'],
    [{ anyOf: [{ type: 'null' }], type: 'object' }, 'schema: expected keywords that are supported, got type beside anyOf'],
    [{ $ref: '#/$defs/n', $defs: { n: { type: 'array', items: { $ref: '#/$defs/n' } } } }, 'recursion is not supported'],
    [{ $ref: 'https://x.example/a' }, 'a $ref into the schema'],
    [{ $ref: '#/$defs/__proto__' }, 'a $ref to a part of the schema'],
    [{ required: ['a'], additionalProperties: false }, 'properties for all that is required'],
    [{ type: 'array', minItems: 2, maxItems: 1 }, 'minItems of at most maxItems'],
    [{ type: 'string', enum: [1] }, 'enum with a value of the type'],
    [{ enum: 3 }, 'enum with a value of the type'],
    [{ properties: { a: {} }, required: 'a' }, 'schema.required: expected a list of names, got "a"'],
    [{ required: ['a', 1] }, 'schema.required: expected a list of names, got ["a",1]'],
    [{ oneOf: [{ const: 1 }, { enum: [2, 1] }] }, 'numbers 0 and 1, which may overlap'],
    [{ type: 'text' }, 'schema.type: expected one of object, array'],
    [{ type: 'object', properties: { a: false } }, 'schema.properties.a: expected a schema that some value fits, got false'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'numbers 0 and 1, which may overlap'],
    [Array.from({ length: 70 }).reduce<unknown>((items) => ({ items }), {}), 'at most 64 levels'],
    [{ anyOf: Array.from({ length: 10_001 }, () => ({ type: 'null' })) }, 'at most 10000 schemas'],
  ]
  it.each(refusals.map((one, i) => [i, ...one] as const))('is refused in one line (%i)', (_, schema, message) => {
    expect(() => formGrammar([[{ schema }]])).toThrow(message)
  })

  it('takes bounded time and memory for a hostile schema and a hostile vocabulary', async () => {
    const level = (i: number) => ({
      anyOf: [1, 2].map(() => ({ type: 'object', properties: { x: { $ref: `#/$defs/d${i + 1}` } }, required: ['x'] })),
    })
    const doubling = {
      $ref: '#/$defs/d0',
      $defs: { ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`d${i}`, level(i)])), d20: { type: 'null' } },
    }
    const began = performance.now()
    await expect(answersTo([{ form: [[{ schema: doubling }]] }], 1)).rejects.toThrow('the grammar: expected alternatives that differ early')
    const long = { type: 'array', items: { type: 'string', minLength: 200_000 } }
    const [cut] = await answersTo([{ form: [[{ schema: long }]], maxNewTokens: 2_000 }], 2)
    expect(cut?.ended).toBe('length')
    expect(performance.now() - began).toBeLessThan(20_000)
    const letters = { ...tokenizer, bytes: (id: number) => (id === 0x5b ? new Uint8Array(0) : tokenizer.bytes(id)) }
    expect(() => answerText(letters, size, [end]).limit([['x']])).toThrow('tokens of a byte or letter each')
    const limit = grammarLimits(
      literal('ab'),
      sortTokens(2, (id) => utf8.encode(['a', 'b'.repeat(129)][id] ?? '')),
      [],
    )()
    expect(() => limit.allowed([0])).toThrow('no token that may follow 1 tokens')
  })
})
