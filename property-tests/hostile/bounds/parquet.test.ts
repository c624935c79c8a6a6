/** Parquet files whose pages expand to more than their bytes can hold: refused by their headers, before anything is decompressed. */
import { describe, expect, it } from 'vitest'
import { parquetRows } from '../../../finetuning/data/parquetRows.js'
import { parquetFile, plainTexts, type PageClaims } from '../../support/parquetFile.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { write } = temporaryFolder('parquet')

const textsOf = async (claims: PageClaims): Promise<ReadonlyArray<unknown>> => {
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
