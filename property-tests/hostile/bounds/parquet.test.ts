/** Parquet files whose pages expand to more than their bytes can hold: refused by their headers, before anything is decompressed. */
import { appendFileSync, truncateSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parquetRows } from '../../../finetuning/data/parquetRows.js'
import { structEnd } from '../../../finetuning/data/parquetBounds.js'
import { parquetFile, plainTexts, type PageClaims } from '../../support/parquetFile.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { write } = temporaryFolder('parquet')

const textsOf = async (claims: PageClaims): Promise<readonly unknown[]> => {
  const file = write('rows.parquet', parquetFile(claims))
  const rows: unknown[] = []
  await parquetRows(file, [{ name: 'text' }], {}, (_, [text]) => rows.push(text))
  return rows
}

describe('a Parquet file', () => {
  it('of one page is read', async () => {
    expect(await textsOf({ content: plainTexts(['a', 'bc']), rows: 2 })).toEqual(['a', 'bc'])
  })

  it.each<readonly [string, PageClaims, RegExp]>([
    [
      'a page of 300 MB',
      { content: new Uint8Array(10), rows: 2, bytes: 300_000_000 },
      /pages of at most 268435456 bytes in text, got 300000000$/,
    ],
    [
      'a billion values',
      { content: new Uint8Array(10), rows: 2, values: 1e9 },
      /at most \d+ values of text in \d+ bytes, got 1000000000 or more$/,
    ],
    [
      '200 MB in a page of 30 bytes',
      { content: new Uint8Array(10), rows: 2, bytes: 2e8 },
      /at most \d+ bytes when decompressed, of \d+, got \d+ or more$/,
    ],
    ['a negative count', { content: new Uint8Array(10), rows: 2, values: -1 }, /at most \d+ values of text/],
  ])('is refused in one line for %s', async (_, claims, message) => {
    expect(await refusalOf(() => textsOf(claims))).toMatch(message)
  })
})

/** A struct of one field: a list in a list in a list…, each of 16 million elements. Its reader would allocate 128 MB for each. */
const nestedLists = (levels: number): Buffer =>
  Buffer.from([0x19, ...Array.from({ length: levels }, () => [0xf9, 0x80, 0x80, 0x80, 0x08]).flat()])

describe('headers of a Parquet file', () => {
  const refusalOfFile = (content: Uint8Array): Promise<string> =>
    refusalOf(() => parquetRows(write('headers.parquet', content), [{ name: 'text' }], {}, () => undefined))
  const withFooter = (footer: Buffer): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(footer.length)
    return Buffer.concat([Buffer.from('PAR1'), footer, length, Buffer.from('PAR1')])
  }
  const tooMany = /: expected a Parquet file, got one that cannot be read \(expected at most \d+ elements, got 16777216\)$/

  it('are refused before a list is allocated that is longer than their bytes, in the footer and in a page', async () => {
    const held = process.memoryUsage.rss()
    expect(await refusalOfFile(withFooter(nestedLists(40)))).toMatch(tooMany)
    const file = parquetFile({ content: plainTexts(['a', 'bc']), rows: 2 })
    file.set(nestedLists(4), 4) // the header of the first page
    expect(await refusalOfFile(file)).toMatch(tooMany)
    expect(process.memoryUsage.rss() - held).toBeLessThan(100_000_000)
  })

  it('are refused with more than 64 levels, and if they are cut short', async () => {
    expect(await refusalOfFile(withFooter(Buffer.alloc(100_000, 0x1c)))).toMatch(/\(expected at most 64 levels of Thrift, got more\)$/)
    expect(await refusalOfFile(withFooter(Buffer.from([0x15])))).toMatch(/: expected a Parquet file, got one that cannot be read \(.+\)$/)
    expect(await refusalOfFile(Buffer.from('PAR1'))).toMatch(/got one that cannot be read \(4 bytes\)$/)
  })

  it('are refused unread if the footer has more than 16 MB', async () => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(16_000_001)
    const file = write('large.parquet', 'PAR1')
    truncateSync(file, 16_000_100) // a hole: it takes no room on the disk
    appendFileSync(file, Buffer.concat([length, Buffer.from('PAR1')]))
    expect(await refusalOf(() => parquetRows(file, [{ name: 'text' }], {}, () => undefined))).toMatch(
      /: expected a footer of at most 16000000 bytes, got 16000001$/,
    )
  })

  it('of every type are walked to their last byte', () => {
    // bool, byte, i32 of two bytes, i64, double, text, list of bools, list of structs, and a field whose number is written in full
    const struct = [
      0x11,
      0x13,
      7,
      0x15,
      0x80,
      1,
      0x16,
      2,
      0x17,
      ...Array(8).fill(0),
      0x18,
      2,
      65,
      66,
      0x19,
      0x21,
      1,
      2,
      0x19,
      0x2c,
      0,
      0x11,
      0,
    ]
    const bytes = Uint8Array.from([...struct, 0x05, 0x80, 1, 4, 0, 99])
    expect(structEnd(new DataView(bytes.buffer), 0)).toBe(bytes.length - 1)
  })
})
