/** A folder for the runs of a test file, with the tiny model in `tiny` and toy texts in `toy.tsv`. It exists while the tests run. */
import { mkdtempSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

/** A run of SaLoRA on the toy texts, on the CPU. A later --method chooses another. */
export const toyTrain = [
  'train',
  '--method',
  'salora',
  '--model',
  'tiny',
  '--task',
  'toy.tsv',
  '--max-length',
  '16',
  '--device',
  'cpu',
] as const

/** `texts`: rows by file, of other files too. → the folder */
export const toyFolder = (name: string, texts: Readonly<Record<string, number>> = { 'toy.tsv': 40 }): string => {
  const folder = mkdtempSync(join(tmpdir(), `salora-${name}-`))
  beforeAll(async () => {
    await writeTinyModel(join(folder, 'tiny'))
    for (const [file, rows] of Object.entries(texts)) await writeFile(join(folder, file), toyFile(rows))
  })
  afterAll(() => rm(folder, { recursive: true }))
  return folder
}
