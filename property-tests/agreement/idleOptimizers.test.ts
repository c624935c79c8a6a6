/** The optimizers of ONNX Runtime that salora leaves out would change no graph: every family of models, every method, every precision of the CPU. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { idleOptimizers } from '../../accelerated/engines/sessionOptions.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { methods } from '../../accelerated/methods/index.js'
import { startPhase } from '../../accelerated/methods/startPhase.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import type { MethodName, SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { assemble } from '../../accelerated/training/assembly.js'
import { inferenceGraph } from '../../accelerated/training/inferenceGraph.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { decoderFamilies, fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('optimizers')

/** The model as ONNX Runtime runs it. */
const optimized = async (model: Uint8Array, weights: string, without: readonly string[]): Promise<Buffer> => {
  const file = join(folder, 'optimized.onnx')
  const session = await ort.InferenceSession.create(model, {
    optimizedModelFilePath: file,
    logSeverityLevel: 3,
    extra: {
      optimization: { disable_specified_optimizers: ['QuickGeluFusion', ...without].join(';') },
      session: { model_external_initializers_file_folder_path: weights },
    },
  })
  await session.release()
  return readFile(file)
}

const expectSame = async (family: string, given: SettingsInput, causal = false): Promise<void> => {
  const settings = resolveSettings({ maxSteps: 10, dropout: 0.2, ...given })
  const base = await openModelFolder(join(fixtures, family))
  const [method, precision] = [findMethod(settings.method), findPrecision(settings.precision)]
  const frozen = await openFrozen(precision, base, folder)
  const assembly = assemble({ model: base.model, frozen: frozen.tensor, method, settings, precision }, (model) =>
    causal ? causalLM(model) : sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }),
  )
  const phase = startPhase(method, base.model.spec, settings)
  const weights = await frozen.weights()
  if (typeof weights !== 'string') throw new Error('expected weights in a folder')
  for (const outputs of [stepGraph(assembly, phase, 'whole').outputs, inferenceGraph(assembly, phase)]) {
    const model = toOnnx(outputs, cpu.target)
    const [all, some] = [await optimized(model, weights, []), await optimized(model, weights, idleOptimizers)]
    expect(some.equals(all)).toBe(true)
  }
}

describe('optimizers that salora leaves out', () => {
  it.each(methods.map(({ name }) => name as MethodName))('change no graph of method %s', (method) =>
    expectSame('roberta', { method, ...(method === 'prefix' || method === 'prompt' ? { numVirtualTokens: 3 } : {}) }),
  )

  it.each(['bert', 'distilbert', 'electra', 'mpnet', 'deberta-v2', 'modernbert', 'xlm-roberta', ...decoderFamilies])(
    'change no graph of %s',
    (family) => expectSame(family, { method: 'lora' }),
  )

  it.each(['float64', 'int8'] as const)('change no graph in %s', (precision) => expectSame('roberta', { method: 'salora', precision }))
  it('change no graph of a decoder with a causal loss', () => expectSame('llama', { method: 'lora', gradientCheckpointing: true }, true))
})
