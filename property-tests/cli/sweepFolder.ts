/** Sweeps of a tiny model on tiny files of CoLA and MNLI, in a folder of the test file. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll } from 'vitest'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { toyFolder } from './toyFolder.js'

/** A folder with the model and CoLA, as long as the tests run. @param trained the rows of CoLA's training file */
export const colaFolder = (name: string, trained: number): string => {
  const root = toyFolder(name, {})
  const rows = (count: number, of: string) =>
    Array.from({ length: count }, (_, i) => `a\t${i % 2}\t\t${of} sentence ${i} is ${i % 2 === 0 ? 'bad' : 'good'}.\n`).join('')
  beforeAll(async () => {
    await mkdir(join(root, 'glue/CoLA'), { recursive: true })
    await writeFile(join(root, 'glue/CoLA/train.tsv'), rows(trained, 'A'))
    await writeFile(join(root, 'glue/CoLA/dev.tsv'), rows(8, 'That'))
  })
  return root
}

/** The same with MNLI. */
export const sweepFolder = (): string => {
  const root = colaFolder('glue', 24)
  beforeAll(async () => {
    const names = ['entailment', 'neutral', 'contradiction']
    const pairs = (count: number, of: string) =>
      Array.from({ length: count }, (_, i) => `${of} ${i}.\tIt is ${names[i % 3]}.\t${names[(i * i) % 3]}\n`).join('')
    await mkdir(join(root, 'glue/MNLI'), { recursive: true })
    for (const [file, count] of Object.entries({ train: 24, dev_matched: 10, dev_mismatched: 7 }))
      await writeFile(join(root, `glue/MNLI/${file}.tsv`), `sentence1\tsentence2\tgold_label\n${pairs(count, file)}`)
  })
  return root
}

export const flags = '--model tiny --data glue --tasks cola --epochs 2 --batch-size 4 --max-length 16'.split(' ')
export const machine = ['--device', 'cpu', '--threads', '1']
export const sweep = (output: string, ...more: readonly string[]) => [
  ...['glue', ...flags, ...machine, '--methods', 'lora,salora', '--seeds', '2', '--output', output, ...more],
]

/** The table of a sweep that printed this document, without times and memory. */
export const timelessTable = (stdout: string): GlueSweepResult['table'] => {
  const { table } = JSON.parse(stdout) as GlueSweepResult
  return { ...table, rows: table.rows.map((row) => ({ ...row, seconds: null, peakMemoryBytes: null })) }
}
