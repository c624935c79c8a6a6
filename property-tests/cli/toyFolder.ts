/** A folder for the runs of a test file, with the tiny model in `tiny` and toy texts in `toy.tsv`. It exists while the tests run. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

/** A run of SaLoRA on the toy texts, on the CPU. A later --method chooses another. */
export const toyTrain = 'train --method salora --model tiny --task toy.tsv --max-length 16 --device cpu'.split(' ')

/** `texts`: rows by file, of other files too. → the folder */
export const toyFolder = (name: string, texts: Readonly<Record<string, number>> = { 'toy.tsv': 40 }): string => {
  const { folder } = temporaryFolder(name)
  beforeAll(async () => {
    await writeTinyModel(join(folder, 'tiny'))
    for (const [file, rows] of Object.entries(texts)) await writeFile(join(folder, file), toyFile(rows))
  })
  return folder
}
