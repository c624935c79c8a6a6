/** A sweep of a tiny model on tiny files of CoLA and MNLI, in a folder of the test file. */
import { mkdtempSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { writeTinyModel } from './tinyModel.js'

/** Writes the model and the data before a file's tests and removes the folder after them. → the folder */
export const sweepFolder = (): string => {
  const root = mkdtempSync(join(tmpdir(), 'salora-glue-'))
  beforeAll(async () => {
    await writeTinyModel(join(root, 'tiny'))
    await mkdir(join(root, 'glue/CoLA'), { recursive: true })
    const rows = (count: number, of: string) =>
      Array.from({ length: count }, (_, i) => `a\t${i % 2}\t\t${of} sentence ${i} is ${i % 2 === 0 ? 'bad' : 'good'}.\n`).join('')
    await writeFile(join(root, 'glue/CoLA/train.tsv'), rows(24, 'A'))
    await writeFile(join(root, 'glue/CoLA/dev.tsv'), rows(8, 'That'))
    const names = ['entailment', 'neutral', 'contradiction']
    const pairs = (count: number, of: string) =>
      Array.from({ length: count }, (_, i) => `${of} ${i}.\tIt is ${names[i % 3]}.\t${names[(i * i) % 3]}\n`).join('')
    await mkdir(join(root, 'glue/MNLI'), { recursive: true })
    for (const [file, count] of Object.entries({ train: 24, dev_matched: 10, dev_mismatched: 7 }))
      await writeFile(join(root, `glue/MNLI/${file}.tsv`), `sentence1\tsentence2\tgold_label\n${pairs(count, file)}`)
  })
  afterAll(() => rm(root, { recursive: true }))
  return root
}

export const flags = ['--model', 'tiny', '--data', 'glue', '--tasks', 'cola', '--epochs', '2', '--batch-size', '4', '--max-length', '16']
export const machine = ['--device', 'cpu', '--threads', '1']
export const sweep = (output: string, ...more: readonly string[]) => [
  'glue',
  ...flags,
  ...machine,
  ...['--methods', 'lora,salora', '--seeds', '2', '--output', output, ...more],
]
