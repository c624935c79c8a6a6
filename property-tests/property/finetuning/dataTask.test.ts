/** Tasks by name or file: their data, the hold-out of a file, and the message for each wrong flag. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { classColumn, holdOut, tenth, type Example } from '../../../finetuning/data/index.js'
import { loadEvaluation, loadTask, type LoadedTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { SEED } from '../../support/seed.js'
import { refusalOf } from '../../support/refusal.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'
import { regression } from '../../../finetuning/tasks/regression/index.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-task-'))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (name: string, content: string): string => {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

const line = async (options: TaskOptions): Promise<string> => (await refusalOf(() => loadTask(options))).replaceAll(`${folder}/`, '')

const csv = (rows: readonly (readonly [string, string | number])[]): string =>
  `text,label\n${rows.map((row) => `${row.join(',')}\n`).join('')}`
const labeled = <A extends string | number>(n: number, label: (i: number) => A) =>
  Array.from({ length: n }, (_, i) => [`text ${i}`, label(i)] as const)

describe('a task of GLUE', () => {
  mkdirSync(join(folder, 'CoLA'))
  write('CoLA/train.tsv', 'a\t1\t\tOne.\na\t0\t\tTwo.\n')
  write('CoLA/dev.tsv', 'a\t1\t\tThree.')
  const mismatched = write('other.tsv', 'a\t0\t\tFour.')

  it('trains on train.tsv and evaluates on dev.tsv', async () => {
    expect(await loadTask({ task: 'cola', data: folder })).toMatchObject({
      name: 'cola',
      taskType: singleLabel,
      metrics: ['matthews'],
      selectionMetric: 'matthews',
      labelNames: ['unacceptable', 'acceptable'],
      heldOut: false,
      train: {
        examples: [
          { text: 'One.', label: 1 },
          { text: 'Two.', label: 0 },
        ],
      },
      evaluation: { examples: [{ text: 'Three.', label: 1 }] },
    })
  })

  it('evaluates on another file of the same layout, without train.tsv', async () => {
    expect((await loadTask({ task: 'cola', data: folder, evalData: mismatched })).evaluation.examples).toMatchObject([
      { text: 'Four.', label: 0 },
    ])
    expect(await loadEvaluation({ task: 'cola', evalData: mismatched })).toMatchObject({
      metrics: ['matthews'],
      evaluation: { examples: [{ text: 'Four.' }] },
    })
  })

  it('uses only the first training examples, or evaluates on a held-out tenth of them instead of dev', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `a\t${i % 2}\t\tSentence ${i}.\n`).join('')
    mkdirSync(join(folder, 'many/CoLA'), { recursive: true })
    write('many/CoLA/train.tsv', rows)
    write('many/CoLA/dev.tsv', 'a\t1\t\tThree.')
    const data = join(folder, 'many')
    const first = await loadTask({ task: 'cola', data, maxTrainSamples: '7' })
    expect(first.train.examples.map(({ text }) => text)).toEqual(Array.from({ length: 7 }, (_, i) => `Sentence ${i}.`))
    expect(first.evaluation.examples.length).toBe(1)
    const held = await loadTask({ task: 'cola', data, holdOutTrain: true })
    expect([held.train.examples.length, held.evaluation.examples.length, held.heldOut]).toEqual([36, 4, true])
    expect(held.evaluation.examples.filter(({ label }) => label === 1).length).toBe(2)
    expect(new Set([...held.train.examples, ...held.evaluation.examples].map(({ text }) => text)).size).toBe(40)
    for (const wrong of ['0', '1.5', 'all', '-3'])
      expect(await line({ task: 'cola', data, maxTrainSamples: wrong })).toBe(
        `--max-train-samples: expected a whole number of at least 1, got "${wrong}"`,
      )
  })

  it('requires a folder', async () => {
    expect(await line({ task: 'cola' })).toBe("--data: expected the folder of GLUE's CoLA (for --task cola), got none given")
    expect(await line({ task: 'cola', data: join(folder, 'absent') })).toBe("absent: expected a folder with GLUE's CoLA, got none there")
  })
})

describe('an unknown task', () => {
  it('is refused with the list of tasks', async () => {
    const message =
      '--task: expected cola, sst2, mrpc, stsb, rte, qnli, qqp, mnli, wnli, yelp, gyafc, sentiment, alpaca, preference, choice or text, or a .tsv, .csv, .jsonl, .json or .parquet file, got "colla"'
    expect(await line({ task: 'colla' })).toBe(message)
    expect(await refusalOf(() => loadEvaluation({ task: 'colla' }))).toBe(message)
    expect(await line({ task: 'constructor' })).toMatch(/^--task: expected cola/)
  })

  it('refuses another evaluation file for the embedded sentences', async () => {
    expect(await line({ task: 'sentiment', evalData: 'x.csv' })).toBe(
      '--eval-data: expected no file with --task sentiment, whose dev sentences are embedded, got "x.csv"',
    )
  })
})

describe('a labeled file of the user', () => {
  it('is evaluated on the evaluation file, with the classes of the training file', async () => {
    const train = write(
      'train.csv',
      csv([
        ['a', 'no'],
        ['b', 'yes'],
        ['c', 'maybe'],
      ]),
    )
    const evaluation = write('eval.jsonl', '{"text":"d","label":"yes"}')
    const task = await loadTask({ task: train, evalData: evaluation })
    expect(task).toMatchObject({
      labelNames: ['maybe', 'no', 'yes'],
      metrics: ['accuracy', 'matthews'],
      selectionMetric: 'accuracy',
      heldOut: false,
    })
    expect(task.evaluation).toMatchObject({ labelNames: ['maybe', 'no', 'yes'], examples: [{ text: 'd', label: 2 }] })
    const unknown = write('unknown.csv', csv([['d', 'perhaps']]))
    expect(await line({ task: train, evalData: unknown })).toBe(
      'unknown.csv, row 2: expected a label of the training data (maybe, no or yes), got "perhaps"',
    )
  })

  it('holds out a tenth of each class if there is no evaluation file', async () => {
    const task = await loadTask({ task: write('tenth.csv', csv(labeled(200, (i) => (i % 4 === 0 ? 'rare' : 'common')))) })
    const counts = (examples: LoadedTask['train']['examples']) =>
      [0, 1].map((label) => examples.filter((example) => example.label === label).length)
    expect(task).toMatchObject({ heldOut: true, metrics: ['accuracy', 'matthews'], selectionMetric: 'accuracy' })
    expect([counts(task.train.examples), counts(task.evaluation.examples)]).toEqual([
      [135, 45],
      [15, 5],
    ])
  })

  it('holds out a tenth of the rows of a regression, stratified by score', async () => {
    const task = await loadTask({ task: write('scores.csv', csv(labeled(100, (i) => i / 8))), problemType: 'regression' })
    expect(task).toMatchObject({ taskType: regression, labelNames: null, metrics: ['pearson', 'spearman'], selectionMetric: 'mean' })
    expect(task.evaluation.examples.map(({ label }) => Math.floor((8 * label) / 10))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it(`holds out the share of a regression that is asked, of small files too, whose texts may repeat (seed ${SEED})`, async () => {
    const share = fc.constantFrom(0.02, 0.05, 0.1, 0.15, 0.3, 0.5, 0.75, 0.98)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 200 }), fc.integer({ min: 1, max: 3 }), share, async (texts, copies, evalShare) => {
        const scored = labeled(texts, (i) => (i * 7919) % 13)
        const task = write('asked.csv', csv(Array.from({ length: copies }, () => scored).flat()))
        const { train, evaluation } = await loadTask({ task, evalShare, problemType: 'regression' })
        const [kept, held] = [train, evaluation].map(({ examples }) => examples.length / copies) as [number, number]
        expect(kept + held).toBe(texts)
        expect(Math.min(kept, held)).toBeGreaterThanOrEqual(1)
        expect(Math.abs(held - evalShare * texts)).toBeLessThanOrEqual(Math.max(1, evalShare * texts * 0.15))
      }),
      { seed: SEED, numRuns: 50 },
    )
  })

  it('holds out one row of fifteen or two, and five of a hundred if a twentieth is asked', async () => {
    const heldOf = async (rows: number, evalShare?: number) => {
      const task = write('few.csv', csv(labeled(rows, (i) => i / 8)))
      const { evaluation } = await loadTask({ task, problemType: 'regression', ...(evalShare === undefined ? {} : { evalShare }) })
      return evaluation.examples.length
    }
    expect([await heldOf(10), await heldOf(20), await heldOf(50), await heldOf(100, 0.05), await heldOf(100, 0.02)]).toEqual([
      1, 2, 5, 5, 2,
    ])
    expect([1, 2]).toContain(await heldOf(15))
  })

  it('holds out the same rows for the same seed, and others for another', async () => {
    const file = write('seeds.csv', csv(labeled(100, (i) => i % 2)))
    const held = async (holdOutSeed?: number) =>
      (await loadTask(holdOutSeed === undefined ? { task: file } : { task: file, holdOutSeed })).evaluation.examples.map(({ row }) => row)
    expect(await held()).toEqual(await held(0))
    expect(await held(1)).not.toEqual(await held(0))
  })

  it('holds out the share of each class that --eval-share asks for, never all of it, and no text of the rest', async () => {
    const file = write('share.csv', csv(labeled(100, (i) => (i < 80 ? 'common' : i < 97 ? 'rare' : i < 99 ? 'two' : 'one'))))
    for (const [share, counts] of [
      ['0.2', [16, 3, 1, 0]],
      ['0.5', [40, 9, 1, 0]],
      [0.99, [79, 16, 1, 0]],
      ['0.001', [1, 1, 1, 0]],
    ] as const) {
      const { train, evaluation, labelNames, heldOut } = await loadTask({ task: file, evalShare: share })
      const held = ['common', 'rare', 'two', 'one'].map(
        (name) => evaluation.examples.filter(({ label }) => labelNames?.[label] === name).length,
      )
      expect([held, heldOut, train.examples.length]).toEqual([counts, true, 100 - counts.reduce<number>((a, b) => a + b, 0)])
    }
    for (const evalShare of [0, 0.5])
      expect(await line({ task: 'text', data: write('lines.txt', 'a\n\nb\n\nc\n\nd\n'), evalShare })).toBe('no problem')
    for (const wrong of ['1', '20', '-0.1', 'half'])
      expect(await line({ task: file, evalShare: wrong })).toBe(
        `--eval-share: expected a share below 1, such as 0.2, or 0 to train on all rows, got "${wrong}"`,
      )
    expect(await line({ task: file, evalShare: '0.2', evalData: 'other.csv' })).toBe(
      '--eval-share: expected no --eval-data, as a share of the file itself is held out, got "other.csv"',
    )
  })

  it('has test data with the classes of the training data, beside the hold-out or an evaluation file', async () => {
    const file = write('trained.csv', csv(labeled(40, (i) => (i % 2 === 0 ? 'no' : 'yes'))))
    const testData = write('tested.jsonl', '{"text":"new","label":"yes"}')
    const { test, evaluation, train, heldOut } = await loadTask({ task: file, testData })
    expect(test).toMatchObject({ source: testData, labelNames: ['no', 'yes'], examples: [{ text: 'new', label: 1 }] })
    expect([evaluation.examples.length + train.examples.length, heldOut]).toEqual([40, true])
    expect((await loadTask({ task: file })).test).toBeUndefined()
    expect(await line({ task: file, testData: write('odd.csv', csv([['a', 'perhaps']])) })).toBe(
      'odd.csv, row 2: expected a label of the training data (no or yes), got "perhaps"',
    )
    expect(await line({ task: 'sentiment', testData })).toMatch(/^--test-data: expected no file with --task sentiment/)
    const text = write('test.txt', 'one\n\ntwo\n')
    expect((await loadTask({ task: 'text', data: write('train.txt', 'a\n\nb\n'), testData: text })).test?.examples).toHaveLength(2)
  })

  it('is scored by the named class and metric, and lists the valid names if one is unknown', async () => {
    const file = write('named.csv', csv(labeled(40, (i) => (i % 2 === 0 ? 'praise' : 'complaint'))))
    expect(await loadTask({ task: file })).not.toHaveProperty('positive')
    expect(await loadTask({ task: file, positiveLabel: 'complaint' })).toMatchObject({ positive: 0, selectionMetric: 'accuracy' })
    expect(await loadTask({ task: file, positiveLabel: 'praise', metricForBestModel: 'f1' })).toMatchObject({
      positive: 1,
      selectionMetric: 'f1',
    })
    expect(await loadTask({ task: file, metricForBestModel: 'loss' })).toMatchObject({ selectionMetric: 'loss' })
    expect(await line({ task: file, positiveLabel: 'spam' })).toBe('--positive-label: expected complaint or praise, got "spam"')
    expect(await line({ task: file, metricForBestModel: 'f1' })).toBe(
      '--metric-for-best-model: expected --positive-label, which names the class that f1 is of, got none given',
    )
    expect(await line({ task: file, metricForBestModel: 'mse' })).toBe(
      '--metric-for-best-model: expected accuracy, matthews, macroF1, loss or mean, got "mse"',
    )
    const scores = write('numbers.csv', csv(labeled(100, (i) => i / 8)))
    expect(await loadTask({ task: scores, problemType: 'regression', metricForBestModel: 'mae' })).toMatchObject({ selectionMetric: 'mae' })
    expect(await line({ task: scores, problemType: 'regression', positiveLabel: '1' })).toBe(
      '--positive-label: expected none, as a regression has no classes, got "1"',
    )
  })

  it('is refused with a number beyond float64: two of them would be one class', async () => {
    const file = write('large.jsonl', '{"text":"a","label":1e400}\n{"text":"b","label":2e400}\n{"text":"c","label":1}')
    await expect(loadTask({ task: file })).rejects.toThrow(
      `${file}, row 1: expected a number below 1.8e308 in column "label", got Infinity`,
    )
  })

  it('is refused if nothing can be held out', async () => {
    expect(
      await line({
        task: write(
          'two.csv',
          csv([
            ['a', 1],
            ['b', 0],
          ]),
        ),
      }),
    ).toBe(
      'two.csv: expected two different texts of one class, so that one can be held out (or --eval-data), got 2 rows, each of a class of its own',
    )
    const tickets = Array.from({ length: 40 }, (_, i) => [`the text of ${i % 30}`, `T-${i}`].join(','))
    expect(await line({ task: write('ids.csv', ['text,Ticket', ...tickets].join('\n')), label: 'Ticket' })).toBe(
      'ids.csv: expected the column of classes (--label), got "Ticket", with 40 values in 40 rows',
    )
    const equal = Array.from({ length: 50 }, (_, i) => ['the same', i % 2] as const)
    expect(await line({ task: write('equal.csv', csv(equal)) })).toBe(
      'equal.csv: expected two different texts of one class, so that one can be held out (or --eval-data), got 1 different text in 50 rows',
    )
    const same = csv([0, 1, 2].map((score) => ['the same', score]))
    expect(await line({ task: write('same.csv', same), problemType: 'regression' })).toBe(
      'same.csv: expected two different texts, so that one can be held out (or --eval-data), got 1 different text in 3 rows',
    )
  })

  it('is read as a whole for evaluation', async () => {
    const file = write(
      'whole.csv',
      csv([
        ['a', 1],
        ['b', 1],
      ]),
    )
    expect(await loadEvaluation({ task: file, labelNames: ['0', '1'] })).toMatchObject({
      metrics: ['accuracy', 'matthews'],
      evaluation: { examples: [{ label: 1 }, { label: 1 }] },
    })
  })
})

describe(`the hold-out, seed ${SEED}`, () => {
  const example = fc.record({
    text: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz'),
    label: fc.integer({ min: 0, max: 2 }),
    row: fc.nat(),
  })
  const examples = fc.array(example, { minLength: 1, maxLength: 80 })
  const split = (seed: number, rows: readonly Example[]) => holdOut<Example>({ seed, strata: classColumn.strata, ...tenth })(rows)

  it('puts each example on one side, in the order of the file, and no text on both', async () => {
    fc.assert(
      fc.property(examples, fc.nat(), (rows, seed) => {
        const { kept, held } = split(seed, rows)
        expect(rows.filter((row) => kept.includes(row))).toEqual(kept)
        expect(rows.filter((row) => held.includes(row))).toEqual(held)
        expect(kept.length + held.length).toBe(rows.length)
        const texts = new Set(kept.map(({ text }) => text))
        expect(held.filter(({ text }) => texts.has(text))).toEqual([])
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it('takes rows with the same text and different second texts as different examples', () => {
    const pairs = Array.from({ length: 40 }, (_, i) => ({ text: `premise ${i % 2}`, textPair: `hypothesis ${i >> 1}`, label: 0, row: i }))
    expect(split(0, pairs).held.length).toBe(4)
    expect(split(0, [...pairs, ...pairs]).held.length).toBe(8) // each of these twice
    const bare = pairs.map(({ textPair: _, ...row }) => row)
    expect(split(0, bare).held.length).toBe(20) // one text of two
  })

  it('counts a text with two labels once, under the first', async () => {
    const rows = [...labeled(10, () => 0), ...labeled(2, () => 1)].map(([text, label], row) => ({ text, label, row }))
    expect(new Set(split(0, rows).held.map(({ text }) => text)).size).toBe(1) // a tenth of ten, and none of class 1
  })

  it('does not depend on the order of the rows', async () => {
    const distinct = fc.uniqueArray(example, { selector: ({ text }) => text, minLength: 1 })
    const shuffled = distinct.chain((rows) => fc.tuple(fc.constant(rows), fc.shuffledSubarray(rows, { minLength: rows.length })))
    fc.assert(
      fc.property(shuffled, ([rows, others]) => {
        expect(new Set(split(0, others).held)).toEqual(new Set(split(0, rows).held))
      }),
      { seed: SEED, numRuns: 300 },
    )
  })
})
