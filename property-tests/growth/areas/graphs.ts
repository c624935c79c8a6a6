/** Models: graphs, their derivatives and their files, and adapters, by layers. */
import { join } from 'node:path'
import { checkpointNumbers } from '../../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { simulateArena } from '../../../accelerated/engines/arena.js'
import type { Adapter } from '../../../accelerated/formats/adapter.js'
import { readAdapter, writeAdapter } from '../../../accelerated/formats/index.js'
import { allocations } from '../../../accelerated/graph/liveness.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import { startPhase } from '../../../accelerated/methods/startPhase.js'
import { sequenceClassification } from '../../../accelerated/objectives/sequenceClassification.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { precisionOf } from '../../../accelerated/settings/commonSettings.js'
import { assemble } from '../../../accelerated/training/assembly.js'
import { inferenceGraph } from '../../../accelerated/training/inferenceGraph.js'
import { startOfRun } from '../../../accelerated/training/initialState.js'
import { methodOf, resolveSettings } from '../../../accelerated/training/settings.js'
import { stepGraph } from '../../../accelerated/training/stepGraph.js'
import { writeRandomCheckpoint } from '../../support/randomCheckpoint.js'
import { tinyConfig } from '../../cli/tinyModel.js'
import type { Grown } from '../measured.js'

const outputs = { head: 'sequence', labels: 2, problemType: 'single_label_classification' } as const
const target = { fusedMatMul: true, fusedGelu: true, quantizedMatMul: true, halfMatMul: false } as const

/** A method on a model of tiny layers. */
const assembled = async (folder: string, layers: number, method: 'salora' | 'lora', more: object = {}) => {
  const config = { ...tinyConfig, num_hidden_layers: layers, vocab_size: 50, architectures: ['RobertaModel'] }
  await writeRandomCheckpoint(join(folder, 'model'), config, { seed: 0, shardBytes: 1e9 })
  const base = await openModelFolder(join(folder, 'model'), { baseModelName: 'tiny' })
  const precision = precisionOf('float32')
  const { tensor: frozen } = await openFrozen(precision, base, join(folder, 'cache'))
  const settings = resolveSettings({ method, rank: 2, maxSteps: 10, maxLength: 16, batchSize: 4, ...more } as object)
  const parts = { model: base.model, frozen, method: methodOf(method), settings, precision }
  const assembly = { ...assemble(parts, (model) => sequenceClassification(model, outputs)), settings }
  return { base, parts, assembly, phase: startPhase(parts.method, base.model.spec, settings) }
}

const byLayers = (what: string, prepare: Grown['prepare'], more: Partial<Grown> = {}): Grown => ({
  what,
  of: 'layers',
  from: 16,
  prepare,
  ...more,
})

const largeMaps = { bound: { exponent: 1.25, reason: "maps of a graph's nodes outgrow the processor's caches" } }

const adapterOf = async (size: number, folder: string) => {
  const { base, parts, phase } = await assembled(folder, size, 'lora')
  const zeros = (shape: ReadonlyArray<number>) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) })
  const tensors = new Map(parts.method.train.tensors(phase, parts.settings).map(({ name, shape }) => [name, zeros(shape)] as const))
  const head = new Map([...base.model.sequenceHead(2).tensors].map(([name, shape]) => [name, zeros(shape)] as const))
  const adapter: Adapter = { ...parts, baseModelName: 'tiny', phase, tensors, outputs, head, labelNames: ['bad', 'good'] }
  return { base, adapter }
}

export const graphs: ReadonlyArray<Grown> = [
  byLayers('open a model', async (size, folder) => {
    await assembled(folder, size, 'lora')
    return () => openModelFolder(join(folder, 'model'), { baseModelName: 'tiny' })
  }),
  byLayers('draw the first state of SaLoRA', async (size, folder) => {
    const { assembly, base } = await assembled(folder, size, 'salora')
    return () => startOfRun(assembly, checkpointNumbers(base))
  }),
  byLayers('build and differentiate the step of SaLoRA', async (size, folder) => {
    const { assembly, phase } = await assembled(folder, size, 'salora')
    return () => stepGraph(assembly, phase, 'whole')
  }),
  byLayers('the same with gradient checkpointing', async (size, folder) => {
    const { assembly, phase } = await assembled(folder, size, 'lora', { gradientCheckpointing: true })
    return () => stepGraph(assembly, phase, 'whole')
  }),
  byLayers('build the graph of inference', async (size, folder) => {
    const { assembly, phase } = await assembled(folder, size, 'lora')
    return () => inferenceGraph(assembly, phase)
  }),
  byLayers('write the step of SaLoRA as ONNX', async (size, folder) => {
    const { assembly, phase } = await assembled(folder, size, 'salora')
    const step = stepGraph(assembly, phase, 'whole')
    return () => toOnnx(step.outputs, target)
  }),
  byLayers(
    'write the step with gradient checkpointing as ONNX',
    async (size, folder) => {
      const { assembly, phase } = await assembled(folder, size, 'lora', { gradientCheckpointing: true })
      const step = stepGraph(assembly, phase, 'whole')
      return () => toOnnx(step.outputs, target)
    },
    largeMaps,
  ),
  byLayers(
    'estimate the memory of a step',
    async (size, folder) => {
      const { assembly, phase } = await assembled(folder, size, 'salora')
      const step = stepGraph(assembly, phase, 'whole')
      const sizes = { batch: 4, sequence: 16, tokens: 64, attention: 256, length: 16, rows: 4, selected: 4 }
      return () => simulateArena(allocations(step.outputs, sizes, true))
    },
    largeMaps,
  ),
  byLayers('write an adapter', async (size, folder) => {
    const { base, adapter } = await adapterOf(size, folder)
    return () => writeAdapter(folder, adapter, base)
  }),
  byLayers('read an adapter', async (size, folder) => {
    const { base, adapter } = await adapterOf(size, folder)
    await writeAdapter(folder, adapter, base)
    return () => readAdapter(folder, base)
  }),
]
