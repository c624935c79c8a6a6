/** The graph of a decoder's step in SmolLM2-135M's shape: how many nodes it has, and how much memory it holds. */
import { describe, expect, it } from 'vitest'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { topologicalOrder, type Expression } from '../../../accelerated/graph/expression.js'
import { allocations, findPeak } from '../../../accelerated/graph/liveness.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { toOnnx } from '../../../accelerated/graph/onnx.js'
import { weight } from '../../../accelerated/graph/operators.js'
import { startPhase } from '../../../accelerated/methods/startPhase.js'
import { llamaArchitecture } from '../../../accelerated/models/llama/llama.js'
import { causalLM } from '../../../accelerated/objectives/causalLM.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { assemble } from '../../../accelerated/training/assembly.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { stepGraph } from '../../../accelerated/training/stepGraph.js'
import { readModel } from '../../support/runGraph.js'

const model = llamaArchitecture.open(
  {
    ...{ model_type: 'llama', vocab_size: 49_152, hidden_size: 576, num_hidden_layers: 30, num_attention_heads: 9 },
    ...{ num_key_value_heads: 3, intermediate_size: 1536, tie_word_embeddings: true },
  },
  'config.json',
)

/** Without weights: their shapes make the graph. */
const stepOf = (gradientCheckpointing: boolean) => {
  const settings = resolveSettings({ method: 'lora', maxSteps: 10, gradientCheckpointing })
  const method = findMethod(settings.method)
  const frozen = (name: string): Expression =>
    weight(name, model.spec.tensors.get(name) ?? [], 'float32', { location: 'model.safetensors', offset: 0, length: 1 })
  const assembly = assemble({ model, frozen, method, settings, precision: findPrecision('float32') }, (of) => causalLM(of))
  const { outputs } = stepGraph(assembly, startPhase(method, model.spec, settings), 'whole')
  const sizes = { tokens: 640, batch: 8, sequence: 80, ...assembly.objective.dimensions?.(640) }
  return { outputs, megabytes: findPeak(allocations(outputs, sizes, true)) / 1e6 }
}

describe("a decoder's step", () => {
  it('has at most 6,100 nodes and 1,560 reshapes, and reshapes no reshape', () => {
    const { outputs } = stepOf(false)
    const { node } = readModel(toOnnx(outputs, cpu.target))
    expect(node.length).toBeLessThanOrEqual(6_100)
    expect(node.filter(({ opType }) => opType === 'Reshape').length).toBeLessThanOrEqual(1_560)
    const reshapes = topologicalOrder(Object.values(lower(outputs))).filter(({ op }) => op === 'Reshape')
    expect(reshapes.filter(({ inputs: [x] }) => x?.op === 'Reshape')).toEqual([])
  })

  it.each([
    [false, 1_150],
    [true, 250],
  ])('holds what it needs, and no more for a quick start (gradient checkpointing: %s)', (recomputed, most) => {
    expect(stepOf(recomputed).megabytes).toBeLessThan(most)
  })
})
