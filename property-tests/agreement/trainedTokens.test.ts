/** Trained rows of the word embeddings, beside SaLoRA's factors: hand-derived against automatic, on models drawn at random. */
import { describe, expect, it } from 'vitest'
import { noWeights } from '../../accelerated/engines/engine.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { rowsName, withTrainedTokens, type TokenRows } from '../../accelerated/methods/trainedTokens.js'
import { withVocabulary } from '../../accelerated/checkpoints/extendVocabulary.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { preference, preferenceExample } from '../../finetuning/tasks/preferences/objective.js'
import type { LabeledText } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { flatten, viewTensor, zeros } from '../../accelerated/parameters/vectors.js'
import { type Assembly, buildLayout } from '../../accelerated/training/assembly.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { openDecoder } from '../../accelerated/generation/decoder.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { blockFeeds, collect, resultsInto } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { buildAssembly, buildPhase, type AnyModel, openRuntime } from '../../evaluation/agreement/acceleratedSide.js'
import { frozenTensors, headOutputs, namedNumbers, toExamples, toTexts } from '../../evaluation/agreement/convert.js'
import { drawDecoder, drawModel, normals } from '../../evaluation/agreement/drawModel.js'
import {
  causalLoss,
  causalLossVjp,
  crossEntropy,
  crossEntropyVjp,
  buildModel,
  adapterScale,
  withRows,
  withRowsVjp,
  type Tensor,
  type Tensors,
} from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { someDecoder, someOptions } from './modelOptions.js'

const words = 'embed_tokens.weight'

/** The tables that a comparison trains rows of, and which. Of 11 words, the file has 9: tokens 9 and 10 are new. */
type Tables = Readonly<Record<string, readonly number[]>>

/** A drawn model whose files lack the last two words, and its trained rows. */
const split = (model: AnyModel, tables: Tables, isExtended: boolean) => {
  const shorter = ({ shape: [rows = 0, width = 0], data }: Tensor): Tensor => ({
    shape: [rows - 2, width],
    data: data.slice(0, (rows - 2) * width),
  })
  const isTable = (name: string): boolean => model.base[name]?.shape[0] === 11
  const base: Tensors = Object.fromEntries(
    Object.entries(model.base).map(([name, tensor]) => [name, isExtended && isTable(name) ? shorter(tensor) : tensor]),
  )
  const tokens = Object.entries(tables).map(([table, ids]): TokenRows & { readonly values: Tensor } => {
    const [rows = 0, width = 0] = base[table]?.shape ?? []
    const initial = normals([ids.length, width], 1, 3, `${table} before`).data
    return { table, shape: [rows, width], ids, newFrom: 9, initial, values: normals([ids.length, width], 1, 4, table) }
  })
  return { base, tokens }
}

const bind = (model: AnyModel, tables: Tables, dtype: FloatType, of: (assembly: Assembly) => Objective<never>) => {
  const isExtended = Object.values(tables)
    .flat()
    .some((id) => id >= 9)
  const { base, tokens } = split(model, tables, isExtended)
  const { config } = model
  const sizes = { ...model, config: { ...config, vocabularySize: isExtended ? 9 : 11 }, base }
  const plain = buildAssembly(sizes, dtype)
  const extended: Assembly = {
    ...plain,
    model: withVocabulary(plain.model, 11).withDropout(0),
    frozen: frozenTensors(base, plain.model.spec, plain.precision),
    method: withTrainedTokens(plain.method, tokens),
  }
  const objective = of(extended)
  const assembly = { ...extended, objective }
  const phase = buildPhase(model, model.parameters.adapters, 'open')
  const layout = buildLayout(assembly, phase)
  const numbers = new Map([
    ...namedNumbers(model.parameters, false),
    ...tokens.map(({ table, values }) => [rowsName(table), values.data] as const),
  ])
  const parameters = flatten(layout, ({ name }) => numbers.get(name), dtype)
  return { assembly, objective, phase, layout, parameters, base, tokens }
}

/** Loss and gradient by the graph. */
const byGraph = async (bound: ReturnType<typeof bind>, examples: readonly unknown[], dtype: FloatType) => {
  const { assembly, objective, phase, layout, parameters } = bound
  const prepared = objective.prepare(examples as readonly never[], { seed: 0, step: 0 })
  const { outputs } = stepGraph(assembly, phase, 'add')
  const session = await openRuntime({ device: 'cpu', precision: dtype }).engine.open(outputs, noWeights)
  const gradientSum = zeros(layout.size, dtype)
  const results = await session.run(
    {
      ...blockFeeds(layout, 'parameters', parameters, dtype),
      ...blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype),
      ...batchFeeds(assembly, prepared, prepared.weight).feeds,
    },
    resultsInto(layout, { gradientSum }),
  )
  collect(layout, { gradientSum }, results)
  await session.release()
  return { loss: Number(results['taskLoss']?.[0]), gradientOf: (name: string) => viewTensor(layout, gradientSum, name) }
}

/** The reference on the whole tables. */
const byHand = (model: AnyModel, { base, tokens }: Pick<ReturnType<typeof bind>, 'base' | 'tokens'>) => {
  const whole: Tensors = {
    ...base,
    ...Object.fromEntries(tokens.map(({ table, ids, values }) => [table, withRows(base[table] as Tensor, ids, values)] as const)),
  }
  const run = buildModel(model.config, { scale: adapterScale(model.settings), baseGradients: true })
  const { adapters, head } = model.parameters
  const traced = run({ base: whole, adapters, gates: {}, head }, model.batch)
  const { labels } = model.batch
  const causal = model.config.family === 'decoder'
  const loss = causal ? causalLoss(traced.logits, labels) : crossEntropy(traced.logits, labels)
  const gradients = traced.pullback((causal ? causalLossVjp : crossEntropyVjp)(traced.logits, labels, 1))
  return { loss, logits: traced.logits, gradients, whole }
}

const agrees = async (model: AnyModel, tables: Tables, dtype: FloatType): Promise<void> => {
  const { config, batch } = model
  const causal = config.family === 'decoder'
  const bound = bind(model, tables, dtype, ({ model: accelerated }) =>
    config.family === 'decoder'
      ? (causalLM(accelerated) as unknown as Objective<never>)
      : (sequenceClassification(accelerated, headOutputs(config)) as unknown as Objective<never>),
  )
  const { loss, gradientOf } = await byGraph(bound, causal ? toTexts(batch) : toExamples(batch), dtype)
  const expected = byHand(model, bound)
  const relative = dtype === 'float64' ? 1e-9 : 1e-5
  assertClose([loss], [expected.loss], { name: 'loss', relative })
  for (const { table, ids } of bound.tokens) {
    const rows = withRowsVjp(expected.gradients.base[table] as Tensor, ids)
    expect(Math.max(...rows.data.map(Math.abs)), table).toBeGreaterThan(1e-3)
    assertClose(gradientOf(rowsName(table)), rows.data, { name: table, relative })
  }
  const [module] = Object.keys(model.parameters.adapters)
  assertClose(gradientOf(`${module}.B`), expected.gradients.adapters[module ?? '']?.B.data ?? [], {
    name: `${module}.B`,
    relative: 10 * relative,
  })
}

/** No penalty, so that the gradient is that of the loss. Every word occurs, some twice. */
const decoderOf = (change: Parameters<typeof someDecoder>[0]): AnyModel => {
  const model = drawDecoder(someDecoder({ lengths: [6, 5, 7], beta: 0, ...change }))
  const inputIds = [
    [2, 9, 2, 10, 0, 4],
    [9, 5, 1, 3, 10],
    [0, 2, 6, 7, 8, 9, 4],
  ]
  const labels = inputIds.flatMap((ids) => ids.map((_, i) => ids[i + 1] ?? -100))
  return { ...model, batch: { inputIds, labels } }
}
const encoderOf = (): AnyModel => {
  const model = drawModel(someOptions({ family: 'bert', lengths: [4, 3], dropout: 0, beta: 0 }))
  return {
    ...model,
    batch: {
      ...model.batch,
      inputIds: [
        [2, 9, 2, 10],
        [4, 10, 3],
      ],
    },
  }
}

const head = 'lm_head.weight'
const decoders: readonly (readonly [string, Parameters<typeof someDecoder>[0], Tables])[] = [
  ['tied, two words of the vocabulary', { tied: true }, { [words]: [2, 4] }],
  ['tied, a word and two new ones', { tied: true }, { [words]: [2, 9, 10] }],
  ['tied, scaled embeddings and capped logits, new words', { tied: true, gemma: true }, { [words]: [9, 10] }],
  ['of both matrices', { tied: false }, { [words]: [2, 9, 10], [head]: [4, 9, 10] }],
  ['of the embeddings of an untied decoder', { tied: false }, { [words]: [0, 9, 10], [head]: [9, 10] }],
]

describe('trained rows', () => {
  it.each(decoders)('have the gradient that is derived by hand, in a decoder: %s', async (_, change, tables) => {
    await agrees(decoderOf(change), tables, 'float64')
    await agrees(decoderOf(change), tables, 'float32')
  })

  it.each([{ ids: [2, 3] }, { ids: [2, 9, 10] }])('have the gradient that is derived by hand, in an encoder: %j', async ({ ids }) => {
    await agrees(encoderOf(), { 'embeddings.word_embeddings.weight': ids }, 'float64')
    await agrees(encoderOf(), { 'embeddings.word_embeddings.weight': ids }, 'float32')
  })

  it.each(decoders)('give logits in the order of the words: %s', async (_, change, tables) => {
    const model = decoderOf(change)
    const bound = bind(model, tables, 'float64', ({ model: accelerated }) => causalLM(accelerated) as unknown as Objective<never>)
    const decoder = await openDecoder(bound.assembly, bound.phase, bound.parameters, openRuntime({ device: 'cpu', precision: 'float64' }))
    const rows = await decoder.begin(model.batch.inputIds)
    const { logits } = byHand(model, bound)
    let last = -1
    model.batch.inputIds.forEach((ids, i) => {
      last += ids.length
      assertClose(rows.logits()[i] ?? [], logits.data.subarray(last * 11, (last + 1) * 11), { relative: 1e-9 })
    })
    await decoder.release()
  })

  it('leave the reference model its own rows, and give it new words with their rows before training', async () => {
    const model = decoderOf({ tied: true })
    const tables = { [words]: [2, 9, 10] }
    const settings = { loss: 'dpo', beta: 0.3, labelSmoothing: 0, gamma: 0 } as const
    const bound = bind(
      model,
      tables,
      'float64',
      ({ model: accelerated }) => preference(accelerated, settings) as unknown as Objective<never>,
    )
    const [chosen, rejected] = toTexts(model.batch) as [LabeledText, LabeledText]
    const objective = bound.objective as unknown as ReturnType<typeof preference>
    const predictor = await openPredictor(bound.assembly, objective, bound.phase, openRuntime({ device: 'cpu', precision: 'float64' }))
    const example = preferenceExample(1, chosen, rejected)
    const [answer] = await predictor.predict(bound.parameters, [example], 1)
    await predictor.release()
    const { ids, initial, values } = bound.tokens[0] as (typeof bound.tokens)[0]
    const width = values.shape[1] ?? 0
    /** of tokens 9 and 10 alone */
    const before = { shape: [2, width], data: Float64Array.from(Array.from(initial).slice(width)) }
    const logOf = (text: LabeledText, base: Tensors, adapters: AnyModel['parameters']['adapters']): number => {
      const run = buildModel(model.config, { scale: adapterScale(model.settings) })
      const { logits } = run({ base, adapters, gates: {}, head: {} }, { inputIds: [Array.from(text.inputIds)] })
      const labels = Array.from(text.targets)
      return -causalLoss(logits, labels) * labels.filter((label) => label >= 0).length
    }
    const base = { ...bound.base, [words]: withRows(bound.base[words] as Tensor, [9, 10], before) }
    const adapted = { ...bound.base, [words]: withRows(bound.base[words] as Tensor, ids, values) }
    const { adapters } = model.parameters
    assertClose(
      [answer?.chosen ?? NaN, answer?.rejected ?? NaN, answer?.baseChosen ?? NaN, answer?.baseRejected ?? NaN],
      [logOf(chosen, adapted, adapters), logOf(rejected, adapted, adapters), logOf(chosen, base, {}), logOf(rejected, base, {})],
      { relative: 1e-9 },
    )
  })
})
