/** Both derivations train LoRA on decoders as PEFT does: logits, loss, every gradient, and twenty steps of AdamW. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { batchInputs } from '../../accelerated/models/batchInputs.js'
import { plainHost } from '../../accelerated/models/host.js'
import type { GptConfig } from '../../accelerated/models/gpt/model.js'
import { gpt2Config } from '../../accelerated/models/gpt2/gpt2.js'
import { optConfig } from '../../accelerated/models/opt/opt.js'
import { openPhi3 } from '../../accelerated/models/phi3/phi3.js'
import { causalLM, type TextExample } from '../../accelerated/objectives/causalLM.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { flatten, viewTensor, zeros, type Vector } from '../../accelerated/parameters/vectors.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { constants } from '../../evaluation/agreement/convert.js'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import {
  adamw,
  causalLoss,
  causalLossVjp,
  decoder,
  decoderModules,
  fusedDecoder,
  fusedDecoderModules,
  gptDecoder,
  gptDecoderModules,
  tensor,
  transpose,
  zerosLike,
  type DecoderConfig,
  type Factors,
  type GptDecoderConfig,
  type ModelOptions,
  type Moments,
  type RunModel,
  type Tensor,
  type Tensors,
} from '../../reference/index.js'
import { readDecoderConfig } from '../support/decoderConfigs.js'
import {
  decoderFamilies as families,
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  fixtures,
  goldenBounds,
  tensorsIn,
  under,
} from './golden.js'

type Family = (typeof families)[number]

type Golden = Readonly<Record<FloatType, { readonly losses: readonly number[] }>> & {
  readonly classifier: {
    readonly texts: readonly (readonly [string, string?])[]
    readonly inputIds: readonly (readonly number[])[]
    readonly logits: readonly (readonly number[])[]
  }
  readonly lora: Readonly<Record<'rank' | 'alpha' | 'steps' | 'learningRate' | 'weightDecay', number>>
  readonly batches: readonly {
    readonly inputIds: readonly (readonly number[])[]
    readonly targets: readonly (readonly number[])[]
  }[]
}
type Batch = Golden['batches'][number]

const read = (family: Family) => {
  const folder = join(fixtures, family)
  const json = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const config = json('config.json') as object
  const base: Tensors = Object.fromEntries(
    [...tensorsIn(join(folder, 'model.safetensors'))].map(([name, { shape, data }]) => {
      const isTurned = /\.c_\w+\.weight$/.test(name) // GPT-2 stores [in, out]
      return [name.replace(/^(model|transformer)\./, ''), isTurned ? transpose(tensor(shape, data)) : tensor(shape, data)]
    }),
  )
  return { golden: json('golden.json') as Golden, tensors: tensorsIn(join(folder, 'golden.safetensors')), config, base }
}

const textsOf = ({ inputIds, targets }: Batch): readonly TextExample[] =>
  inputIds.map((ids, i) => ({ inputIds: ids, targets: targets[i] ?? [], row: i + 1 }))

const openAccelerated = async (family: Family, dtype: FloatType) => {
  const { golden, config, base } = read(family)
  const { steps: _, alpha, ...own } = golden.lora
  const settings = resolveSettings({ method: 'lora', precision: dtype, dropout: 0, loraAlpha: alpha, ...own })
  const [method, model] = [findMethod('lora'), parseConfigFile(JSON.stringify(config), 'config.json').model]
  const frozen = constants(base, dtype)
  const assembly = assemble({ model, frozen, method, settings, precision: findPrecision(dtype) }, causalLM)
  const phase = method.phases.start(model.spec, settings)
  const layout = buildLayout(assembly, phase)
  const engine = findDevice('cpu').engine({ threads: 1 })
  const open = async (accumulation: 'whole' | 'add') => engine.open(stepGraph(assembly, phase, accumulation).outputs, noWeights)
  /** Logits of every token, which no graph of a run has. */
  const logits = async (parameters: Vector, batch: Batch): Promise<readonly number[]> => {
    const trained = constants(
      Object.fromEntries(layout.entries.map(({ name, shape }) => [name, tensor(shape, viewTensor(layout, parameters, name))])),
      dtype,
    )
    const host = method.train.wrap(phase, settings, trained)(plainHost(frozen, (name) => model.spec.tensors.has(name)))
    const head = model.causalHead?.()
    if (head === undefined) throw new Error('expected a decoder')
    const session = await engine.open({ logits: head.outputs(model.hidden(host, batchInputs(dtype)), host) }, noWeights)
    const prepared = assembly.objective.prepare(textsOf(batch), { seed: 0, step: 0 })
    const results = await session.run(batchFeeds(assembly, prepared, prepared.weight).feeds).finally(session.release)
    return Array.from(results['logits'] ?? [], Number)
  }
  const start = (values: ReadonlyMap<string, { readonly data: Float64Array }>): RunState => ({
    step: 0,
    phase,
    parameters: flatten(layout, ({ name }) => values.get(name)?.data, dtype),
    firstMoment: zeros(layout.size, dtype),
    secondMoment: zeros(layout.size, dtype),
    memory: {},
  })
  return {
    assembly,
    layout,
    open,
    logits,
    start,
    parts: (vector: Vector) => new Map(layout.entries.map(({ name }) => [name, viewTensor(layout, vector, name)])),
  }
}

describe.each(families)('%s under PEFT', (family) => {
  const { golden, tensors } = read(family)
  const [first] = golden.batches as readonly [Batch]

  it.each(dtypes)('has our logits, loss and gradients (%s)', async (dtype) => {
    const { assembly, layout, open, logits, start, parts } = await openAccelerated(family, dtype)
    const state = start(under(tensors, 'start/'))
    const prepared = assembly.objective.prepare(textsOf(first), { seed: 0, step: 0 })
    const add = await open('add')
    const gradientSum = zeros(layout.size, dtype)
    const feeds = { ...batchFeeds(assembly, prepared, prepared.weight).feeds, ...stateFeeds(layout, state, dtype) }
    const sum = blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype)
    const results = await add.run({ ...feeds, ...sum }, resultsInto(layout, { gradientSum })).finally(add.release)
    collect(layout, { gradientSum }, results)
    const bound = goldenBounds[dtype]
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('logits', bound, tensors.get(`${dtype}/logits`)?.data ?? [NaN], await logits(state.parameters, first)),
      compareNumbers('loss', bound, golden[dtype].losses.slice(0, 1), Array.from(results['loss'] ?? [], Number)),
      ...compareTensors('gradient', bound, under(tensors, `${dtype}/gradient/`), parts(gradientSum)),
    ])
  })

  it.each(dtypes)('has our losses and parameters through twenty steps (%s)', async (dtype) => {
    const { assembly, layout, open, logits, start, parts } = await openAccelerated(family, dtype)
    const [{ steps, learningRate }, losses] = [golden.lora, [] as number[]]
    let state = start(under(tensors, 'start/'))
    const phase = { layout, sites: [], pools: {}, update: await open('whole'), add: null, release: async () => undefined }
    for (let step = 0; step < steps; step++) {
      const batch = golden.batches[step % golden.batches.length] as Batch
      const context = { assembly, objective: assembly.objective, progress: { step, steps }, learningRate, spare: null }
      const outcome = await trainStep(context, phase, state, [textsOf(batch)])
      state = outcome.state
      losses.push(outcome.loss)
    }
    await phase.update.release()
    expect(losses).toHaveLength(20)
    const bound = goldenBounds[dtype]
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('losses of 20 steps', bound, golden[dtype].losses, losses),
      compareNumbers(
        'logits after 20 steps',
        bound,
        tensors.get(`${dtype}/finalLogits`)?.data ?? [NaN],
        await logits(state.parameters, first),
      ),
      ...compareTensors('parameter after 20 steps', bound, under(tensors, `${dtype}/final/`), parts(state.parameters)),
    ])
  })
})

describe.each(families)('%s as a classifier', (family) => {
  const { golden } = read(family)
  const folder = join(fixtures, family)

  it('adds special tokens to texts and pairs as its tokenizer does', async () => {
    const { model } = await openModelFolder(folder)
    const { encode } = await loadTokenizer(folder, model)
    expect(golden.classifier.texts.map(([text, textPair]) => encode(text, textPair, model.spec.maxPositions).inputIds)).toEqual(
      golden.classifier.inputIds,
    )
  })

  it("answers with PEFT's adapter as PEFT does, one by one and in a batch", async () => {
    const opened = await openTrainedAdapter({ model: folder, adapter: join(folder, 'peft-adapter'), device: 'cpu' })
    const texts = golden.classifier.texts.map(([text, textPair]) => ({ text, textPair }))
    const [together, alone] = [await opened.predict(texts), [] as number[]]
    for (const one of texts) alone.push(...(await opened.predict([one])).flat())
    await opened.release()
    expectAgreement(`classifier, ${family}`, [
      compareNumbers('logits', goldenBounds.float32, golden.classifier.logits.flat(), together.flat()),
      compareNumbers('logits alone', goldenBounds.float32, golden.classifier.logits.flat(), alone),
    ])
  })
})

type ReferenceModel = { readonly modules: readonly string[]; readonly run: (options: ModelOptions) => RunModel }

const outputNorms = ({ norms: { attention } }: ReturnType<typeof readDecoderConfig>): DecoderConfig['outputNorms'] =>
  attention.before === null ? 'alone' : attention.after !== null

/** LLaMA's kind. */
const llamaReference = (json: object): ReferenceModel => {
  const own = readDecoderConfig(json)
  const config: DecoderConfig = { ...own, outputNorms: outputNorms(own), family: 'decoder', taskType: 'causal' }
  return { modules: decoderModules(config), run: (options) => decoder(config, options) }
}

/** LLaMA's, with the factors of the file. */
const graniteReference = (json: object): ReferenceModel => {
  const factors = json as Readonly<
    Record<'embedding_multiplier' | 'attention_multiplier' | 'residual_multiplier' | 'logits_scaling', number>
  >
  const config: DecoderConfig = {
    ...{ ...readDecoderConfig({ ...json, model_type: 'llama' }), outputNorms: false, family: 'decoder', taskType: 'causal' },
    ...{ embeddingScale: factors.embedding_multiplier, scoreScale: factors.attention_multiplier },
    ...{ residualScale: factors.residual_multiplier, logitScale: 1 / factors.logits_scaling },
  }
  return { modules: decoderModules(config), run: (options) => decoder(config, options) }
}

const phi3Reference = (json: object): ReferenceModel => {
  const config: DecoderConfig = { ...openPhi3(json, 'config.json').config, outputNorms: false, family: 'decoder', taskType: 'causal' }
  return { modules: fusedDecoderModules(config), run: (options) => fusedDecoder(config, options) }
}

const gptReference =
  (configOf: (json: object, where: string) => GptConfig, names: GptDecoderConfig['names']) =>
  (json: object): ReferenceModel => {
    const config: GptDecoderConfig = { ...configOf(json, 'config.json'), names }
    return { modules: gptDecoderModules(config), run: (options) => gptDecoder(config, options) }
  }

const references: Readonly<Record<Family, (json: object) => ReferenceModel>> = {
  llama: llamaReference,
  mistral: llamaReference,
  qwen2: llamaReference,
  qwen3: llamaReference,
  gemma: llamaReference,
  ministral: llamaReference,
  olmo2: llamaReference,
  smollm3: llamaReference,
  gemma2: llamaReference,
  gemma3: llamaReference,
  granite: graniteReference,
  phi3: phi3Reference,
  opt: gptReference(optConfig, {
    ...{ words: 'decoder.embed_tokens', positions: 'decoder.embed_positions', firstPosition: 2, layer: (n) => `decoder.layers.${n}` },
    ...{ attentionNorm: 'self_attn_layer_norm', queryKeyValue: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'] },
    ...{ attentionOutput: 'self_attn.out_proj', feedForwardNorm: 'final_layer_norm', up: 'fc1', down: 'fc2' },
    norm: 'decoder.final_layer_norm',
  }),
  gpt2: gptReference(gpt2Config, {
    ...{ words: 'wte', positions: 'wpe', firstPosition: 0, layer: (n) => `h.${n}`, norm: 'ln_f' },
    ...{ attentionNorm: 'ln_1', queryKeyValue: ['attn.c_attn'], attentionOutput: 'attn.c_proj' },
    ...{ feedForwardNorm: 'ln_2', up: 'mlp.c_fc', down: 'mlp.c_proj' },
  }),
}

describe.each(families)('%s under PEFT', (family) => {
  const { golden, tensors, config: json, base } = read(family)
  const [reference, { rank, alpha, steps, learningRate, weightDecay }] = [references[family](json), golden.lora]
  const start = under(tensors, 'start/')
  const at = (name: string): Tensor => tensor(start.get(name)?.shape ?? [], start.get(name)?.data ?? [])
  const factors = (): Readonly<Record<string, Factors>> =>
    Object.fromEntries(reference.modules.map((module) => [module, { A: at(`${module}.A`), B: at(`${module}.B`) }]))
  const run = (adapters: Readonly<Record<string, Factors>>, batch: Batch) =>
    reference.run({ scale: alpha / rank })({ base, adapters, gates: {}, head: {} }, batch)
  const gradientsOf = (adapters: Readonly<Record<string, Factors>>, batch: Batch) => {
    const [traced, labels] = [run(adapters, batch), batch.targets.flat()]
    return { traced, loss: causalLoss(traced.logits, labels), gradients: traced.pullback(causalLossVjp(traced.logits, labels, 1)).adapters }
  }
  const numbers = (of: Readonly<Record<string, Factors>>) =>
    new Map(Object.entries(of).flatMap(([module, { A, B }]) => [[`${module}.A`, A.data] as const, [`${module}.B`, B.data] as const]))

  it("has the reference's logits, loss, gradients, and twenty steps", () => {
    const bound = goldenBounds.float64
    const [first] = golden.batches as readonly [Batch]
    const before = gradientsOf(factors(), first)
    let adapters = factors()
    const still = (x: Tensor): Moments => ({ m: zerosLike(x), v: zerosLike(x) })
    let moments = Object.fromEntries(Object.entries(adapters).map(([module, { A, B }]) => [module, { A: still(A), B: still(B) }]))
    const losses = Array.from({ length: steps }, (_, i) => {
      const { loss, gradients } = gradientsOf(adapters, golden.batches[i % golden.batches.length] as Batch)
      const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
      const stepped = Object.entries(adapters).map(([module, own]) => {
        const update = (factor: 'A' | 'B') =>
          adamw(settings)(own[factor], gradients[module]?.[factor] ?? own[factor], moments[module]?.[factor] ?? still(own[factor]), {
            learningRate,
            weightDecay,
            step: i + 1,
          })
        return [module, { A: update('A'), B: update('B') }] as const
      })
      adapters = Object.fromEntries(stepped.map(([module, { A, B }]) => [module, { A: A[0], B: B[0] }]))
      moments = Object.fromEntries(stepped.map(([module, { A, B }]) => [module, { A: A[1], B: B[1] }]))
      return loss
    })
    expectAgreement(
      `reference, ${family}, float64`,
      [
        compareNumbers('logits', bound, tensors.get('float64/logits')?.data ?? [NaN], before.traced.logits.data),
        compareTensors('gradient', bound, under(tensors, 'float64/gradient/'), numbers(before.gradients)),
        compareNumbers('losses of 20 steps', bound, golden.float64.losses, losses),
        compareTensors('parameter after 20 steps', bound, under(tensors, 'float64/final/'), numbers(adapters)),
        compareNumbers('logits after 20 steps', bound, tensors.get('float64/finalLogits')?.data ?? [NaN], run(adapters, first).logits.data),
      ].flat(),
    )
  })
})
