/** openRun: what a run's folder knows about itself, batches that answer as single calls do, and folders that are no run. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MessagePort } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  finetuneJob,
  openRun,
  openTrainedAdapter,
  type OpenRun,
  type RunPrediction,
  type RunTaskType,
  type TaskOptions,
} from '../../../index.js'
import { taskTypes } from '../../../finetuning/tasks/findTaskType.js'
import { toText } from '../../../finetuning/use/serving/openRun.js'
import { runColumns } from '../../../finetuning/use/runSource.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyRows } from '../../cli/toyTask.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'
import { nearly } from '../../support/nearly.js'

const { folder, write } = temporaryFolder('open-run')
const at = (name: string): string => join(folder, name)

const train = async (output: string, task: Omit<TaskOptions, 'task'>, rows: readonly string[]): Promise<void> => {
  const file = write(`${output}.csv`, rows.join('\n'))
  const options = {
    model: at('tiny'),
    task: { task: file, ...task },
    output: at(output),
    settings: { method: 'lora', maxSteps: 1, batchSize: 8, maxLength: 16, device: 'cpu' },
  } as const
  for await (const _ of finetuneJob(options, new AbortController().signal));
}

let run: OpenRun<'classification'>
beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await train('reviews', { text: 'review', label: 'stars' }, [
    'id,review,stars',
    ...toyRows(40).map(({ text, label }, i) => `${i},${text},${label}`),
  ])
  run = await openRun(at('reviews'), { taskType: 'classification' })
})
afterAll(() => run.release())

const texts = ['good fine great film', 'bad', 'a film', 'good bad good', 'poor poor dull film, poor and dull and bad', 'fine']

describe('openRun', () => {
  it('knows model, method, task type, length, labels and columns from the folder', () =>
    expect(run).toMatchObject({
      folder: at('reviews'),
      model: at('tiny'),
      method: 'lora',
      taskType: 'classification',
      maxLength: 16,
      labelNames: ['bad', 'good'],
      columns: { text: 'review' },
    }))

  it('answers { label, score, scores } as openTrainedAdapter does', async () => {
    const adapter = await openTrainedAdapter({ model: at('tiny'), adapter: join(at('reviews'), 'adapter'), maxLength: 16 })
    for (const text of texts) expect(await run.predict(text)).toEqual(nearly((await adapter.predictions([{ text }]))[0]))
    await adapter.release()
  })

  it('answers concurrent calls, and a list, within the rounding of float32 of single calls', async () => {
    const single: RunPrediction<'classification'>[] = []
    for (const text of texts) single.push(await run.predict(text))
    for (const together of [await Promise.all(texts.map((text) => run.predict(text))), await run.predict(texts)])
      together.forEach((answer, i) => {
        expect(answer.label).toBe(single[i]?.label)
        for (const [label, score] of Object.entries(answer.scores)) expect(score).toBeCloseTo(single[i]?.scores[label] ?? NaN, 5)
      })
    expect(new Set(single.map(({ score }) => score)).size).toBe(texts.length)
  })

  it('types a prediction by the task type, which a program compares or names; a run of another one is refused', async () => {
    const any = await openRun(at('reviews'))
    const untyped = await any.predict('good film')
    // @ts-expect-error a run of any task may have no label
    expect(untyped.label).toBe((await run.predict('good film')).label)
    if (any.taskType === 'regression') (await any.predict('good film')).value satisfies number
    else if (any.taskType === 'classification')
      expect((await any.predict(['good film']))[0]?.label satisfies string | undefined).toBeDefined()
    await any.release()
    await expect(openRun(at('reviews'), { taskType: 'regression' })).rejects.toThrow(
      `${at('reviews')}: expected a run of task type regression, got one of classification`,
    )
  })

  it('types the predictions of every task type that predicts', () => {
    const typed: Readonly<Record<Exclude<RunTaskType, 'causal'>, true>> = {
      ...{
        classification: true,
        'multi-label': true,
        regression: true,
        'token-classification': true,
        similarity: true,
        pairs: true,
        rerank: true,
      },
    }
    const predicting = taskTypes.flatMap(({ name, predictions }) => (predictions === undefined ? [] : [name]))
    expect(Object.keys(typed).toSorted()).toEqual(predicting.toSorted())
  })

  it('takes a text, { text }, or a row with the columns of the data', async () => {
    const expected = await run.predict('good film')
    expect(await run.predict({ text: 'good film' })).toEqual(expected)
    expect(await run.predict({ id: 7, review: 'good film', stars: 'bad' })).toEqual(expected)
  })

  it('refuses a wrong text in one line, and answers the calls beside it', async () => {
    const results = await Promise.allSettled([run.predict('good'), run.predict(' '), run.predict({ id: 7 }), run.predict('bad')])
    expect(results.map((one) => (one.status === 'fulfilled' ? 'answered' : (one.reason as Error).message))).toEqual([
      'answered',
      `${at('reviews')}: expected a text, got an empty one`,
      `${at('reviews')}: expected a text, or an object with "review", got {"id":7}`,
      'answered',
    ])
    await expect(run.generate('a').next()).rejects.toThrow('a run that writes text, got one that predicts')
  })

  it('waits for running calls when it is released, may be released twice, and then refuses calls', async () => {
    const other = await openRun(at('reviews'), { threads: 1, taskType: 'classification' })
    const answers = texts.map((text) => other.predict(text))
    await Promise.all([other.release(), other.release()])
    expect((await Promise.all(answers)).every(({ label }) => label !== undefined)).toBe(true)
    await other.release()
    await expect(other.predict('late')).rejects.toThrow(`${at('reviews')}: expected calls before release, got one after it`)
    await expect(other.predict(['late'])).rejects.toThrow(`${at('reviews')}: expected calls before release, got one after it`)
  })

  it('asks its thread once to free the model, however often it is released', async () => {
    const sent = vi.spyOn(MessagePort.prototype, 'postMessage')
    const other = await openRun(at('reviews'), { threads: 1 })
    await Promise.all([other.release(), other.release()])
    await other.release()
    expect(sent.mock.calls.filter(([message]) => (message as { readonly kind?: string }).kind === 'release')).toHaveLength(1)
    sent.mockRestore()
  })

  it('answers { value } for a regression and { labels, scores } for several labels', async () => {
    const rows = toyRows(40)
    await train('regression', { problemType: 'regression' }, [
      'text,label',
      ...rows.map(({ text, label }) => `${text},${label === 'good' ? 1.5 : 0.5}`),
    ])
    await train('several', { problemType: 'multi-label' }, [
      'text,label',
      ...rows.map(({ text, label }) => `${text},${label}|${text.length % 2 === 0 ? 'even' : 'odd'}`),
    ])
    const [value, several] = [await openRun(at('regression')), await openRun(at('several'))]
    expect([value.taskType, value.labelNames]).toEqual(['regression', null])
    expect(await value.predict('good')).toEqual({ value: expect.any(Number) as number })
    expect(await several.predict('good')).toEqual({
      labels: expect.any(Array) as string[],
      scores: {
        bad: expect.any(Number) as number,
        even: expect.any(Number) as number,
        good: expect.any(Number) as number,
        odd: expect.any(Number) as number,
      },
    })
    await value.release()
    await several.release()
  })
})

/** What a caller without types may hand over, and what the message says that it got. */
const circle: { itself?: unknown } = {}
circle.itself = circle
const wrongTexts: readonly (readonly [string, unknown, string])[] = [
  ['a number', 5, '5'],
  ['null', null, 'null'],
  ['nothing', undefined, 'nothing'],
  ['no text', {}, '{}'],
  ['a number as its text', { text: 5 }, '5'],
  ['null as its text', { text: null }, 'null'],
  ['a list as its text', { text: ['good'] }, '["good"]'],
  ['a truth value', true, 'true'],
  ['a function', () => 'good', 'a function'],
  ['a symbol', Symbol('good'), 'a symbol'],
  ['a bigint', 5n, '5n'],
  ['a circle', circle, 'an object'],
]

describe('predict in JavaScript, with what is no text', () => {
  it.each(wrongTexts)('is refused by openRun in one line: %s', async (_, wrong, got) => {
    const expected = `${at('reviews')}: expected a text, or an object with "review", got ${got}`
    await expect(run.predict(wrong as never)).rejects.toThrow(expected)
    await expect(run.predict(['good', wrong as never])).rejects.toThrow(expected)
  })

  it('is refused by openRun for a list within a list', () =>
    expect(run.predict([['good'] as never])).rejects.toThrow(`expected a text, or an object with "review", got ["good"]`))

  describe('is refused by openTrainedAdapter in one line that names the text', () => {
    let adapter: Awaited<ReturnType<typeof openTrainedAdapter>>
    beforeAll(async () => {
      adapter = await openTrainedAdapter({ model: at('tiny'), adapter: join(at('reviews'), 'adapter'), maxLength: 16 })
    })
    afterAll(() => adapter.release())

    it.each([...wrongTexts, ['a text without its object', 'good', '"good"'] as const])('%s', async (_, wrong, got) => {
      const expected = `texts[1]: expected an object with a text, such as { text: "…" }, got ${got}`
      await expect(adapter.predict([{ text: 'good' }, wrong as never])).rejects.toThrow(expected)
      await expect(adapter.predictions([{ text: 'good' }, wrong as never])).rejects.toThrow(expected)
    })

    it.each([null, undefined, 'good', { text: 'good' }])('no list: %j', (wrong) =>
      expect(adapter.predict(wrong as never)).rejects.toThrow('texts: expected a list such as [{ text: "…" }], got '),
    )

    it('a second text that is none', () =>
      expect(adapter.predict([{ text: 'good', textPair: 5 as never }])).rejects.toThrow(
        'texts[0].textPair: expected a text, or none, got 5',
      ))
  })
})

describe('openTrainedAdapter', () => {
  it('waits for running calls when it is released, may be released twice, and then refuses calls', async () => {
    const adapter = await openTrainedAdapter({ model: at('tiny'), adapter: join(at('reviews'), 'adapter'), maxLength: 16 })
    const expected = await adapter.predict([{ text: 'good film' }])
    const running = adapter.predict([{ text: 'good film' }])
    await Promise.all([adapter.release(), adapter.release()])
    expect(await running).toEqual(expected)
    await adapter.release()
    const late = `${at('tiny')}: expected calls before release, got one after it`
    await expect(adapter.predict([{ text: 'late' }])).rejects.toThrow(late)
    await expect(adapter.predictions([{ text: 'late' }])).rejects.toThrow(late)
  })
})

describe('openRun of other types of tasks', () => {
  it('answers { similarity } for two texts and { embedding } for one, whose products it is', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `the film ${i},a soup of ${i % 7},${i % 2 === 0 ? 1 : 0.25}`)
    await train('similar', { text: 'a', textPair: 'b', problemType: 'similarity' }, ['a,b,label', ...rows])
    const similar = await openRun(at('similar'), { taskType: 'similarity' })
    expect([similar.taskType, similar.labelNames, similar.columns]).toEqual(['similarity', null, { text: 'a', textPair: 'b' }])
    const [pair, first, second] = await similar.predict([{ a: 'the film', b: 'a soup' }, 'the film', 'a soup'])
    await similar.release()
    const [left = [], right = []] = [first, second].map((one) => (one !== undefined && 'embedding' in one ? one.embedding : []))
    const product = left.reduce((sum, x, i) => sum + x * (right[i] ?? NaN), 0)
    expect(pair).toEqual({ similarity: expect.closeTo(product, 5) as number })
    expect(Object.keys(first ?? {})).toEqual(['embedding'])
  })

  it('refuses one text in one line where the run was trained on pairs, and two where it was not', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `the film ${i},a soup of ${i % 7},${i % 2 === 0 ? 'good' : 'bad'}`)
    await train('pairs', { text: 'text', textPair: 'other' }, ['text,other,label', ...rows])
    const pairs = await openRun(at('pairs'))
    const wrong = ['the film', { text: 'the film' }, { text: 'the film', label: 'good' }]
    const messageOf = (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'answered',
        (thrown: unknown) => (thrown as Error).message,
      )
    for (const given of wrong)
      expect(await messageOf(pairs.predict(given))).toBe(`${at('pairs')}: expected two texts, as in the data of the run, got one`)
    expect(await pairs.predict([{ text: 'the film', other: 'a soup' }])).toEqual([
      await pairs.predict({ text: 'the film', other: 'a soup', id: 7 }),
    ])
    await pairs.release()
    expect(await messageOf(run.predict({ text: 'the film', textPair: 'a soup' }))).toBe(
      `${at('reviews')}: expected one text, as in the data of the run, got two`,
    )
    const plain = { text: 'text' }
    expect(toText({ text: 'a', textPair: 'b' }, plain, 'run')).toEqual({ text: 'a', textPair: 'b' })
    expect(toText({ text: 'a', other: 'b' }, plain, 'run')).toEqual({ text: 'a' })
    expect(toText({ text: 'a', textPair: 'b' }, { text: 'text', textPair: 'other' }, 'run')).toEqual({ text: 'a', textPair: 'b' })
  })

  it('answers { entities } for token classification, each with its place in the text', async () => {
    const sentence = (i: number): string => `Ann\tB-person\nwent\tO\nto\tO\nRome\tB-place\n${i}\tO\n`
    const file = write('tagged.conll', Array.from({ length: 24 }, (_, i) => sentence(i)).join('\n'))
    const settings = { method: 'lora', maxSteps: 30, batchSize: 8, maxLength: 16, learningRate: 0.05, device: 'cpu' } as const
    const options = { model: at('tiny'), task: { task: file }, output: at('tagged'), settings }
    for await (const _ of finetuneJob(options, new AbortController().signal));
    const tagged = await openRun(at('tagged'), { taskType: 'token-classification' })
    const text = 'Ann went to Rome 3'
    const { entities, ...others } = await tagged.predict(text)
    await tagged.release()
    expect([tagged.taskType, others]).toEqual(['token-classification', {}])
    expect(entities.length).toBeGreaterThan(0)
    for (const { word, start, end, entity_group, score } of entities) {
      expect(text.slice(start, end)).toBe(word)
      expect(['person', 'place']).toContain(entity_group)
      expect(score > 1 / 5 && score <= 1).toBe(true)
    }
  })
})

describe('a folder that is no run', () => {
  const refusal = (name: string): Promise<string> =>
    openRun(at(name)).then(
      () => 'none',
      (thrown: unknown) => (thrown as Error).message.replaceAll(`${folder}/`, ''),
    )
  it('is refused in one line that says what to use instead', async () => {
    expect(await refusal('nowhere')).toBe('nowhere: expected the folder of a run of salora train, got no config.json there')
    expect(await refusal('tiny')).toBe(
      'tiny: expected the folder of a run of salora train, got a model (openTrainedAdapter({ model, adapter: null }) opens it, and salora predict --model)',
    )
    expect(await refusal('reviews/adapter')).toBe(
      'reviews/adapter: expected the folder of a run of salora train, got an adapter (openTrainedAdapter({ model, adapter }) opens it, and salora predict --model --adapter)',
    )
  })

  it.each([undefined, null, 5, ['reviews']])('is refused in one line if it is no text: %j', (wrong) =>
    expect(openRun(wrong as unknown as string)).rejects.toThrow(/^openRun: expected the folder of a run, got /),
  )

  it('is refused if its run has no adapter yet, is of an older version, or has lost its model', async () => {
    await mkdir(at('begun/adapter'), { recursive: true })
    const config = { formatVersion: 2, model: at('tiny'), task: { task: 'toy.tsv' }, settings: { method: 'lora' } }
    await writeFile(at('begun/config.json'), JSON.stringify(config))
    expect(await refusal('begun')).toBe(
      'begun: expected a run with an adapter, got one without (it has not ended: resume it with salora train --resume)',
    )
    await writeFile(at('begun/config.json'), JSON.stringify({ ...config, formatVersion: 1, versions: { salora: '0.1.0' } }))
    expect(await refusal('begun')).toMatch(/^begun\/config\.json: expected a run folder of salora 0\.2\.0 or newer, got one of 0\.1\.0/)
    await train('lost', {}, ['text,label', ...toyRows(40).map(({ text, label }) => `${text},${label}`)])
    await rm(at('tiny'), { recursive: true })
    expect(await refusal('lost')).toMatch(/^model "tiny": expected a folder in Hugging Face layout, a hub id/)
    await writeTinyModel(at('tiny'))
  })
})

describe('the texts of a row', () => {
  it('are a pair for the tasks of GLUE that have pairs, under our own names', () => {
    const columnsOfTask = (task: string) => runColumns({ task: { task } })
    expect(['mrpc', 'stsb', 'mnli'].map(columnsOfTask)).toEqual(Array(3).fill({ text: 'text', textPair: 'textPair' }))
    expect(['cola', 'sst2', 'toy.tsv', 'toString'].map(columnsOfTask)).toEqual(Array(4).fill({ text: 'text' }))
    expect(runColumns({ task: { task: 'x.csv', text: 'a', textPair: 'b' } })).toEqual({ text: 'a', textPair: 'b' })
    expect(toText({ text: 'a', textPair: 'b' }, columnsOfTask('mrpc'), 'run')).toEqual({ text: 'a', textPair: 'b' })
  })

  it('come from the columns of the run, with a pair where the run has one', () => {
    const columns = { text: 'premise', textPair: 'hypothesis' }
    expect(toText({ premise: 'a', hypothesis: 'b', id: 1 }, columns, 'run')).toEqual({ text: 'a', textPair: 'b' })
    expect(toText({ text: 'a', textPair: 'b' }, columns, 'run')).toEqual({ text: 'a', textPair: 'b' })
    expect(() => toText({ premise: 'a', hypothesis: 7 }, columns, 'run')).toThrow('run: expected a second text in "hypothesis", got 7')
    expect(() => toText(7 as never, columns, 'run')).toThrow('run: expected a text')
  })
})
