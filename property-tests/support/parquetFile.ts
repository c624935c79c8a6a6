/** Parquet files of one column and one page, whose headers may lie: the format's Thrift, compact protocol, written by hand. */
import { gzipSync } from 'node:zlib'

type Field = readonly [id: number, type: keyof typeof types, value: unknown]
const types = { i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const

const varint = (value: bigint): number[] => (value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)])
const zigzag = (value: number): number[] => varint(value >= 0 ? 2n * BigInt(value) : -2n * BigInt(value) - 1n)

const written = (type: keyof typeof types, value: unknown): number[] => {
  if (type === 'binary') return [...varint(BigInt(String(value).length)), ...Buffer.from(String(value))]
  if (type === 'struct') return struct(value as readonly Field[])
  if (type === 'i32' || type === 'i64') return zigzag(value as number)
  const [of, items] = value as readonly [keyof typeof types, readonly unknown[]]
  return [(items.length << 4) | types[of], ...items.flatMap((item) => written(of, item))]
}

const struct = (fields: readonly Field[]): number[] => {
  let last = 0
  const bytes = fields.flatMap(([id, type, value]) => {
    const delta = id - last
    last = id
    return [(delta << 4) | types[type], ...written(type, value)]
  })
  return [...bytes, 0]
}

export type PageClaims = {
  /** the page's bytes before compression */
  readonly content: Uint8Array
  readonly rows: number
  /** values of the page, where they differ from `rows` */
  readonly values?: number
  /** bytes that the page claims to have, where they differ from its content's */
  readonly bytes?: number
}

/** A file with the column `text` of optional byte arrays, PLAIN, gzip. */
export const parquetFile = ({ content, rows, values = rows, bytes = content.length }: PageClaims): Buffer => {
  const page = gzipSync(content)
  const header = struct([
    [1, 'i32', 0],
    [2, 'i32', bytes],
    [3, 'i32', page.length],
    [5, 'struct', [1, 2, 3, 4].map((id) => [id, 'i32', id === 1 ? values : id === 2 ? 0 : 3])],
  ])
  const size = header.length + page.length
  const chunk: readonly Field[] = [
    [1, 'i32', 6],
    [2, 'list', ['i32', [0]]],
    [3, 'list', ['binary', ['text']]],
    [4, 'i32', 2],
    [5, 'i64', values],
    [6, 'i64', bytes],
    [7, 'i64', size],
    [9, 'i64', 4],
  ]
  const schema: readonly (readonly Field[])[] = [
    [
      [4, 'binary', 'root'],
      [5, 'i32', 1],
    ],
    [
      [1, 'i32', 6],
      [3, 'i32', 0],
      [4, 'binary', 'text'],
      [6, 'i32', 0],
    ],
  ]
  const group: readonly Field[] = [
    [
      1,
      'list',
      [
        'struct',
        [
          [
            [2, 'i64', 4],
            [3, 'struct', chunk],
          ],
        ],
      ],
    ],
    [2, 'i64', size],
    [3, 'i64', rows],
  ]
  const footer = struct([
    [1, 'i32', 1],
    [2, 'list', ['struct', schema]],
    [3, 'i64', rows],
    [4, 'list', ['struct', [group]]],
  ])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  return Buffer.concat([Buffer.from('PAR1'), Buffer.from(header), page, Buffer.from(footer), length, Buffer.from('PAR1')])
}

/** Texts as PLAIN byte arrays: a length in four bytes, then the bytes. */
export const plainTexts = (texts: readonly string[]): Uint8Array =>
  Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(Buffer.byteLength(text))
      return [length, Buffer.from(text)]
    }),
  )
