/**
 * Pre-trains the embedded model: a small RoBERTa, masked-language modelling, every weight trained by the same graphs that train adapters.
 *
 *   node dist/evaluation/embedded/pretrain.js --corpora DIR --output DIR [--exclude FILE]… [--steps N]
 *
 * Writes the run's state every 500 steps and goes on from it when started again; --export writes evaluation/embedded/model/model.safetensors (fp16).
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { EncoderConfig } from '../../accelerated/models/encoderConfig.js'
import { floatFeed, int32Feed, scalarFeed } from '../../accelerated/runtime/feeds.js'
import { packBatch, selectionFeeds } from '../../accelerated/models/packing.js'
import type { ParameterLayout, Vector } from '../../accelerated/training/parameterVector.js'
import { flatten, parameterLayout, splitParameters, tensorOf } from '../../accelerated/training/parameterVector.js'
import { maskedLanguageModelObjective, pretrainedTensors } from '../../accelerated/objectives/masked.js'
import { normals, permutation, uniforms } from '../../accelerated/training/random.js'
import { openSession } from '../../accelerated/runtime/session.js'
import type { Objective } from '../../accelerated/training/trainingStep.js'
import { trainingStep } from '../../accelerated/training/trainingStep.js'
import { isLeft } from 'fp-ts/lib/Either.js'
import { writeFileAtomically } from '../../accelerated/files/atomicFile.js'
import { writeSafetensors } from '../../accelerated/files/safetensors/writeSafetensors.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { input } from '../../accelerated/graph/operators.js'
import { bytePairTokenizer } from './bytePairEncoding.js'
import { readCorpus } from './corpus.js'
import type { TokenisedCorpus } from './tokeniseCorpus.js'
import { tokeniseCorpus } from './tokeniseCorpus.js'
import { parseTokenizerJson } from './tokenizerJson.js'

/** The embedded model's size. */
export const embeddedConfig: EncoderConfig = {
  family: 'roberta',
  vocabularySize: 8192,
  hiddenSize: 256,
  layers: 4,
  heads: 4,
  intermediateSize: 1024,
  maxPositions: 258,
  tokenTypes: 1,
  layerNormEpsilon: 1e-5,
  activation: 'gelu',
  paddingIndex: 1,
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  headDropout: 0.1,
  labels: 2,
  problem: 'classification',
}

/** How it is pre-trained. */
export const pretraining = {
  seed: 20231017,
  tokensPerBatch: 3072,
  longestLine: 126,
  maskedShare: 0.15,
  peakLearningRate: 1e-3,
  warmup: 0.06,
  weightDecay: 0.01,
  adamw: { beta1: 0.9, beta2: 0.98, epsilon: 1e-6 },
  clip: 1,
  initialDeviation: 0.02,
} as const

/** RoBERTa's special tokens; every id between them is an ordinary one. */
const special = { start: 0, end: 2, mask: embeddedConfig.vocabularySize - 1, firstOrdinary: 4 } as const

type MaskedBatch = {
  readonly examples: ReadonlyArray<{ readonly inputIds: ReadonlyArray<number> }>
  readonly maskedTokens: ReadonlyArray<number>
  readonly labels: ReadonlyArray<number>
}

/** Lines of similar length, up to tokensPerBatch tokens a batch; the batches in a random order that `epoch` decides. */
const batchesOfEpoch = (corpus: TokenisedCorpus, epoch: number): ReadonlyArray<ReadonlyArray<number>> => {
  const lines = corpus.starts.length - 1
  const length = (line: number): number =>
    Math.min((corpus.starts[line + 1] ?? 0) - (corpus.starts[line] ?? 0), pretraining.longestLine) + 2
  const order = [...permutation(pretraining.seed, 'order', epoch, lines)]
    .filter((line) => length(line) > 5)
    .sort((a, b) => length(a) - length(b))
  const batches: number[][] = [[]]
  let tokens = 0
  for (const line of order) {
    if (tokens + length(line) > pretraining.tokensPerBatch) {
      batches.push([])
      tokens = 0
    }
    batches.at(-1)?.push(line)
    tokens += length(line)
  }
  return [...permutation(pretraining.seed, 'order', 0x10000 + epoch, batches.length)].map((i) => batches[i] ?? [])
}

/** BERT's masking: of 15 % of the tokens 80 % become <mask>, 10 % another token, 10 % stay; all of them are predicted. */
const maskBatch = (corpus: TokenisedCorpus, lines: ReadonlyArray<number>, step: number): MaskedBatch => {
  const maskedTokens: number[] = []
  const labels: number[] = []
  const u = uniforms(pretraining.seed, 'masking', step, 3 * (pretraining.tokensPerBatch + 256))
  let token = 0
  const examples = lines.map((line) => {
    const start = corpus.starts[line] ?? 0
    const ids = [
      special.start,
      ...corpus.tokens.subarray(start, Math.min(corpus.starts[line + 1] ?? 0, start + pretraining.longestLine)),
      special.end,
    ]
    const inputIds = ids.map((id, column) => {
      const at = token++
      const [chosen = 1, kind = 1, other = 0] = u.subarray(3 * at, 3 * at + 3)
      if (column === 0 || column === ids.length - 1 || chosen >= pretraining.maskedShare) return id
      maskedTokens.push(at)
      labels.push(id)
      return kind < 0.8
        ? special.mask
        : kind < 0.9
          ? special.firstOrdinary + Math.floor(other * (special.mask - special.firstOrdinary))
          : id
    })
    return { inputIds }
  })
  return { examples, maskedTokens, labels }
}

const feedsOf = ({ examples, maskedTokens, labels }: MaskedBatch) => {
  const packed = packBatch(examples, embeddedConfig.paddingIndex + 1, 'float32')
  return {
    tokens: packed.tokens,
    feeds: {
      ...packed.feeds,
      ...selectionFeeds(maskedTokens, packed.tokens),
      labels: int32Feed(Int32Array.from(labels)),
      lossWeight: scalarFeed(1 / labels.length, 'float32'),
    },
  }
}

/** Matrices and embeddings from N(0, 0.02²), norms' scales 1, biases 0. */
export const initialParameters = (layout: ParameterLayout): Vector =>
  flatten(
    layout,
    ({ name, size, shape, offset }) =>
      shape.length > 1
        ? normals(pretraining.seed, 'initialisation', offset, size).map((x) => x * pretraining.initialDeviation)
        : new Float32Array(size).fill(/norm\.weight$/i.test(name) ? 1 : 0),
    'float32',
  )

/** Linear warm-up, then linear to 0. */
const learningRate = (step: number, steps: number): number =>
  pretraining.peakLearningRate * Math.min((step + 1) / (pretraining.warmup * steps), (steps - step) / (steps * (1 - pretraining.warmup)))

type State = { readonly step: number; readonly parameters: Vector; readonly firstMoment: Vector; readonly secondMoment: Vector }

/** One file: the step, then three vectors; written whole or not at all. */
const saveState = (file: string, state: State): void => {
  const header = new Float64Array([state.step])
  const bytes = [header, state.parameters, state.firstMoment, state.secondMoment].map((part) =>
    Buffer.from(part.buffer, part.byteOffset, part.byteLength),
  )
  writeFileSync(`${file}.partial`, Buffer.concat(bytes))
  renameSync(`${file}.partial`, file)
}

const loadState = (file: string, size: number): State => {
  const bytes = readFileSync(file)
  if (bytes.length !== 8 + 12 * size) throw new Error(`${file}: expected ${8 + 12 * size} bytes, found ${bytes.length}`)
  const vector = (i: number): Float32Array =>
    new Float32Array(bytes.buffer.slice(bytes.byteOffset + 8 + 4 * size * i, bytes.byteOffset + 8 + 4 * size * (i + 1)))
  return { step: bytes.readDoubleLE(0), parameters: vector(0), firstMoment: vector(1), secondMoment: vector(2) }
}

const exportModel = async (layout: ParameterLayout, parameters: Vector, folder: string): Promise<void> => {
  const tensors = new Map(
    layout.entries.map(({ name, shape }) => [
      name.startsWith('lm_head.') ? name : `roberta.${name}`,
      { dtype: 'F16' as const, shape, data: tensorOf(layout, parameters, name) },
    ]),
  )
  await writeFileAtomically(join(folder, 'model.safetensors'), writeSafetensors(tensors, { format: 'pt' }))
  await writeFileAtomically(join(folder, 'config.json'), `${JSON.stringify(configJson(), null, 2)}\n`)
}

/** config.json as transformers writes it for RobertaForMaskedLM. */
const configJson = (): object => ({
  architectures: ['RobertaForMaskedLM'],
  model_type: 'roberta',
  vocab_size: embeddedConfig.vocabularySize,
  hidden_size: embeddedConfig.hiddenSize,
  num_hidden_layers: embeddedConfig.layers,
  num_attention_heads: embeddedConfig.heads,
  intermediate_size: embeddedConfig.intermediateSize,
  max_position_embeddings: embeddedConfig.maxPositions,
  type_vocab_size: embeddedConfig.tokenTypes,
  layer_norm_eps: embeddedConfig.layerNormEpsilon,
  hidden_act: 'gelu',
  pad_token_id: embeddedConfig.paddingIndex,
  bos_token_id: special.start,
  eos_token_id: special.end,
  hidden_dropout_prob: embeddedConfig.hiddenDropout,
  attention_probs_dropout_prob: embeddedConfig.attentionDropout,
  position_embedding_type: 'absolute',
  torch_dtype: 'float16',
})

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      corpora: { type: 'string' },
      exclude: { type: 'string', multiple: true },
      output: { type: 'string' },
      steps: { type: 'string', default: '6000' },
      threads: { type: 'string', default: '2' },
      export: { type: 'boolean', default: false },
    },
  })
  const output = values.output ?? ''
  if (output === '') throw new Error('--output: expected a folder for the run, found none')
  const model = join(import.meta.dirname, '../../../evaluation/embedded/model')
  const layout = parameterLayout(pretrainedTensors(embeddedConfig))
  const stateFile = join(output, 'state.bin')
  if (values.export) return exportModel(layout, loadState(stateFile, layout.size).parameters, model)

  const steps = Number(values.steps)
  const corpus = readCorpus(values.corpora ?? '', values.exclude)
  if (isLeft(corpus)) throw new Error(corpus.left)
  const tokenizer = bytePairTokenizer(parseTokenizerJson(readFileSync(join(model, 'tokenizer.json'), 'utf8')))
  const [training, validation] = [tokeniseCorpus(corpus.right.training, tokenizer), tokeniseCorpus(corpus.right.validation, tokenizer)]
  console.log(
    `${training.tokens.length} tokens in ${training.starts.length - 1} lines; ${validation.tokens.length} for validation; ${corpus.right.removed} sentences removed; ${layout.size} parameters`,
  )

  const objective = maskedLanguageModelObjective(embeddedConfig, 'float32')
  const settings = { device: 'cpu', threads: Number(values.threads), weightFiles: [] } as const
  const session = await openSession(
    trainingStep(layout, objective, {
      ...pretraining.adamw,
      gateAdam: pretraining.adamw,
      weightDecay: pretraining.weightDecay,
      clip: pretraining.clip,
      lambdaOptimizer: 'adam',
    }),
    settings,
  )
  const scoring = await openSession(lossOnly(layout, objective), settings)
  mkdirSync(output, { recursive: true })
  let state: State = existsSync(stateFile)
    ? loadState(stateFile, layout.size)
    : {
        step: 0,
        parameters: initialParameters(layout),
        firstMoment: new Float32Array(layout.size),
        secondMoment: new Float32Array(layout.size),
      }

  /** Mean loss over the validation lines, masked as in step −1 − i of the masking stream. */
  const validate = async (): Promise<number> => {
    let [sum, count] = [0, 0]
    for (const [i, lines] of batchesOfEpoch(validation, 0).entries()) {
      const batch = maskBatch(validation, lines, 1e9 + i)
      if (batch.labels.length === 0) continue
      const { loss } = await scoring.run({ ...feedsOf(batch).feeds, parameters: floatFeed(state.parameters, [layout.size], 'float32') })
      sum += (loss?.[0] as number) * batch.labels.length
      count += batch.labels.length
    }
    return sum / count
  }

  const started = performance.now()
  let [tokens, smoothed, epoch, place, batches] = [0, NaN, -1, 0, [] as ReadonlyArray<ReadonlyArray<number>>]
  const first = state.step
  // Batches are counted from the start of the run, so a resumed run sees the batches that the whole one would have.
  for (let step = 0; step < steps; step++, place++) {
    if (place >= batches.length) [epoch, place, batches] = [epoch + 1, 0, batchesOfEpoch(training, epoch + 1)]
    if (step < first) continue
    const batch = feedsOf(maskBatch(training, batches[place] ?? [], step))
    const vector = (data: Vector) => floatFeed(data, [layout.size], 'float32')
    const t = step + 1
    const result = await session.run({
      ...batch.feeds,
      parameters: vector(state.parameters),
      firstMoment: vector(state.firstMoment),
      secondMoment: vector(state.secondMoment),
      learningRate: scalarFeed(learningRate(step, steps), 'float32'),
      correction1: scalarFeed(1 - pretraining.adamw.beta1 ** t, 'float32'),
      correction2: scalarFeed(1 - pretraining.adamw.beta2 ** t, 'float32'),
    })
    state = {
      step: t,
      parameters: result['nextParameters'] as Vector,
      firstMoment: result['nextFirstMoment'] as Vector,
      secondMoment: result['nextSecondMoment'] as Vector,
    }
    const loss = result['loss']?.[0] as number
    if (!Number.isFinite(loss)) throw new Error(`step ${step}: expected a finite loss, found ${loss}`)
    smoothed = Number.isNaN(smoothed) ? loss : 0.98 * smoothed + 0.02 * loss
    tokens += batch.tokens
    if (t % 50 === 0) {
      const seconds = (performance.now() - started) / 1000
      console.log(
        `step ${t}/${steps} epoch ${epoch} loss ${smoothed.toFixed(3)} norm ${Number(result['gradientNorm']?.[0]).toFixed(2)} ${(tokens / seconds).toFixed(0)} tokens/s, ${(((seconds / (t - first)) * (steps - t)) / 60).toFixed(1)} min left`,
      )
    }
    if (t % 500 === 0 || t === steps) {
      saveState(stateFile, state)
      console.log(`step ${t} validation loss ${(await validate()).toFixed(4)}`)
    }
  }
}

/** The objective alone, for validation. */
const lossOnly = (layout: ParameterLayout, objective: Objective): Readonly<Record<string, Expression>> => {
  const tensors = splitParameters(layout, input('parameters', [layout.size], 'float32'))
  return { loss: objective((name) => tensors.get(name) as Expression).loss }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error))
    process.exitCode = 1
  })
}
