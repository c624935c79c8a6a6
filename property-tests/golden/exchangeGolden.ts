/** Folders that this library wrote, against what their own library made of the very same bytes: fixtures/exchange.json. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { writeLogits } from './exportGolden.js'
import { compareNumbers, expectAgreement, fixtures, goldenBounds, type Decoder, type Family } from './golden.js'

/** `sha256 of FILE` for each file, and `logits` */
type Checked = Readonly<Record<string, string>> & { readonly logits: readonly number[] }

const target = process.env['GOLDEN_EXPORT']

/** Where exports of a test file go: GOLDEN_EXPORT, there to be checked by their library, or a folder that is removed. */
export const exportFolder = (): (() => string) => {
  let folder = ''
  beforeAll(async () => {
    folder = target ?? (await mkdtemp(join(tmpdir(), 'salora-golden-')))
  })
  afterAll(async () => {
    if (target === undefined) await rm(folder, { recursive: true })
  })
  return () => folder
}

/** The folder has the digests that its library checked, and our logits are that library's. */
export const expectExchanged = async (
  family: Family | Decoder,
  name: string,
  exported: string,
  logits: readonly number[],
): Promise<void> => {
  if (target !== undefined) return writeLogits(exported, logits)
  const checked = (JSON.parse(readFileSync(join(fixtures, 'exchange.json'), 'utf8')) as Record<string, Checked>)[
    `${family}/${name}`
  ] as Checked
  const digests = Object.entries(checked).filter(([key]) => key.startsWith('sha256 of '))
  expect(digests.length).toBeGreaterThan(0)
  for (const [key, digest] of digests) {
    const bytes = await readFile(join(exported, key.slice('sha256 of '.length)))
    expect(createHash('sha256').update(bytes).digest('hex'), key).toBe(digest)
  }
  expectAgreement(`export, ${family}, ${name}`, [compareNumbers('logits', goldenBounds.float32, checked.logits, logits)])
}
