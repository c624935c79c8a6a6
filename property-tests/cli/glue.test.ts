/** salora glue: runs of a tiny model, submissions, and one line per error. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { flags, machine, sweep, sweepFolder } from './sweepFolder.js'

const root = sweepFolder()

describe('a run on MNLI', () => {
  it('reports both accuracies, which salora evaluate confirms on each file', async () => {
    const mnli = '--model tiny --task mnli --data glue --max-length 16 --device cpu --threads 1 --json'.split(' ')
    const train = await saloraIn(
      ['train', ...mnli, '--method', 'lora', '--max-steps', '4', '--batch-size', '4', '--head', 'transformers', '--output', 'mnli'],
      { cwd: root },
    )
    expect(train.stderr).toContain('24 training examples, 17 evaluation examples')
    type Trained = { readonly best: Pick<Scored, 'scores'> } & Pick<Scored, 'majority'>
    const { best, majority } = JSON.parse(train.stdout) as Trained
    type Scored = { readonly scores: Readonly<Record<string, number>>; readonly majority: { readonly share: number } }
    const scored = async (...more: readonly string[]): Promise<Scored> => {
      const { code, stdout, stderr } = await saloraIn(['evaluate', ...mnli, '--adapter', 'mnli/adapter', ...more], { cwd: root })
      expect(code, stderr).toBe(0)
      return JSON.parse(stdout) as Scored
    }
    const file = (name: string): readonly string[] => ['--eval-data', `glue/MNLI/${name}.tsv`]
    const [both, matched, other] = [await scored(), await scored(...file('dev_matched')), await scored(...file('dev_mismatched'))]
    expect(both.scores['mismatchedAccuracy']).toBe(other.scores['accuracy'])
    expect(both).toMatchObject({ scores: matched.scores, majority: matched.majority })
    expect([best.scores['accuracy'], best.scores['mismatchedAccuracy']]).toEqual([matched.scores['accuracy'], other.scores['accuracy']])
    expect(majority).toEqual(matched.majority)
    expect(both.majority.share).not.toBe(other.majority.share)
    expect(matched.scores['accuracy']).not.toBe(other.scores['accuracy'])
  })
})

describe('salora glue --submission', () => {
  it("writes the predictions of the best seed in GLUE's format and order", async () => {
    const texts = Array.from({ length: 9 }, (_, i) => `Sentence ${i} is ${i % 3 === 0 ? 'bad' : 'good'}.`)
    await writeFile(join(root, 'glue/CoLA/test.tsv'), `index\tsentence\n${texts.map((text, i) => `${i}\t${text}\n`).join('')}`)
    const args = sweep('submitted', '--methods', 'lora', '--submission', 'for/glue.zip', '--json', '--quiet')
    const { code, stdout } = await salora(args, { cwd: root })
    expect(code).toBe(0)
    const { submission, table } = JSON.parse(stdout) as GlueSweepResult
    const values = table.rows[0]?.cells[0]?.values ?? {}
    const best = (values['0'] ?? 0) >= (values['1'] ?? 0) ? 0 : 1
    expect(submission).toMatchObject({ row: 'lora', runs: { cola: `cola.lora.seed-${best}` } })
    expect(submission?.missing).toContain('MNLI-mm.tsv')
    const zip = unzipSync(await readFile(join(root, 'for/glue.zip')))
    expect(Object.keys(zip)).toEqual(['CoLA.tsv'])
    const run = await saloraIn(['predict', '--run', `submitted/cells/cola.lora.seed-${best}`], {
      cwd: root,
      input: `${texts.join('\n')}\n`,
    })
    const isAcceptable = (line: string): boolean => (JSON.parse(line) as { readonly label: string }).label === 'acceptable'
    const rows = run.stdout
      .trim()
      .split('\n')
      .map((line, i) => `${i}\t${isAcceptable(line) ? 1 : 0}\n`)
    expect(Buffer.from(zip['CoLA.tsv'] ?? []).toString()).toBe(`index\tprediction\n${rows.join('')}`)
  }, 60_000)

  it('names the run whose adapter a worker kept, and still writes the table', async () => {
    const args = sweep('kept', '--methods', 'lora', '--seeds', '1', '--max-steps', '2', '--quiet')
    expect((await salora(args, { cwd: root })).code).toBe(0)
    await rm(join(root, 'kept/cells/cola.lora.seed-0/adapter'), { recursive: true })
    await rm(join(root, 'kept/table.md'))
    const { code, stderr } = await saloraIn([...args, '--submission', 'kept.zip'], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /^--submission: expected the adapter of cola\.lora\.seed-0 in .*adapter, got none \(a worker with --local-root keeps its adapters\)\n$/,
    )
    expect(await readdir(join(root, 'kept'))).toContain('table.md')
  }, 60_000)

  it("writes MNLI's three files, with the diagnostic set as the official script stores it", async () => {
    const texts = Array.from({ length: 5 }, (_, i) => `${i}\tText ${i}.\tIt is ${i % 2 === 0 ? 'neutral' : 'entailment'}.\n`)
    const test = `index\tsentence1\tsentence2\n${texts.join('')}`
    await mkdir(join(root, 'glue/diagnostic'))
    for (const file of ['MNLI/test_matched', 'MNLI/test_mismatched', 'diagnostic/diagnostic'])
      await writeFile(join(root, `glue/${file}.tsv`), test)
    const args = '--tasks mnli --methods lora --seeds 1 --max-steps 2 --submission mnli.zip --json --quiet'.split(' ')
    const { code, stderr } = await salora(sweep('three', ...args), { cwd: root })
    expect([code, stderr]).toEqual([0, ''])
    const zip = unzipSync(await readFile(join(root, 'mnli.zip')))
    expect(Object.keys(zip)).toEqual(['MNLI-m.tsv', 'MNLI-mm.tsv', 'AX.tsv'])
    for (const bytes of Object.values(zip))
      expect(Buffer.from(bytes).toString()).toMatch(/^index\tprediction\n(\d\t(entailment|neutral|contradiction)\n){5}$/)
  }, 60_000)
})

describe('salora glue prints one line for', () => {
  it('a submission below a file', async () => {
    await writeFile(join(root, 'glue/CoLA/test.tsv'), 'index\tsentence\n0\tA sentence.\n')
    const args = 'glue --model tiny --data glue --tasks cola --methods lora --max-length 32 --output x --quiet'.split(' ')
    const { code, stderr } = await saloraIn([...args, '--submission', join(import.meta.dirname, 'glue.test.ts', 'x.zip')], { cwd: root })
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^--submission .*x\.zip: expected a folder that can be written, got [^\n]*\n$/),
    ])
  })

  it('all runs of a task whose folder is missing, while the others continue', async () => {
    const { code, stderr, stdout } = await salora(
      ['glue', ...flags, ...machine, ...'--tasks cola,mrpc --methods lora --seeds 2 --output missing --quiet --json'.split(' ')],
      { cwd: root },
    )
    expect(code).toBe(1)
    expect((JSON.parse(stdout) as GlueSweepResult).failed).toMatchObject([
      { cell: 'mrpc.lora.seed-0', attempts: 1 },
      { cell: 'mrpc.lora.seed-1', attempts: 1 },
    ])
    expect(stderr).toMatch(
      /^warning: mrpc\.lora\.seed-0 and 1 more run failed \(1 attempt\): .*glue: expected train\.tsv of mrpc here or in MRPC\/, got neither\n$/,
    )
  })
})
