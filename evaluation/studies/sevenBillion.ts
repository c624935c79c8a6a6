/**
 * Does a model of LLaMA-7B's shape train on this machine? It trains SaLoRA (r = 8, seven matrices per layer) on texts of one length,
 * with frozen matrices in int8. A checkpoint of random weights is written if there is none: 13.5 GB, and 7.5 GB for its levels.
 *
 *   node dist/evaluation/studies/sevenBillion.js --folder DIR [--layers 32] [--length 256] [--steps 4] [--precision int8] [--threads 0] [--profile PREFIX]
 *
 * Prints what it measured as JSON; see evaluation/results/seven-billion.json.
 */
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { median } from 'simple-statistics'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { input, quantizedMatMul, quantizedOf } from '../../accelerated/graph/operators.js'
import { packBatch } from '../../accelerated/models/packing.js'
import { causalLM, unlabeled } from '../../accelerated/objectives/causalLM.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { methodOf, parseSettings } from '../../accelerated/training/settings.js'
import { assemble, layoutOf } from '../../accelerated/training/assembly.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { dimensionsOf, largestBatch } from '../../accelerated/training/batchFeeds.js'
import { productCount } from '../benchmark/productCount.js'
import { writeRandomCheckpoint } from './randomCheckpoint.js'
import { countFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { versions } from '../../finetuning/runs/versions.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/sevenBillion.js',
  description:
    "Train SaLoRA on texts of one length with a model of LLaMA-7B's shape, and print the measurements as JSON. Answers whether this machine can.",
  flags: {
    Options: {
      folder: required(
        textFlag('folder', 'Checkpoint of random weights (13.5 GB) and its int8 levels (7.5 GB); written where absent'),
        'a folder',
      ),
      layers: countFlag('n', 'Layers of the model', { default: 32 }),
      length: countFlag('tokens', 'Tokens per text', { default: 256 }),
      steps: countFlag('n', 'Measured steps, after one that is not measured', { default: 4 }),
      precision: textFlag('name', 'Precision of the frozen matrices, as in salora train', { default: 'int8' }),
      threads: countFlag('n', 'CPU threads; 0 lets ONNX Runtime choose', { from: 0, default: 0 }),
      profile: textFlag('prefix', "Write ONNX Runtime's profile to files with this prefix"),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/sevenBillion.js --folder seven-billion --layers 2',
      result: 'Prints seconds per step and peak memory as JSON.',
    },
  ],
})
const { layers, length, steps, threads } = given

const config = {
  model_type: 'llama',
  vocab_size: 32_000,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: layers,
  num_attention_heads: 32,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
  tie_word_embeddings: false,
}

const note = (line: string): void => {
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
}
const began = performance.now()
const seconds = async <T>(work: () => Promise<T>): Promise<readonly [number, T]> => {
  const start = performance.now()
  const result = await work()
  return [(performance.now() - start) / 1000, result]
}

/** Bytes of this process: its own memory, and mapped pages of files, which the system may drop and read again. */
const memory = () => {
  const status = readFileSync('/proc/self/status', 'utf8')
  const bytes = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  return { own: bytes('RssAnon'), mapped: bytes('RssFile'), peak: bytes('VmHWM') }
}
const swapped = (): number => Number(/^pswpout (\d+)/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1])
const swappedBefore = swapped()

const folder = join(given.folder, `llama-${layers}-layers`)
const written = await stat(join(folder, 'model.safetensors.index.json')).then(
  () => null,
  async () => {
    note('writing the checkpoint')
    return (await seconds(() => writeRandomCheckpoint(folder, config, { seed: 0, shardBytes: 5e9 })))[0]
  },
)

const base = await openModelFolder(folder)
const precision = precisionOf(given.precision)
note('opening the weights')
const opening = precision.open(base, given.folder)
const [openSeconds, frozen] = await seconds(async () => {
  for (;;) {
    const next = await opening.next()
    if (next.done === true) return next.value
    note(next.value)
  }
})

const settings = parseSettings({
  method: 'salora',
  rank: 8,
  precision: given.precision,
  maxSteps: 1000,
  batchSize: 1,
  maxLength: length,
  learningRate: 1e-4,
  warmupRatio: 0,
  threads,
  gateStart: 0,
  gateEnd: 1,
})
const method = methodOf('salora')
const assembly = assemble({ model: base.model, frozen: frozen.tensor, method, settings, precision }, causalLM)
const progressAt = (step: number) => ({ step, steps: settings.maxSteps ?? 0 })
let state = await startOfRun(assembly, checkpointNumbers(base))
const layouts = { vectors: state, layoutOf: (phase: unknown) => layoutOf(assembly, phase), dtype: precision.dtype }
const next = method.phases.advance?.(state.phase, settings, progressAt(0), layouts) ?? null
if (next !== null) state = { ...state, ...next.vectors, phase: next.phase }

const u = uniforms(1, 'order', 0, (steps + 1) * length)
const texts = Array.from({ length: steps + 1 }, (_, row) => {
  const inputIds = Array.from({ length }, (__, i) => Math.floor(config.vocab_size * (u[row * length + i] ?? 0)))
  return { inputIds, targets: [...inputIds.slice(1), unlabeled], row }
})
const engine = deviceOf('cpu').engine({ threads, ...(given.profile === null ? {} : { profile: given.profile }) })
note('opening the session')
const [sessionSeconds, opened] = await seconds(() =>
  openPhaseSessions(assembly, state.phase, { engine, weights: frozen.weights }, largestBatch(texts, 1, 0)),
)
const { outputs } = stepGraph(assembly, state.phase, 'whole')
const dimensions = { ...dimensionsOf(packBatch(texts.slice(0, 1), 0, precision.dtype)), labeled: Math.ceil((length - 1) / 4) }
const operations = productCount(Object.values(outputs), dimensions)
note(
  `${opened.layout.size} trained parameters, ${(operations / 1e9).toFixed(0)} GOP per step, ${(memory().own / 1e9).toFixed(2)} GB of own memory`,
)

let spare: Vector | null = null
const times: { readonly seconds: number; readonly cpuSeconds: number }[] = []
const losses: number[] = []
for (const text of texts) {
  const cpu = process.cpuUsage()
  const context = { assembly, objective: assembly.objective, progress: progressAt(state.step), learningRate: settings.learningRate, spare }
  const [stepSeconds, { state: after, loss }] = await seconds(() => trainStep(context, opened, state, [[text]]))
  const { user, system } = process.cpuUsage(cpu)
  spare = state.parameters
  state = after
  times.push({ seconds: stepSeconds, cpuSeconds: (user + system) / 1e6 })
  losses.push(loss)
  const { own, mapped, peak } = memory()
  note(
    `step ${state.step}: ${stepSeconds.toFixed(2)} s (${((user + system) / 1e6).toFixed(2)} s of processors), loss ${loss.toFixed(4)}, own ${(own / 1e9).toFixed(2)}, mapped ${(mapped / 1e9).toFixed(2)}, peak ${(peak / 1e9).toFixed(2)} GB`,
  )
}
const atEnd = memory()
await opened.release()

/** One product with a matrix of the first layer, alone: forward, in its stored order. */
const productRate = async () => {
  const matrix = quantizedOf(frozen.tensor('layers.0.mlp.down_proj.weight'))
  if (matrix === null) return null
  const [p = 0, k = 0] = matrix.levels.shape.map(Number)
  // back through the layer: no turn
  const backward = quantizedMatMul(input('x', [length, p], 'float32'), { levels: matrix.transposed, transposed: matrix.levels })
  const session = await deviceOf('cpu').engine({ threads }).open({ y: backward }, frozen.weights, { prepack: false })
  const x = { data: Float32Array.from(uniforms(2, 'order', 0, length * p)), shape: [length, p] }
  const runs: { readonly seconds: number; readonly cpuSeconds: number }[] = []
  for (let i = 0; i < 12; i++) {
    const cpu = process.cpuUsage()
    const [productSeconds] = await seconds(() => session.run({ x }))
    const { user, system } = process.cpuUsage(cpu)
    runs.push({ seconds: productSeconds, cpuSeconds: (user + system) / 1e6 })
  }
  await session.release()
  const count = 2 * length * p * k
  return { shape: `${length} × ${p} · ${p} × ${k}`, ...rates(count, runs.slice(2)) }
}
const rates = (count: number, runs: typeof times) => ({
  seconds: median(runs.map((run) => run.seconds)),
  cpuSeconds: median(runs.map((run) => run.cpuSeconds)),
  gigaops: count / median(runs.map((run) => run.seconds)) / 1e9,
  /** as two processors would have it that do nothing else */
  gigaopsOfProcessors: (2 * count) / median(runs.map((run) => run.cpuSeconds)) / 1e9,
})

process.stdout.write(
  `${JSON.stringify(
    {
      versions: { salora: versions['salora'], 'onnxruntime-node': versions['onnxruntime-node'], node: process.version },
      layers,
      length,
      precision: given.precision,
      trained: opened.layout.size,
      operations,
      secondsToWrite: written,
      secondsToOpen: openSeconds,
      secondsToCompile: sessionSeconds,
      step: rates(operations, times.slice(1)),
      first: times[0],
      product: await productRate(),
      losses,
      bytes: atEnd,
      pagesSwapped: swapped() - swappedBefore,
    },
    null,
    2,
  )}\n`,
)
