import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

const { folder: cwd, write } = temporaryFolder('tune-command')
const flags = ['tune', '--model', 'tiny', '--task', 'toy.tsv', '--output', 'search', '--max-length', '16', '--device', 'cpu']
const search = [...flags, '--methods', 'lora', '--ranks', '2', '--learning-rates', '1e-6,1e-2', '--max-steps', '300', '--threads', '1']

/** A metric whose lower values are better. */
const wrongLabels = (factor: string): string =>
  `export const name = 'wrong'\nexport const higherIsBetter = false\nexport const score = (predictions, labels) => (${factor} * labels.filter((label, i) => label !== predictions[i]).length) / labels.length\n`

beforeAll(async () => {
  await writeTinyModel(join(cwd, 'tiny'))
  write('toy.tsv', toyFile(60))
  write('wrong.mjs', wrongLabels('1'))
  write('accuracy.mjs', wrongLabels('1').replace("'wrong'", "'accuracy'"))
})

describe('salora tune', () => {
  it('finds the learning rate that learns, prints a command that trains with it, and repeats no run', async () => {
    const first = await salora([...search, '--json'], { cwd })
    expect([first.code, first.stderr]).toEqual([0, expect.stringContaining('round 2 of 2: 1 candidate, 300 steps each')])
    const { best, command, trials } = JSON.parse(first.stdout) as {
      readonly best: { readonly name: string; readonly score: number }
      readonly command: string
      readonly trials: readonly unknown[]
    }
    expect([best.name, best.score, trials.length]).toEqual(['lora, rank 2, 1e-2', 1, 3])
    const [, ...words] = command.split(' ')
    expect((await saloraIn([...words, '--max-steps', '2', '--output', 'again', '--quiet'], { cwd })).code).toBe(0)
    const second = await salora(search, { cwd })

    expect(second.stderr.match(/already done/g)).toHaveLength(3)
    expect(second.stdout).toContain('\ntrain with it:\nsalora train --model ')
    const other = await salora([...search, '--batch-size', '4'], { cwd })
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('expected a run of this sweep (or another --output)')])
  })

  it('lets a metric of your own choose by its direction, prints a command with it, and refuses another module later', async () => {
    const own = ['--metric', 'wrong.mjs', '--metric-for-best-model', 'wrong']
    const scored = [...search.map((word) => (word === 'search' ? 'scored' : word === '300' ? '20' : word)), ...own]
    const first = await salora([...scored, '--json'], { cwd })
    expect(first.code, first.stderr).toBe(0)
    const { best, command, selectedBy, trials } = JSON.parse(first.stdout) as {
      readonly best: { readonly score: number; readonly name: string }
      readonly command: string
      readonly selectedBy: string
      readonly trials: readonly { readonly score: number }[]
    }
    expect([selectedBy, best.score]).toEqual(['wrong', Math.max(...trials.map(({ score }) => score))])
    expect(Math.min(...trials.map(({ score }) => score))).toBeLessThan(0) // the negative share of wrong labels
    expect(command).toMatch(/ --metric \S*wrong\.mjs /)
    const second = await salora(scored, { cwd })
    expect(second.stderr.match(/already done/g)).toHaveLength(trials.length)
    write('wrong.mjs', wrongLabels('2'))
    const changed = await salora(scored, { cwd })
    expect([changed.code, changed.stderr]).toEqual([
      1,
      expect.stringContaining('expected a run with the metric of this search (or another --output)'),
    ])
    write('wrong.mjs', wrongLabels('1'))
  })

  it('trains each fold of a candidate, and repeats none', async () => {
    const folds = [...flags.map((word) => (word === 'search' ? 'folds' : word)), '--methods', 'lora', '--ranks', '2', '--folds', '2']
    const short = [...folds, '--learning-rates', '1e-2', '--max-steps', '3', '--threads', '1']
    const first = await salora(short, { cwd })
    expect([first.code, first.stderr.match(/fold-\d: .*accuracy/g)?.length], first.stderr).toEqual([0, 2])
    const second = await salora(short, { cwd })
    expect([second.stdout, second.stderr.match(/already done/g)?.length]).toEqual([first.stdout, 2])
  })
})
