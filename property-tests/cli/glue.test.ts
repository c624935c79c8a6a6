/** salora glue: runs of a tiny model, and one line per error. */
import { describe, expect, it } from 'vitest'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { flags, machine, sweepFolder } from './sweepFolder.js'

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

describe('salora glue prints one line for', () => {
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
