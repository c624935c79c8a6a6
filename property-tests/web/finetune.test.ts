/** `salora/web` on Node's processor and in memory: the bits and the files of the same run on the disk, and predictions. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { exportOnnx } from '../../accelerated/formats/exportOnnx.js'
import { openTrainedAdapter, loadTrainedModel } from '../../finetuning/use/openModel.js'
import { readPageFiles } from '../../reporting/report/pageFiles.js'
import { makeReport } from '../../reporting/report/makeReport.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent, FinetuneOptions } from '../../finetuning/run/run.js'
import {
  exportForTransformersJs,
  finetune,
  inspect,
  memoryStorage,
  methodNames,
  predictor,
  readColumns,
  readRunEvents,
  report,
  type Place,
  type Storage,
} from '../../web/index.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'

const csv = `text,label\n${Array.from({ length: 24 }, (_, i) => `the film is ${i % 2 === 0 ? 'good' : 'bad'} ${'very '.repeat(i % 5)},${i % 2 === 0 ? 'yes' : 'no'}`).join('\n')}\n`
const settings = {
  method: 'salora',
  maxSteps: 8,
  batchSize: 4,
  maxLength: 16,
  saveSteps: 2,
  evalSteps: 4,
  learningRate: 0.01,
  threads: 1,
} as const
const modelFiles = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']

it('offers the default method first, which the page selects', () => expect(methodNames[0]).toBe(resolveSettings({}).method))

const { folder: root } = temporaryFolder('web')
let onDisk: readonly FinetuneEvent[] = []
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
  await writeFile(join(root, 'films.csv'), csv)
  const options = {
    model: join(root, 'tiny'),
    task: { task: join(root, 'films.csv') },
    output: join(root, 'run'),
    settings: { ...settings, device: 'cpu' as const },
  }
  onDisk = await collected(finetuneJob(options, new AbortController().signal))
})

const collected = async (run: AsyncIterable<FinetuneEvent>): Promise<readonly FinetuneEvent[]> => {
  const events: FinetuneEvent[] = []
  for await (const event of run) events.push(event)
  return events
}

/** A storage in memory with the model and the data. */
const filled = async (): Promise<Storage> => {
  const storage = memoryStorage()
  for (const folder of ['tiny', 'data']) await storage.makeFolder(folder)
  for (const name of modelFiles) await storage.write(`tiny/${name}`, await readFile(join(root, 'tiny', name)))
  await storage.write('data/films.csv', csv)
  return storage
}

const options: FinetuneOptions = { model: 'tiny', task: { task: 'data/films.csv' }, output: 'run', settings }
const steps = (events: readonly FinetuneEvent[]) =>
  events.flatMap((event) => (event.kind === 'step' ? [[event.step, event.loss, event.gradientNorm]] : []))
const bytesOf = async (storage: Storage, path: string): Promise<Buffer> => {
  const file = await storage.open(path)
  return Buffer.from(await file.read(0, file.size))
}

describe('salora/web', () => {
  it('has the bits of the run on the disk, its events and its files', async () => {
    const storage = await filled()
    const events = await collected(finetune(options, { storage, device: cpu }))
    expect(steps(events).length).toBe(8)
    expect(steps(events)).toEqual(steps(onDisk))
    const kinds = (of: readonly FinetuneEvent[]) => of.map(({ kind }) => kind).filter((kind) => kind !== 'estimate')
    expect(kinds(events)).toEqual(kinds(onDisk))
    expect(await bytesOf(storage, 'run/adapter/adapter_model.safetensors')).toEqual(
      await readFile(join(root, 'run/adapter/adapter_model.safetensors')),
    )
    expect(await bytesOf(storage, 'run/rows.json')).toEqual(await readFile(join(root, 'run/rows.json')))
    const config = JSON.parse(String(await bytesOf(storage, 'run/config.json'))) as Readonly<Record<string, unknown>>
    const theirs = JSON.parse(await readFile(join(root, 'run/config.json'), 'utf8')) as typeof config
    expect(Object.keys(config).sort()).toEqual(Object.keys(theirs).sort())
    expect(config['inputs']).toEqual(theirs['inputs'])
    const open = await predictor('run', { storage, device: cpu })
    const opened = await openTrainedAdapter({
      model: join(root, 'tiny'),
      adapter: join(root, 'run/adapter'),
      maxLength: 16,
      device: 'cpu',
      threads: 1,
    })
    const texts = [{ text: 'a good film' }, { text: 'bad' }]
    expect(await open.predictions(texts)).toEqual(await opened.predictions(texts))
    await Promise.all([open.release(), opened.release()])

    for (const name of ['config.json', 'metrics.jsonl', 'result.json', 'rows.json', 'evaluation.json']) {
      await mkdir(join(root, 'copied'), { recursive: true })
      await writeFile(join(root, 'copied', name), await bytesOf(storage, `run/${name}`))
    }
    await makeReport({ folders: [join(root, 'copied')], output: join(root, 'report.html'), figures: null })
    expect(await readFile(join(root, 'report.html'), 'utf8')).toContain('films')

    await storage.makeFolder('export')
    await exportForTransformersJs('run', { storage }, { storage, folder: 'export' })
    const adapter = join(root, 'run/adapter')
    const trained = await loadTrainedModel({ model: join(root, 'tiny'), adapter })
    await mkdir(join(root, 'export'))
    await exportOnnx(join(root, 'export'), trained, trained.adapter.labelNames, { maxLength: 16 })
    for (const name of ['onnx/model.onnx', 'config.json', 'tokenizer.json'])
      expect((await bytesOf(storage, `export/${name}`)).equals(await readFile(join(root, 'export', name))), name).toBe(true)
  })

  it('predicts watched texts at each evaluation, with the texts of that moment, and without another bit of the run', async () => {
    const storage = await filled()
    const shown: (readonly object[])[] = []
    const texts = () => (shown.length === 0 ? [{ text: 'a good film' }] : [{ text: 'bad' }, { text: 'a good film' }])
    const watch = { texts, show: (predictions: readonly object[]) => void shown.push(predictions) }
    const events = await collected(
      finetune({ ...options, settings: { ...settings, loadBestModelAtEnd: false } }, { storage, device: cpu, watch }),
    )
    expect(steps(events)).toEqual(steps(onDisk))
    expect(shown.map(({ length }) => length)).toEqual([1, 2]) // evaluations after steps 4 and 8
    const open = await predictor('run', { storage, device: cpu })
    const expected = (await open.predictions([{ text: 'bad' }, { text: 'a good film' }])) as readonly { readonly score: number }[]
    await open.release()
    expected.forEach((prediction, i) => {
      const last = shown[1]?.[i] as typeof prediction
      expect({ ...last, score: 0, scores: 0 }).toEqual({ ...prediction, score: 0, scores: 0 })
      expect(last.score).toBeCloseTo(prediction.score, 5)
    })
    const past = await readRunEvents('run', 5, storage)
    expect(steps(past)).toEqual(steps(events).slice(0, 5))
    const columnsOf = (all: typeof past) => all.flatMap((event) => (event.kind === 'step' ? [event.columns] : []))
    expect(columnsOf(past)).toMatchObject(columnsOf(events).slice(0, 5)) // the page draws the density of a resumed run
  })

  it('proposes the columns of a file by their names, or else by their content', async () => {
    const columnsOf = (name: string, text: string) => readColumns(Object.assign(new Blob([text]), { name }))
    const rows = Array.from({ length: 8 }, (_, i) => `${i};Satz ${i} von acht;${i % 2 === 0 ? 'gut' : 'schlecht'}\n`).join('')
    expect(await columnsOf('films.csv', csv)).toEqual({ names: ['text', 'label'], text: 'text', label: 'label' })
    expect(await columnsOf('a.csv', `Nr;Bemerkung;Stimmung\n${rows}`)).toEqual({
      names: ['Nr', 'Bemerkung', 'Stimmung'],
      ...{ text: 'Bemerkung', label: 'Stimmung' },
    })
    expect(await columnsOf('b.jsonl', '{"review":"good","stars":1}\n{"review":"bad","stars":2}\n')).toMatchObject({
      ...{ text: 'review', label: 'stars' },
    })
    expect(await columnsOf('c.csv', '')).toEqual({ names: [], text: undefined, label: undefined })
  })

  it('writes the page that salora report writes, and refuses an unfinished run', async () => {
    const storage = await filled()
    await collected(finetune(options, { storage, device: cpu }))
    const copy = join(root, 'again', 'run')
    await mkdir(copy, { recursive: true })
    for (const name of ['config.json', 'metrics.jsonl', 'result.json', 'rows.json', 'evaluation.json'])
      await writeFile(join(copy, name), await bytesOf(storage, `run/${name}`))
    await makeReport({ folders: [copy], output: join(root, 'again.html'), figures: null })
    const html = await report('run', { storage }, await readPageFiles('report'))
    expect(html).not.toContain(' skipped</summary>')
    expect(html).toBe(await readFile(join(root, 'again.html'), 'utf8'))
    await storage.remove('run/result.json')
    await expect(report('run', { storage }, { script: '', style: '' })).rejects.toThrow('run: expected a finished run, got no result.json')
  })

  it('stops and resumes in the same bits, and refuses what Node refuses', async () => {
    const storage = await filled()
    const stop = new AbortController()
    for await (const event of finetune(options, { storage, device: cpu }, { signal: stop.signal }))
      if (event.kind === 'step' && event.step === 3) stop.abort()
    await expect(collected(finetune(options, { storage, device: cpu }))).rejects.toThrow('config.json of an earlier run')
    const other = { ...options, resume: true, settings: { ...settings, learningRate: 0.02 } }
    await expect(collected(finetune(other, { storage, device: cpu }))).rejects.toThrow('learningRate')
    const card = { ...cpu, name: 'card' }
    await expect(collected(finetune({ ...options, resume: true }, { storage, device: card }))).rejects.toThrow(
      'device: expected cpu, on which the run in run began (to train on another device, start a new run with another output), got card',
    )
    // a tab that dies between its metrics and its checkpoint leaves lines too many
    await storage.write('run/metrics.jsonl', `${String(await bytesOf(storage, 'run/metrics.jsonl'))}{"kind":"step","step":4}\n`)
    const resumed = await collected(finetune({ ...options, resume: true }, { storage, device: cpu }))
    expect(steps(resumed)).toEqual(steps(onDisk).slice(3))
    expect(await bytesOf(storage, 'run/adapter/adapter_model.safetensors')).toEqual(
      await readFile(join(root, 'run/adapter/adapter_model.safetensors')),
    )
    const lines = async (text: Promise<Buffer>) => jsonLines<{ readonly kind: string; readonly step: number }>(String(await text))
    const told = (of: Awaited<ReturnType<typeof lines>>) => of.map(({ kind, step }) => `${kind} ${step}`)
    expect(told(await lines(bytesOf(storage, 'run/metrics.jsonl')))).toEqual(told(await lines(readFile(join(root, 'run/metrics.jsonl')))))
  })

  it('refuses what a browser does not have, and bad input in one line', async () => {
    const storage = await filled()
    const error = (changed: object) => collected(finetune({ ...options, ...changed }, { storage, device: cpu }))
    await expect(error({ tensorboard: true })).rejects.toThrow('tensorboard: expected none in a browser')
    await expect(error({ redis: 'redis://127.0.0.1' })).rejects.toThrow('redis: expected none in a browser')
    await expect(error({ exchange: 'float16' })).rejects.toThrow('exchange: expected none in a browser')
    await expect(error({ task: { task: 'sst2' } })).rejects.toThrow(/^task: expected a \.tsv, \.csv/)
    await expect(error({ settings: { method: 'salora', gateStart: 0.6 } })).rejects.toThrow(
      'gateStart: expected a fraction below gateEnd, got',
    )
    await expect(error({ model: 'none' })).rejects.toThrow('none: expected a folder in Hugging Face layout, got nothing')
    await storage.write('data/other.csv', 'text,class\na,b\n')
    await expect(error({ task: { task: 'data/other.csv' } })).rejects.toThrow(/data\/other.csv, row 1: expected .*label/)
    for (const [place, line] of [
      [undefined, 'finetune: expected storage in its second argument, got nothing'],
      [{ storage }, 'finetune: expected device in its second argument, got nothing'],
    ] as const)
      await expect(collected(finetune(options, place as unknown as Place))).rejects.toThrow(line)
    for (const [wrong, line] of [
      [() => predictor(undefined as never, undefined as never), 'predictor: expected the folder of a run in the storage, got nothing'],
      [() => predictor('runs/a', { storage } as never), 'predictor: expected device in its second argument, got nothing'],
      [
        () => exportForTransformersJs('runs/a', undefined as never, { storage, folder: 'out' }),
        'exportForTransformersJs: expected storage in its second argument, got nothing',
      ],
      [() => inspect('a.csv' as never), 'inspect: expected a File, or a Blob with a name, got "a.csv"'],
      [() => inspect(new Blob(['a']) as never), 'inspect: expected a File, or a Blob with a name, got '],
    ] as const)
      await expect(wrong()).rejects.toThrow(line)
    await storage.makeFolder('empty')
    await expect(error({ model: 'empty' })).rejects.toThrow('empty: expected config.json in the folder, got none')
    await expect(predictor('empty', { storage, device: cpu })).rejects.toThrow('empty: expected the folder of a run')
  })

  it('reports the share of reading, splitting and counting a file, in order and to its end', async () => {
    const rows = Array.from({ length: 60_000 }, (_, i) => `${i}: ${'some words to read '.repeat(4)},${i % 2 === 0 ? 'yes' : 'no'}\n`)
    const file = Object.assign(new Blob(['text,label\n', ...rows]), { name: 'films.csv' })
    const shares: number[] = []
    await inspect(file, {}, (share) => void shares.push(share))
    expect(shares).toEqual([...shares].sort((a, b) => a - b))
    expect([shares[0], shares.at(-1)]).toEqual([expect.closeTo(0, 5), 1])
    for (const quarter of [1, 2, 3]) // 4 MB are read at once; then 60 reports of each thousand of rows, twice
      expect(shares.filter((share) => Math.floor(4 * share) === quarter).length, `quarter ${quarter}`).toBeGreaterThan(
        quarter === 1 ? 0 : 50,
      )
  })

  it('counts the classes and the words of a file', async () => {
    const file = Object.assign(new Blob([csv]), { name: 'films.csv' })
    expect(await inspect(file)).toEqual({
      rows: 24,
      classes: [
        { name: 'no', rows: 12 },
        { name: 'yes', rows: 12 },
      ],
      words: { median: 6, most: 8 },
      samples: [
        { text: 'the film is bad very ', label: 'no' },
        { text: 'the film is good very very ', label: 'yes' },
      ],
    })
    const tagged = Object.assign(new Blob(['Ann B-person\nLee I-person\nslept O\n\nBob B-person\nate O\n']), { name: 'tags.conll' })
    expect((await inspect(tagged)).classes).toEqual([
      { name: 'O', rows: 2 },
      { name: 'B-person', rows: 2 },
      { name: 'I-person', rows: 1 },
    ])
    const several = Object.assign(new Blob(['text,label\na,x|y\nb,y\nc,\n']), { name: 'several.csv' })
    expect((await inspect(several, { problemType: 'multi-label' })).classes).toEqual([
      { name: 'x', rows: 1 },
      { name: 'y', rows: 2 },
    ])
    await expect(inspect(Object.assign(new Blob(['x']), { name: 'films' }))).rejects.toThrow('data: expected a .tsv, .csv')
    await expect(inspect(file, { label: 'class' })).rejects.toThrow('class')
    const empty = Object.assign(new Blob(['text,label\na,x\n,y\n']), { name: 'empty.csv' })
    await expect(inspect(empty)).rejects.toThrow(
      'data/empty.csv, row 3: expected a text in column "text" (or skipMissing: true), got an empty one',
    )
  })
})
