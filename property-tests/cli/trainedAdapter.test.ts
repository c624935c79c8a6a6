/** Using a trained adapter: PEFT's scales, heads and class names give the same outputs in each form. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { adapterFiles, saveAdapter } from '../../accelerated/formats/peft/peft.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { normals } from '../../accelerated/parameters/random.js'
import { scoreAdapter } from '../../finetuning/use/scoreAdapter.js'
import type { Evaluation } from '../../finetuning/tasks/index.js'
import { openTrainedAdapter, type TrainedAdapter } from '../../finetuning/use/openModel.js'
import { openGenerator } from '../../finetuning/use/generator.js'
import { singleLabel } from '../../finetuning/tasks/classification/index.js'
import { regression } from '../../finetuning/tasks/regression/index.js'
import { toyFolder } from './toyFolder.js'

const root = toyFolder('adapter', {})
/** Query adapters alone, in all layers, with random pairs and a random head. `factor` multiplies B of layer 0. */
const write = async (name: string, factor: number, alphaOfLayer0: number | null, withHead = true): Promise<string> => {
  const folder = join(root, name)
  await mkdir(folder)
  const { model, outputs } = await openModelFolder(join(root, 'tiny'))
  const random = (stream: number, shape: readonly number[], scale = 1) => ({
    shape,
    data: Float32Array.from(
      normals(
        2,
        'initialization',
        stream,
        shape.reduce((a, b) => a * b, 1),
      ),
      (x) => scale * x,
    ),
  })
  await saveAdapter(folder, {
    model,
    outputs,
    baseModelName: 'tiny',
    rank: 4,
    alpha: 8,
    labelNames: ['bad', 'good'],
    modules: new Map(
      model.spec.matrices
        .filter((matrix) => matrix.name.endsWith('query'))
        .map(({ name: path, d, k }, i) => [path, { A: random(i, [4, k]), B: random(10 + i, [d, 4], i === 0 ? factor : 1) }]),
    ),
    head: withHead
      ? new Map([...model.sequenceHead(outputs.labels).tensors].map(([path, shape], i) => [path, random(20 + i, shape)]))
      : new Map(),
  })
  if (alphaOfLayer0 !== null) {
    const file = join(folder, adapterFiles.config)
    const json = JSON.parse(await readFile(file, 'utf8')) as object
    await writeFile(file, JSON.stringify({ ...json, alpha_pattern: { 'roberta.encoder.layer.0.attention.self.query': alphaOfLayer0 } }))
  }
  return folder
}

const outputs = async (adapter: string): Promise<readonly (readonly number[])[]> => {
  const opened = await openTrainedAdapter({
    model: join(root, 'tiny'),
    adapter,
    ...{ device: 'cpu', precision: 'float64', threads: 1, maxLength: null, batchSize: 2 },
  })
  try {
    return await opened.predict([{ text: 'a good film' }, { text: 'bad', textPair: 'and long, too' }, { text: 'great' }])
  } finally {
    await opened.release()
  }
}

describe('opening an adapter', () => {
  it('scales the B of a module with another alpha by the ratio of the scales', async () => {
    const [plain, rescaled, other] = [
      await outputs(await write('plain', 1, null)),
      await outputs(await write('rescaled', 4, 2)),
      await outputs(await write('other', 4, null)),
    ]
    expect(rescaled).toEqual(plain) // factors of 2 are exact
    expect(Math.abs((other[0]?.[0] ?? NaN) - (plain[0]?.[0] ?? NaN))).toBeGreaterThan(1e-3)
  })

  it('names the missing tensor if neither adapter nor model has a head', async () => {
    const adapter = await write('headless', 1, null, false)
    await expect(outputs(adapter)).rejects.toThrow(
      `${adapter}: expected classifier.dense.weight [16, 16] of the head in the adapter or in ${join(root, 'tiny')}, got it in neither`,
    )
  })
})

describe('a folder that is none', () => {
  it('is refused before a device is opened, which takes seconds', async () => {
    const [model, nothing] = [join(root, 'tiny'), join(root, 'none')]
    await expect(openTrainedAdapter({ model, adapter: nothing, device: 'cuda' })).rejects.toThrow(nothing)
    await expect(openGenerator({ model: nothing, device: 'cuda' })).rejects.toThrow(nothing)
    await expect(openTrainedAdapter({ model, adapter: await write('fine', 1, null), device: 'cuda' })).rejects.toThrow(
      'device cuda: expected',
    )
  })
})

describe('scoring an adapter', () => {
  /** Says class 1 for texts that begin with g. */
  const adapter = (labelNames: readonly string[] | undefined): TrainedAdapter => ({
    device: 'cpu',
    outputs: { head: 'sequence', labels: 2, problemType: 'single_label_classification' },
    labelNames,
    release: async () => undefined,
    predict: async (texts) => texts.map(({ text }) => (text.startsWith('g') ? [0, 1] : [1, 0])),
  })
  const data = (labelNames: readonly string[]): Evaluation => ({
    taskType: singleLabel,
    metrics: ['accuracy'],
    selectionMetric: 'accuracy',
    evaluation: {
      source: 'data.tsv',
      labelNames,
      skipped: [],
      examples: [
        ['good', 'good'],
        ['great', 'good'],
        ['bad', 'bad'],
        ['grim', 'bad'],
        ['ok', 'good'],
      ].map(([text = '', label = ''], row) => ({ text, label: labelNames.indexOf(label), row })),
    },
  })

  it('matches classes by name, in any order of the data', async () => {
    for (const order of [
      ['bad', 'good'],
      ['good', 'bad'],
    ]) {
      expect(await scoreAdapter(adapter(['bad', 'good']), data(order))).toMatchObject({
        scores: { accuracy: 0.6 },
        examples: 5,
        source: 'data.tsv',
        majority: { label: 'good', share: 0.6 },
        constant: null,
        trainedOn: null,
        positive: null,
        byClass: [
          { label: 'bad', precision: 0.5, recall: 0.5, f1: 0.5, examples: 2 },
          { label: 'good', precision: 2 / 3, recall: 2 / 3, f1: 2 / 3, examples: 3 },
        ],
        confusion: [
          [1, 1],
          [1, 2],
        ],
      })
    }
  })

  it('computes F1 for the named class, at any position in the data', async () => {
    for (const order of [
      ['bad', 'good'],
      ['good', 'bad'],
    ]) {
      const named = { ...data(order), positive: order.indexOf('bad') }
      expect(await scoreAdapter(adapter(['bad', 'good']), named)).toMatchObject({ scores: { f1: 0.5 }, positive: 'bad' })
    }
  })

  it("uses the task's order, or numeric labels, if the adapter has no names", async () => {
    expect((await scoreAdapter(adapter(undefined), data(['good', 'bad']))).scores).toMatchObject({ accuracy: 0.4 })
    const numbered = { ...data(['good', 'bad']), sorted: true }
    for (const [names, accuracy] of [
      [['0', '1'], 0.4],
      [['1', '0'], 0.6],
      [['LABEL_1', 'LABEL_0'], 0.6],
    ] as const)
      expect(
        (await scoreAdapter(adapter(undefined), { ...numbered, evaluation: { ...numbered.evaluation, labelNames: names } })).scores,
      ).toMatchObject({ accuracy })
  })

  it('requires the names of the outputs if neither adapter nor task has them', async () => {
    for (const names of [
      ['bad', 'good'],
      ['1', '2'],
    ])
      await expect(
        scoreAdapter(adapter(undefined), {
          ...data(['bad', 'good']),
          sorted: true,
          evaluation: { ...data(['bad', 'good']).evaluation, labelNames: names },
        }),
      ).rejects.toThrow(
        `labels: expected the 2 classes of the adapter in the order of its outputs (such as ${names.join(',')}), since neither adapter nor model names them, got none given`,
      )
  })

  it('refuses outputs that are not finite, and names the row', async () => {
    const broken: TrainedAdapter = {
      ...adapter(['bad', 'good']),
      predict: async (texts) => texts.map((_, i) => (i === 3 ? [NaN, 1] : [0, 1])),
    }
    await expect(scoreAdapter(broken, data(['bad', 'good']))).rejects.toThrow(
      'data.tsv, row 3: expected finite outputs of model and adapter, got NaN, 1',
    )
  })

  it('refuses data with an unknown class, or of another task type', async () => {
    await expect(scoreAdapter(adapter(['no', 'yes']), data(['bad', 'good']))).rejects.toThrow(
      'data.tsv: expected the adapter\'s labels (no, yes), got "bad"',
    )
    await expect(scoreAdapter(adapter(undefined), { ...data(['bad', 'good']), taskType: regression })).rejects.toThrow(
      'data.tsv: expected labels of a classification, as the adapter was trained for, got labels of a regression',
    )
  })
})
