/** Exports: whatever tool opens the folder, it answers as model and adapter do. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadAdapter } from '../../accelerated/adapter/loadPeft.js'
import { openModelFolder } from '../../accelerated/checkpoint/modelFolder.js'
import { readSafetensors } from '../../accelerated/checkpoint/safetensors.js'
import { adapterModules, headTensorShapes } from '../../accelerated/encoderConfig.js'
import { mergedTensors } from '../../accelerated/export/mergedWeights.js'
import { writeOnnxFolder } from '../../accelerated/export/onnxFolder.js'
import { exportAdapter, exportFormats, type ExportFormat, type ExportReport } from '../../evaluation/exportAdapter.js'
import { runProgram } from '../../cli/program.js'
import { labelNamesOf, loadTrainedModel, openTrainedAdapter } from '../../evaluation/trainedAdapter.js'
import { assertClose } from '../support/assertClose.js'
import { salora } from './spawnSalora.js'
import { writeAdapter, writeFamily, type Family } from './tinyAdapter.js'

let root = ''
beforeAll(async () => {
  env.allowRemoteModels = false
  root = await mkdtemp(join(tmpdir(), 'salora-export-'))
  for (const family of families) await writeAdapter(at(`${family}-adapter`), await writeFamily(at(family), family))
})
afterAll(() => rm(root, { recursive: true }))

const families: ReadonlyArray<Family> = ['roberta', 'bert']
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
const texts = ['A wonderful film.', 'bad', 'It goes on, and on, and on; then it ends. Why?', 'no: 3.5 of 5'].map((text) => ({ text }))
const json = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>

const logits = async (model: string, adapter: string | null, precision: 'float32' | 'float64' = 'float64'): Promise<ReadonlyArray<number>> => {
  const opened = await openTrainedAdapter({ model, adapter, device: 'cpu', precision, threads: 1, maxLength: 64, batchSize: 3 })
  try {
    return (await opened.predict(texts)).flat()
  } finally {
    await opened.release()
  }
}

const exported = (family: Family, format: ExportFormat, output: string, more: { readonly precision?: 'float16'; readonly model?: string; readonly adapter?: string } = {}): Promise<ExportReport> => exportAdapter({
  model: at(family), adapter: at(`${family}-adapter`), format, output: at(output), precision: 'float32', maxLength: 64,
  targeted: ['attention.self.query', 'intermediate.dense', 'output.dense'].flatMap((name) => [`encoder.layer.0.${name}`, `encoder.layer.1.${name}`]), ...more,
})

const softmax = (row: ReadonlyArray<number>): ReadonlyArray<number> => {
  const powers = row.map((x) => Math.exp(x - Math.max(...row)))
  return powers.map((power) => power / powers.reduce((a, b) => a + b, 0))
}

describe.each(families)('an export of %s', (family) => {
  it('as peft is the adapter once more: every logit to the last bit, no matrix of rank 0', async () => {
    const { comparison } = await exported(family, 'peft', `${family}-peft`)
    expect(comparison.largestLogitDifference).toBe(0)
    expect(comparison.largestLogit).toBeGreaterThan(0.1)
    expect(await logits(at(family), at(`${family}-peft`))).toEqual(await logits(at(family), at(`${family}-adapter`)))
    expect((await loadAdapter(at(`${family}-peft`), (await openModelFolder(at(family))).config)).modules.size).toBe(10) // of 12
  })

  it('as peft-padded has one rank and no patterns; matrices of rank 0 are pairs of zeros', async () => {
    await exported(family, 'peft-padded', `${family}-padded`)
    expect(await json(at(`${family}-padded`, 'adapter_config.json'))).toMatchObject({ r: 4, lora_alpha: 8, rank_pattern: {}, alpha_pattern: {} })
    const { modules } = await loadAdapter(at(`${family}-padded`), (await openModelFolder(at(family))).config)
    expect([...modules.values()].map(({ A, B }) => [A.shape[0], B.shape[1]])).toEqual(Array.from({ length: 11 }, () => [4, 4]))
    const pruned = modules.get('encoder.layer.0.intermediate.dense') // i = 4: rank 0, targeted
    expect([...(pruned?.A.data ?? [1]), ...(pruned?.B.data ?? [1])].every((x) => x === 0)).toBe(true)
    expect(modules.has('encoder.layer.1.attention.output.dense')).toBe(false) // i = 9: rank 0, not targeted
    assertClose(await logits(at(family), at(`${family}-padded`)), await logits(at(family), at(`${family}-adapter`)), { relative: 1e-12 })
  })

  it('as merged is a classifier in Hugging Face layout, without an adapter', async () => {
    const { comparison } = await exported(family, 'merged', `${family}-merged`)
    const [bound, { config }] = [1e-5, await openModelFolder(at(`${family}-merged`))]
    expect(comparison.largestLogitDifference).toBeLessThan(bound * comparison.largestLogit)
    assertClose(await logits(at(`${family}-merged`), null), await logits(at(family), at(`${family}-adapter`)), { relative: bound })
    expect(await json(at(`${family}-merged`, 'config.json'))).toMatchObject({
      architectures: [family === 'roberta' ? 'RobertaForSequenceClassification' : 'BertForSequenceClassification'], problem_type: 'single_label_classification',
      id2label: { 0: 'bad', 1: 'good', 2: 'neither' }, label2id: { bad: 0, good: 1, neither: 2 }, torch_dtype: 'float32',
    })
    expect(await json(at(`${family}-merged`, 'config.json'))).not.toHaveProperty('_name_or_path')
    const { tensors, metadata } = await readSafetensors(at(`${family}-merged`, 'model.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
    expect([...tensors.keys()].filter((name) => !name.startsWith(`${family}.`)).sort()).toEqual([...headTensorShapes(config).keys()].filter((name) => name.startsWith('classifier.')).sort())
  })

  it.each(['in the model', 'beside it'])('as transformers.js answers through its pipeline as salora does, weights %s', async (where) => {
    const folder = at(`${family}-onnx-${where.length}`)
    const trained = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
    if (where === 'in the model') await exported(family, 'transformers.js', `${family}-onnx-${where.length}`)
    else {
      await mkdir(folder)
      await writeOnnxFolder(folder, trained, labelNamesOf(trained), 10_000)
    }
    expect(await readdir(join(folder, 'onnx'))).toEqual(where === 'in the model' ? ['model.onnx'] : ['model.onnx', 'model.onnx_data'])
    // Node finds the data file by itself; a browser fetches it because config.json says so.
    expect((await json(join(folder, 'config.json')))['transformers.js_config']).toEqual(where === 'in the model' ? undefined : { use_external_data_format: true })
    const rows = await logits(at(family), at(`${family}-adapter`), 'float32')
    const wanted = texts.map((_, i) => softmax(rows.slice(3 * i, 3 * i + 3)))
    const classify = await pipeline('text-classification', folder, { dtype: 'fp32', device: 'cpu', local_files_only: true })
    try {
      const batch = await classify(texts.map(({ text }) => text), { top_k: 3 }) as unknown as ReadonlyArray<ReadonlyArray<Answer>>
      const alone = await Promise.all(texts.map(async ({ text }) => await classify(text, { top_k: 3 }) as unknown as ReadonlyArray<Answer>))
      for (const answers of [batch, alone]) {
        answers.forEach((answer, i) => {
          const scores = ['bad', 'good', 'neither'].map((name) => answer.find(({ label }) => label === name)?.score ?? NaN)
          assertClose(scores, wanted[i] ?? [], { relative: 1e-5 })
        })
      }
    } finally {
      await classify.dispose()
    }
  })
})

type Answer = { readonly label: string; readonly score: number }

describe('merging', () => {
  it('adds scale · B A, number by number, and leaves the checkpoint\'s own bytes where there is no pair', async () => {
    const trained = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    const plain = mergedTensors({ ...trained, adapter: { ...trained.adapter, modules: new Map() } }, new Map())
    const merged = mergedTensors(trained, new Map())
    for (const { name, d, k } of adapterModules(trained.model.config)) {
      const [W, found] = [await plain.get(`${name}.weight`)!.read(), await merged.get(`${name}.weight`)!.read()]
      const pair = trained.adapter.modules.get(name)
      const r = pair?.A.shape[0] ?? 0
      // alpha / rank = 2
      const update = (i: number, j: number): number => Array.from({ length: r }, (_, c) => (pair?.B.data[i * r + c] ?? NaN) * (pair?.A.data[c * k + j] ?? NaN)).reduce((a, b) => a + b, 0)
      assertClose(found, Array.from({ length: d * k }, (_, n) => (W[n] ?? NaN) + 2 * update(Math.floor(n / k), n % k)), { relative: 1e-15, name })
    }
  })

  it('writes float32 from a float16 checkpoint, and float16 only when asked, which costs precision', async () => {
    await writeFamily(at('half'), 'roberta', 'F16')
    const given = { model: at('half'), adapter: at('roberta-adapter') }
    const wide = await exported('roberta', 'merged', 'half-wide', given)
    const narrow = await exported('roberta', 'merged', 'half-narrow', { ...given, precision: 'float16' })
    expect(wide.comparison.largestLogitDifference).toBeLessThan(1e-5 * wide.comparison.largestLogit)
    expect(narrow.comparison.largestLogitDifference).toBeGreaterThan(20 * wide.comparison.largestLogitDifference)
    expect(narrow.comparison.largestLogitDifference).toBeLessThan(1e-2 * wide.comparison.largestLogit)
    expect((await json(at('half-narrow', 'config.json')))['torch_dtype']).toBe('float16')
    expect((await stat(at('half-narrow', 'model.safetensors'))).size).toBeLessThan(0.6 * (await stat(at('half-wide', 'model.safetensors'))).size)
  })

  it('of a regression says so in config.json, for every format that has one', async () => {
    await writeAdapter(at('value-adapter'), at('bert'), ['LABEL_0'])
    for (const format of ['merged', 'transformers.js'] as const) {
      const { comparison } = await exported('bert', format, `value-${format}`, { adapter: at('value-adapter') })
      expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
      expect(await json(at(`value-${format}`, 'config.json'))).toMatchObject({ problem_type: 'regression', id2label: { 0: 'LABEL_0' } })
    }
  })
})

describe('salora export', () => {
  const base = (): ReadonlyArray<string> => ['export', '--model', at('bert'), '--adapter', at('bert-adapter'), '--quiet']
  /** The line on standard error, without a process. */
  const refused = async (...args: ReadonlyArray<string>): Promise<string> => {
    const written: string[] = []
    const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => { written.push(String(text)); return true })
    try {
      await runProgram([...base(), ...args])
      expect(process.exitCode).toBeGreaterThan(0)
    } finally {
      spy.mockRestore()
      process.exitCode = undefined
    }
    return written.join('').replaceAll(root, '@')
  }

  it('prints one document with --json: files, and how far the logits are', async () => {
    const { code, stdout } = await salora([...base(), '--format', 'merged', '--output', 'printed', '--json'], { cwd: root })
    const report = JSON.parse(stdout) as ExportReport
    expect(code).toBe(0)
    expect(report.files.map(({ name }) => name)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    expect(report.comparison).toMatchObject({ texts: 5 })
    expect(report.comparison.largestLogitDifference).toBeLessThan(1e-5 * report.comparison.largestLogit)
  })

  it('has one clear line for each mistake, and leaves nothing behind', async () => {
    await mkdir(at('full'))
    await writeFile(at('full', 'notes.txt'), 'mine')
    const before = await readdir(root)
    const merged = ['--format', 'merged', '--output']
    expect(await refused(...merged, at('full'))).toBe('--output @/full: expected a new or an empty folder, found "notes.txt" in it\n')
    expect(await refused(...merged, at('bert'))).toBe("--output @/bert: expected a folder of its own, found the model's folder\n")
    expect(await refused(...merged, at('bert-adapter'))).toBe("--output @/bert-adapter: expected a folder of its own, found the adapter's folder\n")
    expect(await refused(...merged, at('full', 'notes.txt'))).toBe('--output @/full/notes.txt: expected a new or an empty folder, found a file\n')
    expect(await refused(...merged, at('full', 'notes.txt', 'out'))).toMatch(/^--output @\/full\/notes.txt\/out: expected .*, found .*\n$/)
    expect(await refused('--format', 'onnx', '--output', 'out')).toBe(`--format: expected one of ${exportFormats.join(', ')}, found "onnx"\n`)
    expect(await refused('--format', 'peft', '--precision', 'float16', '--output', 'out')).toBe('--precision: expected float32 for --format peft, found float16\n')
    expect(await refused('--format', 'peft')).toBe('--output: expected a folder to write, found none given\n')
    expect(await readdir(root)).toEqual(before)
  })

  it('leaves nothing behind when the disk is full', async () => {
    const before = await readdir(root)
    const { code, stderr } = await salora([...base(), '--format', 'merged', '--output', 'cut'], { cwd: root, largestFile: 8 })
    expect(code).toBe(1)
    expect(stderr).toMatch(/model\.safetensors: expected to write the file, found .*\n$/)
    expect(await readdir(root)).toEqual(before)
  })
})
