/**
 * Does a model of the shape of LLaMA-7B, LLaMA-13B or SmolLM2-135M train on this machine? It trains SaLoRA (r = 8, seven matrices per layer) on
 * texts of one length,
 * with frozen matrices in int8 or int4. A checkpoint of random weights is written if there is none: 13.5 GB, and 7.5 GB for its levels in int8.
 *
 *   node dist/evaluation/studies/largeShapes.js --folder DIR [--shape 7b] [--layers 32] [--length 256] [--batch-size 1] [--steps 4]
 *     [--precision int8] [--gradient-checkpointing] [--threads 0] [--profile PREFIX]
 *
 * Prints what it measured as JSON; see evaluation/results/seven-billion.json.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import type { Engine } from '../../accelerated/engines/engine.js'
import { input } from '../../accelerated/graph/operators.js'
import { quantizedMatMul, quantizedOf } from '../../accelerated/graph/quantizedOperators.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../accelerated/objectives/labeledTokens.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import type { Frozen } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { inBatches } from '../../accelerated/training/batchOrder.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { choiceFlag, countFlag, required, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { versions } from '../../finetuning/runs/versions.js'
import { steppedRun } from '../benchmark/steppedRun.js'
import { memoryOfProcess, pagesSwapped, rates, seconds, timesOf, type Times } from './processMeasures.js'
import { writeRandomCheckpoint } from './randomCheckpoint.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/largeShapes.js',
  description:
    "Train SaLoRA on texts of one length with a model of LLaMA-7B's shape, and print the measurements as JSON. Answers whether this machine can.",
  flags: {
    Options: {
      folder: required(
        textFlag('folder', 'Checkpoint of random weights (13.5 GB) and its int8 levels (7.5 GB); written where absent'),
        'a folder',
      ),
      shape: choiceFlag(['7b', '13b', '135m'] as const, 'shape', 'Layers of the shape of LLaMA-7B, of LLaMA-13B or of SmolLM2-135M', {
        default: '7b' as const,
      }),
      layers: countFlag('n', 'Layers of the model', { default: 32 }),
      length: countFlag('tokens', 'Tokens per text', { default: 256 }),
      batchSize: countFlag('n', 'Texts per step', { default: 1 }),
      steps: countFlag('n', 'Measured steps, after one that is not measured', { default: 4 }),
      precision: textFlag('name', 'Precision of the frozen matrices, as in salora train', { default: 'int8' }),
      gradientCheckpointing: switchFlag('Recompute the activations of each layer in the backward pass'),
      threads: countFlag('n', 'CPU threads; 0 lets ONNX Runtime choose', { from: 0, default: 0 }),
      profile: textFlag('prefix', "Write ONNX Runtime's profile to files with this prefix"),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/largeShapes.js --folder seven-billion --layers 2',
      result: 'Prints seconds per step and peak memory as JSON.',
    },
  ],
})
const { layers, length, batchSize, steps, threads } = given

const shapes = {
  '7b': { hidden_size: 4096, intermediate_size: 11_008, num_attention_heads: 32 },
  '13b': { hidden_size: 5120, intermediate_size: 13_824, num_attention_heads: 40 },
  '135m': {
    hidden_size: 576,
    intermediate_size: 1536,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49_152,
    tie_word_embeddings: true,
  },
}

const config = {
  model_type: 'llama',
  vocab_size: 32_000,
  tie_word_embeddings: false,
  ...shapes[given.shape],
  num_hidden_layers: layers,
  max_position_embeddings: Math.max(2048, length),
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
}

const began = performance.now()
const note = (line: string): void => {
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
}
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2)

/** → seconds that writing took; null where the checkpoint was there */
const writeCheckpoint = async (folder: string): Promise<number | null> => {
  const exists = await stat(join(folder, 'model.safetensors.index.json')).then(
    () => true,
    () => false,
  )
  if (exists) return null
  note('writing the checkpoint')
  return (await seconds(() => writeRandomCheckpoint(folder, config, { seed: 0, shardBytes: 5e9 })))[0]
}

/** Quantizes the weights, or opens the levels of an earlier call. */
const openWeights = async (base: Awaited<ReturnType<typeof openModelFolder>>): Promise<Frozen> => {
  note('opening the weights')
  const opening = precisionOf(given.precision).open(base, given.folder)
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
    note(next.value)
  }
}

const settings = parseSettings({
  method: 'salora',
  rank: 8,
  precision: given.precision,
  maxSteps: 1000,
  batchSize,
  maxLength: length,
  learningRate: 1e-4,
  warmupRatio: 0,
  threads,
  gateStart: 0,
  gateEnd: 1,
  gradientCheckpointing: given.gradientCheckpointing,
})

/** Those of one step more than the measured ones. */
const drawTexts = () => {
  const count = (steps + 1) * batchSize
  const u = uniforms(1, 'order', 0, count * length)
  return Array.from({ length: count }, (_, row) => {
    const inputIds = Array.from({ length }, (__, i) => Math.floor(config.vocab_size * (u[row * length + i] ?? 0)))
    return { inputIds, targets: [...inputIds.slice(1), unlabeled], row }
  })
}

/** One product with a matrix of the first layer, alone: back through the layer, which needs no turn. */
const productRate = async (engine: Engine, frozen: Frozen) => {
  const matrix = quantizedOf(frozen.tensor('layers.0.mlp.down_proj.weight'))
  if (matrix === null) return null
  const [p = 0, k = 0] = matrix.levels.shape.map(Number)
  const y = quantizedMatMul(input('x', [length, p], 'float32'), { levels: matrix.transposed, transposed: matrix.levels })
  const session = await engine.open({ y }, frozen.weights, { prepack: false })
  const x = { data: Float32Array.from(uniforms(2, 'order', 0, length * p)), shape: [length, p] }
  const runs: Times[] = []
  for (let i = 0; i < 12; i++) runs.push((await timesOf(() => session.run({ x })))[0])
  await session.release()
  return { shape: `${length} × ${p} · ${p} × ${k}`, ...rates(2 * length * p * k, runs.slice(2)) }
}

const swappedBefore = pagesSwapped()
const folder = join(given.folder, given.shape === '7b' ? `llama-${layers}-layers` : `llama-${given.shape}-${layers}-layers`)
const secondsToWrite = await writeCheckpoint(folder)
const base = await openModelFolder(folder)
const [secondsToOpen, frozen] = await seconds(() => openWeights(base))
const texts = drawTexts()
const engine = deviceOf('cpu').engine({ threads, ...(given.profile === null ? {} : { profile: given.profile }) })
const batches = inBatches(texts, batchSize)
const run = await steppedRun({ base, frozen, settings, objectiveOf: causalLM, engine, steps: settings.maxSteps ?? 0, batches })
note('opening the session')
const [secondsToCompile, opened] = await seconds(run.open)
const operations = run.operationsOf(texts.slice(0, batchSize))
note(
  `${run.trained} trained parameters, ${(operations / 1e9).toFixed(0)} GOP per step, ${gigabytes(memoryOfProcess().own)} GB of own memory`,
)

const times: Times[] = []
const losses: number[] = []
for (const [i, batch] of batches.entries()) {
  const [stepTimes, loss] = await timesOf(() => opened.step(batch))
  times.push(stepTimes)
  losses.push(loss)
  const { own, mapped, peak } = memoryOfProcess()
  note(
    `step ${i + 1}: ${stepTimes.seconds.toFixed(2)} s (${stepTimes.cpuSeconds.toFixed(2)} s of processors), loss ${loss.toFixed(4)}, own ${gigabytes(own)}, mapped ${gigabytes(mapped)}, peak ${gigabytes(peak)} GB`,
  )
}
const bytes = memoryOfProcess()
await opened.release()

const result = {
  versions: { salora: versions['salora'], 'onnxruntime-node': versions['onnxruntime-node'], node: process.version },
  layers,
  length,
  batchSize,
  precision: given.precision,
  shape: given.shape,
  gradientCheckpointing: given.gradientCheckpointing,
  trained: run.trained,
  operations,
  secondsToWrite,
  secondsToOpen,
  secondsToCompile,
  step: rates(operations, times.slice(1)),
  first: times[0],
  product: await productRate(deviceOf('cpu').engine({ threads }), frozen),
  losses,
  bytes,
  pagesSwapped: pagesSwapped() - swappedBefore,
}
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
