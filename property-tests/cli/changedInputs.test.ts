/** A run whose task, model or settings changed after training is not resumed, scored or used as if they had not. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { treeOf } from '../hostile/survival.js'
import { saloraHere, saloraIn } from './inProcess.js'
import { runJob } from './jobRun.js'
import { tinyTensors } from './tinyModel.js'
import { toyRows } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const complete = toyFolder('changed', { 'toy.tsv': 60 })
let root = ''
let made = 0
const at = (...names: readonly string[]): string => join(root, ...names)

/** Model, task and a finished run beside each other. */
beforeAll(async () => {
  const [model, task, output] = ['tiny', 'toy.tsv', 'run'].map((name) => join(complete, name))
  const flags = {
    ...{ method: 'salora', gateStart: '0.2', gateEnd: '0.5', maxSteps: '4', batchSize: '4', density: '0.5', saveSteps: '2' },
    ...{ maxLength: '16', device: 'cpu', threads: '1' },
  }
  await runJob({ model, task, output, ...flags })
})
beforeEach(async () => {
  root = join(complete, `case-${made++}`)
  for (const name of ['tiny', 'toy.tsv', 'run']) await cp(join(complete, name), at(name), { recursive: true })
  // as if it had been trained where it is now
  await edit('run/config.json', (text) => text.replaceAll(`${complete}/`, `${root}/`))
})

const edit = async (name: string, change: (text: string) => string): Promise<void> => {
  const before = await readFile(at(name), 'utf8')
  expect(change(before)).not.toBe(before)
  await writeFile(at(name), change(before))
}
const editRows = (change: (rows: readonly string[]) => readonly string[]): Promise<void> =>
  edit('toy.tsv', (text) => {
    const [header = '', ...rows] = text.split('\n')
    return [header, ...change(rows)].join('\n')
  })
/** As a kill leaves it: without a result. */
const unfinished = (): Promise<void> => rm(at('run', 'result.json'))
const resumed = async (): Promise<string> =>
  runJob({ resume: true, output: at('run') }).then(
    () => 'it went on',
    (thrown: unknown) => (thrown as Error).message,
  )

const swapped: Readonly<Record<string, string>> = { good: 'bad', bad: 'good' }
const swapLabels = (): Promise<void> => editRows((rows) => rows.map((row) => row.replace(/(?<=\t)\w+$/, (label) => swapped[label] ?? '')))

const changes: Readonly<Record<string, readonly [string, () => Promise<void>]>> = {
  'whose labels are swapped': ['training rows was', swapLabels],
  'one of whose classes has another name': [
    'classes was "bad, good" and is "bad, great"',
    () => editRows((rows) => rows.map((row) => row.replace(/\tgood$/, '\tgreat'))),
  ],
  'that lost rows': ['training rows was "54 of sha256 ', () => editRows((rows) => rows.slice(0, 50))],
  'whose rows stand in another order': ['training rows was "54 of sha256 ', () => editRows((rows) => rows.toReversed())],
  'whose model has other weights': [
    "the model's model.safetensors was",
    () =>
      writeFile(
        at('tiny', 'model.safetensors'),
        writeSafetensors(
          new Map([...tinyTensors()].map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data, (x) => 1.5 * x) }])),
        ),
      ),
  ],
  'whose tokenizer gives two words the ids of each other': [
    "the model's tokenizer.json was",
    () =>
      edit('tiny/tokenizer.json', (text) => {
        const json = JSON.parse(text) as { readonly model: { readonly vocab: Readonly<Record<string, number>> } }
        const { vocab } = json.model
        const [a = '', b = ''] = Object.keys(vocab).slice(300, 302)
        return JSON.stringify({ ...json, model: { ...json.model, vocab: { ...vocab, [a]: vocab[b], [b]: vocab[a] } } })
      }),
  ],
  'whose model has another activation': [
    "the model's config.json was",
    () => edit('tiny/config.json', (text) => text.replace('"gelu"', '"gelu_new"')),
  ],
  'whose config.json has another seed': [
    'seed was 0 and is 1',
    () => edit('run/config.json', (text) => text.replace('"seed": 0', '"seed": 1')),
  ],
  'whose config.json has another density': [
    'density was 0.5 and is 0.25',
    () => edit('run/config.json', (text) => text.replace('"density": 0.5', '"density": 0.25')),
  ],
}

describe.each(Object.entries(changes))('a run %s', (_, [told, change]) => {
  it('is not resumed: the error names the difference, and no file changes', async () => {
    await unfinished()
    await change()
    const before = await treeOf(at('run'))
    expect(await resumed()).toContain(told)
    expect(await treeOf(at('run'))).toEqual(before)
  })
})

describe.each(Object.entries(changes).filter(([name]) => /model|tokenizer/.test(name)))('a run %s', (_, [told, change]) => {
  it('is not scored or exported by --run, but by --model and --adapter', async () => {
    await change()
    const named = ['--model', at('tiny'), '--adapter', at('run', 'adapter')]
    const exporting = ['--format', 'peft', '--output', at('exported')]
    for (const [command, ...more] of [['evaluate'], ['export', ...exporting]] as const) {
      const { code, stdout, stderr } = await saloraHere(command, '--run', at('run'), ...more)
      expect([code, stdout]).toEqual([1, ''])
      expect(stderr).toContain(
        `${at('tiny')}: expected the model that ${at('run')} was trained on (--model and --adapter take any), got ${told}`,
      )
    }
    expect((await saloraHere('evaluate', ...named, '--task', at('toy.tsv'))).code).toBe(0)
    expect((await saloraHere('export', ...named, ...exporting)).code).toBe(0)
  })
})

it('salora predict refuses a run whose model changed', async () => {
  await changes['whose model has other weights']?.[1]()
  const { code, stdout, stderr } = await saloraIn(['predict', '--run', 'run'], { cwd: root, input: 'a good film\n' })
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^\S+\/tiny: expected the model that run was trained on .*, got the model's model\.safetensors was .*\n$/)
})

describe('a run whose inputs are unchanged', () => {
  it('is resumed and scored, also with a moved model that --model names', async () => {
    await unfinished()
    expect(await resumed()).toBe('it went on')
    await cp(at('tiny'), at('moved'), { recursive: true })
    await rm(at('tiny'), { recursive: true })
    expect((await saloraHere('evaluate', '--run', at('run'), '--model', at('moved'))).code).toBe(0)
  })

  it('is resumed and scored if an earlier version wrote it without fingerprints', async () => {
    await unfinished()
    await edit('run/config.json', (text) => {
      const { inputs: _, ...rest } = JSON.parse(text) as Readonly<Record<string, unknown>>
      return JSON.stringify(rest)
    })
    await rm(at('run', 'rows.json'))
    expect(JSON.parse((await saloraHere('evaluate', '--run', at('run'), '--json')).stdout)).toMatchObject({ examples: 6, trainedOn: null })
    expect(await resumed()).toBe('it went on')
  })
})

type Scored = { readonly examples: number; readonly scores: object; readonly trainedOn: number | null }
const scored = async (...args: readonly string[]) => {
  const { code, stdout, stderr } = await saloraHere('evaluate', '--run', at('run'), '--json', ...args)
  expect([code, stderr.includes('expected')]).toEqual([0, false])
  return { ...(JSON.parse(stdout) as Scored), warnings: stderr.match(/warning: (?!every example).*/g) ?? [] }
}
const newRows = (count: number): readonly string[] =>
  toyRows(60 + count)
    .slice(60)
    .map(({ text, label }) => `${text}\t${label}`)

describe('the held-out part of a run', () => {
  it('has the same rows after the file grew, although a new split would hold out others', async () => {
    const before = await scored()
    expect(before).toMatchObject({ examples: 6, trainedOn: 0, warnings: [] })
    await editRows((rows) => [...newRows(60), ...rows])
    expect({ ...(await scored()), seconds: 0 }).toEqual({ ...before, seconds: 0 })
  })

  it('has the remaining rows after some were deleted, with a warning', async () => {
    await editRows((rows) => rows.slice(0, 30))
    const { examples, trainedOn, warnings } = await scored()
    expect(examples).toBeLessThan(6)
    expect(trainedOn).toBe(0)
    expect(warnings).toEqual([`warning: ${at('toy.tsv')}: the rows that the run was evaluated on were 6, and ${examples} are there now`])
  })

  it('gives a warning if its labels changed', async () => {
    await swapLabels()
    expect(await scored()).toMatchObject({
      examples: 6,
      warnings: [expect.stringContaining('the rows that the run was evaluated on are there with other labels, texts or in another order')],
    })
  })
})

describe('texts of the training data', () => {
  it('are counted next to the score, as text and in JSON', async () => {
    expect(await scored('--task', at('toy.tsv'))).toMatchObject({ examples: 60, trainedOn: 54 })
    expect((await saloraHere('evaluate', '--run', at('run'), '--eval-data', at('toy.tsv'))).stdout).toContain(
      'the run trained on 54 of these 60 texts, so these scores say little about new ones',
    )
  })

  it('are not reported for a file of other texts', async () => {
    await writeFile(at('new.tsv'), ['text\tlabel', ...newRows(8)].join('\n'))
    expect(await scored('--task', at('new.tsv'))).toMatchObject({ examples: 8, trainedOn: 0 })
  })
})
