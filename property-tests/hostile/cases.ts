/** Hostile bytes: ways to break a valid file, byte by byte and as JSON, drawn by fast-check so that a failure shrinks. */
import fc from 'fast-check'

/** How many cases all readers get together: `npm test` takes 2,000, `npm run fuzz` 100,000. */
export const CASES = Number(process.env['FUZZ_CASES'] ?? (process.env['npm_lifecycle_event'] === 'fuzz' ? 100_000 : 2_000))

/** A change of bytes. Positions are shares of the length, so that one change fits files of any length. */
type Edit =
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'cut' | 'double' | 'move'; readonly at: number; readonly length: number }
  | { readonly kind: 'end'; readonly at: number }

const pieces = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '\\u0000',
  '\\ud800',
  '\u0000',
  '\ufeff',
  '\n',
  '\r\n',
  '\t',
  '"__proto__":{"polluted":1},',
  '"constructor":0,',
  '1e999',
  '-1',
  '-0',
  '9007199254740993',
  '4294967295',
  '1.5',
  'null',
  'true',
  '../../../x',
  '/etc/passwd',
  '..\\..\\x',
  'file:///x',
  '[[[[[[[[[[[[[[[[',
  '{"a":'.repeat(70),
  '[],'.repeat(200),
  '\u001b[2J',
  '\u2028',
]
  .map((text) => Buffer.from(text))
  .concat([Buffer.from([0xff, 0xfe]), Buffer.from([0xc0, 0x80]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.alloc(8, 0xff), Buffer.alloc(300)])

const share = fc.nat({ max: 1_000_000 }).map((n) => n / 1_000_001)
const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('set' as const),
      at: share,
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789{}[]",:-eE.\\'))),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('insert' as const), at: share, bytes: fc.constantFrom(...pieces) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('cut', 'double', 'move'), at: share, length: fc.integer({ min: 1, max: 64 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), at: share }) },
)

/** Up to eight changes, one after another; most often in the first few hundred bytes, where headers are. */
export const edits: fc.Arbitrary<readonly Edit[]> = fc.array(
  fc.tuple(edit, fc.boolean()).map(([one, early]) => (early ? { ...one, at: one.at ** 3 } : one)),
  { minLength: 1, maxLength: 8 },
)

export const applyEdits = (bytes: Uint8Array, changes: readonly Edit[]): Buffer => changes.reduce<Buffer>(applyEdit, Buffer.from(bytes))

const applyEdit = (bytes: Buffer, change: Edit): Buffer => {
  const at = Math.floor(change.at * (bytes.length + 1))
  switch (change.kind) {
    case 'set': {
      const changed = Buffer.from(bytes)
      if (at < changed.length) changed[at] = change.byte
      return changed
    }
    case 'insert':
      return Buffer.concat([bytes.subarray(0, at), change.bytes, bytes.subarray(at)])
    case 'cut':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.length)])
    case 'double':
      return Buffer.concat([bytes.subarray(0, at + change.length), bytes.subarray(at)])
    case 'move':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.length), bytes.subarray(at, at + change.length)])
    case 'end':
      return bytes.subarray(0, at)
  }
}

/** A value that a field of a JSON file does not expect. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    [],
    {},
    -1,
    0,
    1,
    2,
    1.5,
    1e308,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 53,
    'x'.repeat(3_000),
    '../../x',
    '(a+)+$',
    'a\nb\u001b[31m',
    ['a'],
    { type: 'Sequence' },
    { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' },
    { type: 'Replace', pattern: { Regex: '(.*)*x' }, content: 'y' },
    Array.from({ length: 300 }, (_, i) => i),
    Array.from({ length: 50 }).reduce((inner) => [inner], []),
  ),
  fc.jsonValue({ maxDepth: 3 }),
)

/** A change of a JSON value. `path` leads down to a value, which is replaced, dropped, or gets one more key. */
type JsonEdit = {
  readonly path: readonly number[]
  readonly kind: 'replace' | 'drop' | 'add'
  readonly key: string
  readonly value: unknown
}

export const jsonEdits: fc.Arbitrary<readonly JsonEdit[]> = fc.array(
  fc.record({
    path: fc.array(fc.nat(1_000), { minLength: 1, maxLength: 5 }),
    kind: fc.constantFrom('replace' as const, 'replace' as const, 'drop' as const, 'add' as const),
    key: fc.oneof(fc.constantFrom('__proto__', 'constructor', 'toString', 'length', 'type', '0', ''), fc.string({ maxLength: 5 })),
    value: oddValue,
  }),
  { minLength: 1, maxLength: 3 },
)

/** The text of the changed JSON. */
export const applyJsonEdits = (json: unknown, changes: readonly JsonEdit[]): string => {
  const copy = JSON.parse(JSON.stringify({ top: json })) as Record<string, unknown>
  for (const { path, kind, key, value } of changes) {
    let at: object = copy
    let [step = 0, ...rest] = [0, ...path]
    for (;;) {
      const keys = Object.keys(at)
      const name = keys[step % Math.max(keys.length, 1)] ?? '0'
      const inner: unknown = Reflect.get(at, name)
      const next = rest.shift()
      if (next !== undefined && typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0) {
        at = inner
        step = next
        continue
      }
      if (kind === 'drop' && at !== copy) Reflect.deleteProperty(at, name)
      else
        Object.defineProperty(at, kind === 'add' && at !== copy && !Array.isArray(at) ? key : name, {
          value: structuredClone(value),
          enumerable: true,
          configurable: true,
          writable: true,
        })
      break
    }
  }
  return JSON.stringify(copy['top']) ?? ''
}
