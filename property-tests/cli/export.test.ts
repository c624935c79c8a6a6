/** Exports: whatever tool opens the folder, it answers as model and adapter do. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadLowRank } from '../../accelerated/formats/peft/loadPeft.js'
import { lowRankOf } from '../../accelerated/formats/peft/lora.js'
import { adapterFiles, saveAdapter } from '../../accelerated/formats/peft/peft.js'
import { openModelFolder } from '../../accelerated/files/modelFolder.js'
import { readSafetensors } from '../../accelerated/files/safetensors/safetensors.js'
import { writeSafetensors } from '../../accelerated/files/safetensors/writeSafetensors.js'
import { mergedTensors } from '../../accelerated/formats/mergedWeights.js'
import { writeOnnxFolder } from '../../accelerated/formats/onnxFolder.js'
import { messageType } from '../../accelerated/graph/onnxProto.js'
import { exportAdapter, exportFormats, trialTexts, type ExportFormat, type ExportReport } from '../../evaluation/adapters/exportAdapter.js'
import { inNewFolder } from '../../evaluation/adapters/newFolder.js'
import { runProgram } from '../../cli/program.js'
import { labelNamesOf, loadTrainedModel, openTrainedAdapter, type Text } from '../../evaluation/adapters/trainedAdapter.js'
import { assertClose } from '../support/assertClose.js'
import { salora } from './spawnSalora.js'
import { ofTheFileOnly, writeAdapter, writeFamily, type Family } from './tinyAdapter.js'
import { tinyConfig, tinyTensors, writeTinyModel } from './tinyModel.js'

let root = ''
beforeAll(async () => {
  env.allowRemoteModels = false
  root = await mkdtemp(join(tmpdir(), 'salora-export-'))
  for (const family of families) await writeAdapter(at(`${family}-adapter`), await writeFamily(at(family), family))
})
afterAll(() => rm(root, { recursive: true }))

const given = { device: 'cpu', precision: 'float64', threads: 1, batchSize: 3 }
const families: ReadonlyArray<Family> = ['roberta', 'bert']
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
const texts: ReadonlyArray<Text> = ['A wonderful film.', 'bad', 'It goes on, and on, and on; then it ends. Why?', 'no: 3.5 of 5'].map(
  (text) => ({ text }),
)
const json = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>

const logits = async (
  model: string,
  adapter: string | null,
  precision: 'float32' | 'float64' = 'float64',
  of = texts,
): Promise<ReadonlyArray<number>> => {
  const opened = await openTrainedAdapter({ model, adapter, device: 'cpu', precision, threads: 1, maxLength: 64, batchSize: 3 })
  try {
    return (await opened.predict(of)).flat()
  } finally {
    await opened.release()
  }
}

const exported = (
  family: Family,
  format: ExportFormat,
  output: string,
  more: {
    readonly precision?: 'float16'
    readonly model?: string
    readonly adapter?: string
    readonly maxLength?: number
    readonly texts?: ReadonlyArray<Text>
  } = {},
): Promise<ExportReport> =>
  exportAdapter({
    model: at(family),
    adapter: at(`${family}-adapter`),
    format,
    output: at(output),
    precision: 'float32',
    maxLength: 64,
    targeted: ['attention.self.query', 'intermediate.dense', 'output.dense'].flatMap((name) => [
      `encoder.layer.0.${name}`,
      `encoder.layer.1.${name}`,
    ]),
    ...more,
  })

/** The pairs of an adapter's folder, as they are read back for a model of the family. */
const modulesIn = async (folder: string, family: Family) => {
  const { model, outputs } = await openModelFolder(at(family))
  return (await loadLowRank(at(folder), model, outputs)).modules
}

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
    expect((await modulesIn(`${family}-peft`, family)).size).toBe(10) // of 12
    expect(await json(at(`${family}-peft`, 'adapter_config.json'))).toEqual(await json(at(`${family}-adapter`, 'adapter_config.json')))
    expect(await json(at(`${family}-peft`, 'salora.json'))).toEqual(await json(at(`${family}-adapter`, 'salora.json')))
  })

  it.each(['merged', 'transformers.js'] as const)('as %s cuts a text where training did, which the comparison looks at', async (format) => {
    const long = { text: 'good film '.repeat(30) }
    const output = `${family}-${format}-short`
    const { comparison } = await exported(family, format, output, { maxLength: 12, texts: [{ text: 'short' }, long] })
    expect(comparison.texts).toBe(trialTexts.length + 2)
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
    expect(await json(at(output, 'tokenizer_config.json'))).toHaveProperty('model_max_length', 12)
    const cut = async (maxLength: number) => {
      const opened = await openTrainedAdapter({ ...given, model: at(family), adapter: at(`${family}-adapter`), maxLength })
      return (await opened.predict([long]).finally(opened.release))[0] ?? []
    }
    expect(await cut(12)).not.toEqual(await cut(64))
  })

  it('as peft-padded has one rank and no patterns; matrices of rank 0 are pairs of zeros', async () => {
    await exported(family, 'peft-padded', `${family}-padded`)
    expect(await json(at(`${family}-padded`, 'adapter_config.json'))).toEqual({
      ...(await json(at(`${family}-adapter`, 'adapter_config.json'))),
      r: 4,
      lora_alpha: 8,
      rank_pattern: {},
      alpha_pattern: {},
      target_modules: expect.any(Array) as unknown,
    })
    const modules = await modulesIn(`${family}-padded`, family)
    expect([...modules.values()].map(({ A, B }) => [A.shape[0], B.shape[1]])).toEqual(Array.from({ length: 11 }, () => [4, 4]))
    const pruned = modules.get('encoder.layer.0.intermediate.dense') // i = 4: rank 0, targeted
    expect([...(pruned?.A.data ?? [1]), ...(pruned?.B.data ?? [1])].every((x) => x === 0)).toBe(true)
    expect(modules.has('encoder.layer.1.attention.output.dense')).toBe(false) // i = 9: rank 0, not targeted
    assertClose(await logits(at(family), at(`${family}-padded`)), await logits(at(family), at(`${family}-adapter`)), { relative: 1e-12 })
  })

  it('as merged is a classifier in Hugging Face layout, without an adapter', async () => {
    const { comparison } = await exported(family, 'merged', `${family}-merged`)
    const [bound, { model, outputs }] = [1e-5, await openModelFolder(at(`${family}-merged`))]
    expect(comparison.largestLogitDifference).toBeLessThan(bound * comparison.largestLogit)
    assertClose(await logits(at(`${family}-merged`), null), await logits(at(family), at(`${family}-adapter`)), { relative: bound })
    expect(await json(at(`${family}-merged`, 'config.json'))).toMatchObject({
      architectures: [family === 'roberta' ? 'RobertaForSequenceClassification' : 'BertForSequenceClassification'],
      problem_type: 'single_label_classification',
      id2label: { 0: 'bad', 1: 'good', 2: 'neither' },
      label2id: { bad: 0, good: 1, neither: 2 },
      torch_dtype: 'float32',
    })
    const { torch_dtype: _, ...others } = ofTheFileOnly
    for (const key of Object.keys(others)) expect(await json(at(`${family}-merged`, 'config.json'))).not.toHaveProperty([key])
    const { tensors, metadata } = await readSafetensors(at(`${family}-merged`, 'model.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
    expect([...tensors.keys()].filter((name) => !name.startsWith(`${family}.`)).sort()).toEqual(
      [...model.sequenceHead(outputs.labels).tensors.keys()].filter((name) => name.startsWith('classifier.')).sort(),
    )
  })

  it('as merged has the tokenizer of the base, in its own words where it has some, and what other tools need to pad and cut', async () => {
    await exported(family, 'merged', `${family}-tokenizer`)
    expect(await readFile(at(`${family}-tokenizer`, 'tokenizer.json'))).toEqual(await readFile(at(family, 'tokenizer.json')))
    expect(await json(at(`${family}-tokenizer`, 'tokenizer_config.json'))).toEqual(
      family === 'bert'
        ? { tokenizer_class: 'BertTokenizer', pad_token: '[PAD]', model_max_length: 64 }
        : {
            ...(await json(at(family, 'tokenizer_config.json'))),
            tokenizer_class: 'RobertaTokenizer',
            pad_token: '<pad>',
            model_max_length: 64,
          },
    )
    const own = { tokenizer_class: 'Own', pad_token: '[UNK]', model_max_length: 9 }
    await writeFamily(at(`${family}-own`), family)
    await writeFile(at(`${family}-own`, 'tokenizer_config.json'), JSON.stringify(own))
    await writeFile(at(`${family}-own`, 'vocab.txt'), 'for older tools')
    const { added_tokens: _, ...tokenizer } = await json(at(family, 'tokenizer.json'))
    await writeFile(at(`${family}-own`, 'tokenizer.json'), JSON.stringify(tokenizer))
    await exported(family, 'merged', `${family}-owned`, { model: at(`${family}-own`) })
    expect(await json(at(`${family}-owned`, 'tokenizer_config.json'))).toEqual({ ...own, model_max_length: 64 })
    expect(await readFile(at(`${family}-owned`, 'vocab.txt'), 'utf8')).toBe('for older tools')
    await writeFile(at(`${family}-own`, 'tokenizer_config.json'), '{}')
    await exported(family, 'merged', `${family}-tabled`, { model: at(`${family}-own`) })
    expect((await json(at(`${family}-tabled`, 'tokenizer_config.json')))['pad_token']).toBe(family === 'bert' ? '[PAD]' : '<pad>') // of the table alone
  })

  it.each([
    [2, 4],
    [6, 6],
  ])('of pairs at scales and ranks of their own, rank 4 beside a usual %d, is the same function in each layout', async (rank, padded) => {
    const { base, adapter } = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
    const uneven = `${family}-uneven-${rank}`
    await mkdir(at(uneven))
    await saveAdapter(at(uneven), {
      ...lowRankOf(adapter),
      rank,
      alpha: 2 * rank,
      baseModelName: 'm',
      labelNames: ['bad', 'good', 'neither'],
    })
    const file = at(uneven, adapterFiles.config)
    const { alpha_pattern: alphas, ...settings } = await json(file)
    await writeFile(
      file,
      JSON.stringify({
        ...settings,
        alpha_pattern: { ...(alphas as object), [`${base.model.type}.encoder.layer.0.attention.self.query`]: 3 },
      }),
    )
    const wanted = await logits(at(family), at(uneven))
    expect(wanted).not.toEqual(await logits(at(family), at(`${family}-adapter`)))
    for (const format of ['peft', 'peft-padded', 'merged'] as const) {
      await exported(family, format, `${uneven}-${format}`, { adapter: at(uneven) })
      assertClose(
        format === 'merged' ? await logits(at(`${uneven}-merged`), null) : await logits(at(family), at(`${uneven}-${format}`)),
        wanted,
        { relative: 1e-5 },
      )
    }
    expect(await json(at(`${uneven}-peft-padded`, 'adapter_config.json'))).toMatchObject({ r: padded, lora_alpha: 2 * padded })
  })

  it('as transformers.js has its weights in the model up to the bound, to the byte', async () => {
    const trained = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
    const write = async (largest?: number): Promise<ReadonlyArray<string>> => {
      const folder = await mkdtemp(at(`${family}-bound-`))
      await writeOnnxFolder(folder, trained, labelNamesOf(trained), largest === undefined ? {} : { largest })
      return [folder, ...(await readdir(join(folder, 'onnx')))]
    }
    const [folder = '', ...files] = await write()
    const { size } = await stat(join(folder, 'onnx', 'model.onnx'))
    expect(files).toEqual(['model.onnx'])
    const { graph } = messageType('ModelProto').decode(await readFile(join(folder, 'onnx', 'model.onnx'))) as unknown as {
      readonly graph: { readonly node: ReadonlyArray<{ readonly domain?: string }> }
    }
    expect(graph.node.filter(({ domain }) => (domain ?? '') !== '')).toEqual([]) // no operator is a provider's own
    expect((await write(size)).slice(1)).toEqual(['model.onnx'])
    expect((await write(size - 1)).slice(1)).toEqual(['model.onnx', 'model.onnx_data'])
  })

  it.each(['in the model', 'beside it'])('as transformers.js answers through its pipeline as salora does, weights %s', async (where) => {
    const folder = at(`${family}-onnx-${where.length}`)
    const trained = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
    if (where === 'in the model') await exported(family, 'transformers.js', `${family}-onnx-${where.length}`)
    else {
      await mkdir(folder)
      await writeOnnxFolder(folder, trained, labelNamesOf(trained), { largest: 10_000 })
    }
    expect(await readdir(join(folder, 'onnx'))).toEqual(where === 'in the model' ? ['model.onnx'] : ['model.onnx', 'model.onnx_data'])
    // Node finds the data file by itself; a browser fetches it because config.json says so.
    expect((await json(join(folder, 'config.json')))['transformers.js_config']).toEqual(
      where === 'in the model' ? undefined : { use_external_data_format: true },
    )
    const rows = await logits(at(family), at(`${family}-adapter`), 'float32')
    const wanted = texts.map((_, i) => softmax(rows.slice(3 * i, 3 * i + 3)))
    const classify = await pipeline('text-classification', folder, { dtype: 'fp32', device: 'cpu', local_files_only: true })
    try {
      const batch = (await classify(
        texts.map(({ text }) => text),
        { top_k: 3 },
      )) as unknown as ReadonlyArray<ReadonlyArray<Answer>>
      const alone = await Promise.all(
        texts.map(async ({ text }) => (await classify(text, { top_k: 3 })) as unknown as ReadonlyArray<Answer>),
      )
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
  it("adds scale · B A, number by number, and leaves the checkpoint's own bytes where there is no pair", async () => {
    const trained = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    const { modules } = lowRankOf(trained.adapter)
    const plain = mergedTensors({ ...trained, adapter: { ...trained.adapter, phase: { matrices: [] }, tensors: new Map() } })
    const merged = mergedTensors(trained)
    for (const { name, d, k } of trained.base.model.outline.matrices) {
      const [W, found] = [await plain.get(`${name}.weight`)!.read(), await merged.get(`${name}.weight`)!.read()]
      const pair = modules.get(name)
      const r = pair?.A.shape[0] ?? 0
      // alpha / rank = 2
      const update = (i: number, j: number): number =>
        Array.from({ length: r }, (_, c) => (pair?.B.data[i * r + c] ?? NaN) * (pair?.A.data[c * k + j] ?? NaN)).reduce((a, b) => a + b, 0)
      assertClose(
        found,
        Array.from({ length: d * k }, (_, n) => (W[n] ?? NaN) + 2 * update(Math.floor(n / k), n % k)),
        { relative: 1e-15, name },
      )
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
    expect((await stat(at('half-narrow', 'model.safetensors'))).size).toBeLessThan(
      0.6 * (await stat(at('half-wide', 'model.safetensors'))).size,
    )
  })

  it('reports the largest change of a logit over all texts and outputs, whatever its sign', async () => {
    for (const family of families) {
      const { comparison } = await exported(family, 'merged', `${family}-coarse`, { precision: 'float16' })
      const [wanted, found] = [
        await logits(at(family), at(`${family}-adapter`), 'float32', trialTexts),
        await logits(at(`${family}-coarse`), null, 'float32', trialTexts),
      ]
      const changes = wanted.map((x, i) => x - (found[i] ?? NaN))
      assertClose(
        [comparison.largestLogitDifference, comparison.largestLogit],
        [changes, wanted].map((all) => Math.max(...all.map(Math.abs))),
        { relative: 1e-3 },
      )
    }
  })

  it('does not hide logits beyond numbers behind the others', async () => {
    const { adapter } = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    await mkdir(at('beyond'))
    // a dense layer of ones before a last layer whose first row overflows
    const fill: Readonly<Record<string, (i: number) => number>> = {
      'classifier.dense.bias': () => 100,
      'classifier.out_proj.weight': (i) => (i < 16 ? 3e38 : 1),
    }
    const head = new Map(
      [...adapter.head].map(([name, { shape, data }]) => [name, { shape, data: data.map((_, i) => fill[name]?.(i) ?? 0) }]),
    )
    await saveAdapter(at('beyond'), { ...lowRankOf(adapter), baseModelName: 'm', labelNames: ['bad', 'good', 'neither'], head })
    await expect(exported('roberta', 'merged', 'beyond-merged', { adapter: at('beyond') })).rejects.toThrow(
      `${at('beyond')}: expected finite outputs of model and adapter, and of what is exported, found Infinity`,
    )
  })

  it('refuses what float32, or the float16 asked for, cannot hold', async () => {
    const { adapter } = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    await mkdir(at('steep'))
    const name = 'encoder.layer.0.attention.self.query'
    const steep = (shape: ReadonlyArray<number>) => ({ shape, data: new Float32Array(64).fill(1e19) })
    await saveAdapter(at('steep'), {
      ...lowRankOf(adapter),
      baseModelName: 'm',
      labelNames: ['bad', 'good', 'neither'],
      modules: new Map([[name, { A: steep([4, 16]), B: steep([16, 4]) }]]),
    })
    for (const format of ['merged', 'transformers.js'] as const) {
      // 2 · 4 · 1e38 is a number in float64
      await expect(exported('roberta', format, `steep-${format}`, { adapter: at('steep') })).rejects.toThrow(
        `model.safetensors: expected roberta.${name}.weight plus the adapter's update to be finite float32 numbers, found one that is not`,
      )
    }
    const tensors = tinyTensors()
    const positions = 'roberta.embeddings.position_embeddings.weight'
    const { shape, data } = tensors.get(positions)!
    for (const [value, fits] of [
      [65_519, true],
      [-65_520, false],
    ] as const) {
      // float16 has 65504; half-way to the next number it would have is infinity
      const large = new Map([...tensors, [positions, { shape, data: data.map((x, i) => (i === 0 ? value : x)) }]])
      const model = await writeTinyModel(at(`large${value}`), { 'model.safetensors': writeSafetensors(large) })
      const narrow = exported('roberta', 'merged', `narrow${value}`, { model, precision: 'float16' })
      if (fits) await narrow
      else
        await expect(narrow).rejects.toThrow(
          `model.safetensors: expected numbers in ${positions} that float16 can hold (--precision float32 holds all), found a larger one`,
        )
    }
  })

  it('names the classes as the adapter does, else as the model, else by their numbers', async () => {
    const { adapter } = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    await mkdir(at('nameless'))
    const { labelNames: _, ...rest } = lowRankOf(adapter)
    await saveAdapter(at('nameless'), { ...rest, baseModelName: 'm' })
    const model = await writeTinyModel(at('naming'), {
      'config.json': JSON.stringify({ ...tinyConfig, id2label: { 0: 'a', 1: 'b', 2: 'c' } }),
    })
    const names = async (name: string, more: { readonly model?: string; readonly adapter?: string }): Promise<unknown> => {
      await exported('roberta', 'merged', name, more)
      return (await json(at(name, 'config.json')))['id2label']
    }
    expect(await names('by-adapter', { model })).toEqual({ 0: 'bad', 1: 'good', 2: 'neither' })
    expect(await names('by-model', { model, adapter: at('nameless') })).toEqual({ 0: 'a', 1: 'b', 2: 'c' })
    expect(await names('by-number', { adapter: at('nameless') })).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2' })
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

describe('a new folder', () => {
  it('is there once it is whole; folders above it are made', async () => {
    const output = at('one', 'two', 'three')
    expect(
      await inNewFolder(output, {}, async (stage) => {
        await writeFile(join(stage, 'a'), '')
        await expect(readdir(output)).rejects.toThrow('ENOENT')
        return 7
      }),
    ).toBe(7)
    expect(await readdir(output)).toEqual(['a'])
    expect(await readdir(at('one', 'two'))).toEqual(['three'])
  })

  it('may be an empty one; that stays as it was where writing fails', async () => {
    await mkdir(at('parent', 'empty'), { recursive: true })
    await expect(
      inNewFolder(at('parent', 'empty'), {}, async (stage) => {
        await mkdir(join(stage, 'half'))
        throw new Error('enough')
      }),
    ).rejects.toThrow('enough')
    expect(await readdir(at('parent'), { recursive: true })).toEqual(['empty'])
    await inNewFolder(at('parent', 'empty'), {}, (stage) => writeFile(join(stage, 'a'), ''))
    expect(await readdir(at('parent'), { recursive: true })).toEqual(['empty', join('empty', 'a')])
  })

  it('is not another of the folders by a link', async () => {
    await mkdir(at('mine'))
    await symlink(at('mine'), at('link'))
    for (const [output, other] of [
      ['mine', 'link'],
      ['link', 'mine'],
    ] as const) {
      const refused = inNewFolder(at(output), { "the model's folder": at(other) }, async () => 0)
      await expect(refused).rejects.toThrow(`--output ${at(output)}: expected a folder of its own, found the model's folder`)
    }
  })
})

describe('salora export', () => {
  const base = (): ReadonlyArray<string> => ['export', '--model', at('bert'), '--adapter', at('bert-adapter'), '--quiet']
  /** What it writes to a stream, without a process. */
  const written = async (stream: 'stdout' | 'stderr', ...args: ReadonlyArray<string>): Promise<string> => {
    const written: string[] = []
    const spy = vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      written.push(String(text))
      return true
    })
    try {
      await runProgram([...base(), ...args])
      expect(Number(process.exitCode) > 0).toBe(stream === 'stderr')
    } finally {
      spy.mockRestore()
      process.exitCode = undefined
    }
    return written.join('').replaceAll(root, '@')
  }

  const refused = (...args: ReadonlyArray<string>): Promise<string> => written('stderr', ...args)

  it('says what it wrote and how far the logits are', async () => {
    const said = await written('stdout', '--format', 'peft', '--output', at('said'))
    const size = async (name: string): Promise<string> => `  ${name} ${Math.ceil((await stat(at('said', name))).size / 1e3)} kB\n`
    const files = await Promise.all(['adapter_config.json', 'adapter_model.safetensors', 'salora.json'].map(size))
    expect(said.replaceAll(/(?<=\S) +/g, ' ')).toMatch(
      new RegExp(`^@/said\n${files.join('')}largest change of a logit over 6 texts: 0 \\(logits up to [\\d.]+\\)\n$`),
    )
  })

  it('warns that transformers.js answers 1 to everything in a regression, which it does', async () => {
    await writeAdapter(at('number-adapter'), at('bert'), ['LABEL_0'])
    const args = ['export', '--model', 'bert', '--adapter', 'number-adapter', '--quiet', '--format']
    const warned = await salora([...args, 'transformers.js', '--output', 'number'], { cwd: root })
    expect(warned.stderr).toMatch(/^warning: pipeline\('text-classification'\) answers 1 to everything in a regression .*\n$/)
    const classify = await pipeline('text-classification', at('number'), { dtype: 'fp32' })
    expect(await classify(['A wonderful film.', 'bad'])).toEqual([1, 1].map((score) => ({ label: 'LABEL_0', score })))
    await classify.dispose()
    expect((await salora([...args, 'merged', '--output', 'number-merged'], { cwd: root })).stderr).toBe('')
  })

  it('prints one document with --json: files, and how far the logits are', async () => {
    const { code, stdout } = await salora([...base(), '--format', 'merged', '--output', 'printed', '--json'], { cwd: root })
    const report = JSON.parse(stdout) as ExportReport
    expect(code).toBe(0)
    expect(report.files.map(({ name }) => name)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    expect(report.comparison).toMatchObject({ texts: 6 })
    expect(report.comparison.largestLogitDifference).toBeLessThan(1e-5 * report.comparison.largestLogit)
  })

  it('has one clear line for each mistake, and leaves nothing behind', async () => {
    await mkdir(at('full'))
    await writeFile(at('full', 'notes.txt'), 'mine')
    const before = await readdir(root)
    const merged = ['--format', 'merged', '--output']
    expect(await refused(...merged, at('full'))).toBe('--output @/full: expected a new or an empty folder, found "notes.txt" in it\n')
    expect(await refused(...merged, at('bert'))).toBe("--output @/bert: expected a folder of its own, found the model's folder\n")
    expect(await refused(...merged, at('bert-adapter'))).toBe(
      "--output @/bert-adapter: expected a folder of its own, found the adapter's folder\n",
    )
    expect(await refused(...merged, at('full', 'notes.txt'))).toBe(
      '--output @/full/notes.txt: expected a new or an empty folder, found a file\n',
    )
    expect(await refused(...merged, at('full', 'notes.txt', 'out'))).toMatch(/^--output @\/full\/notes.txt\/out: expected .*, found .*\n$/)
    expect(await refused('--format', 'onnx', '--output', 'out')).toBe(
      `--format: expected one of ${exportFormats.join(', ')}, found "onnx"\n`,
    )
    expect(await refused('--format', 'peft', '--precision', 'float16', '--output', 'out')).toBe(
      '--precision: expected float32 for --format peft, found "float16"\n',
    )
    expect(await refused('--format', 'merged', '--precision', 'float8', '--output', 'out')).toBe(
      '--precision: expected float32 or float16 for --format merged, found "float8"\n',
    )
    expect(await refused('--format', 'peft')).toBe('--output: expected a folder to write, found none given\n')
    expect(await readdir(root)).toEqual(before)
  })

  it('has no layout of PEFT for what is a whole model, and says so in one line', async () => {
    await exported('bert', 'merged', 'whole')
    const before = await readdir(root)
    for (const format of ['peft', 'peft-padded'])
      expect(await refused('--adapter', at('whole'), '--format', format, '--output', at('none'))).toMatch(
        /^(--format|@\/whole).*: expected .*, found .*\n$/,
      )
    expect(await readdir(root)).toEqual(before)
    for (const format of ['merged', 'transformers.js'])
      expect(await written('stdout', '--adapter', at('whole'), '--format', format, '--output', at(`whole-${format}`))).toMatch(/^@\/whole-/)
  })

  it('leaves nothing behind when the disk is full', async () => {
    const before = await readdir(root)
    const { code, stderr } = await salora([...base(), '--format', 'merged', '--output', 'cut'], { cwd: root, largestFile: 8 })
    expect(code).toBe(1)
    expect(stderr).toMatch(/model\.safetensors: expected to write the file, found .*\n$/)
    expect(await readdir(root)).toEqual(before)
  })
})
