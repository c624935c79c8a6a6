/** Steps of every method on several families, in each precision that a GPU may run: the graphs whose kernels are looked up. */
import { join } from 'node:path'
import { type ModelFolder, openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { OnnxTarget } from '../../accelerated/graph/onnx.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { startPhase } from '../../accelerated/methods/startPhase.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import type { MethodName, SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { assemble } from '../../accelerated/training/assembly.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { decoderFamilies } from '../golden/golden.js'
import { decoderObjectives, encoderObjectives, objectiveNamed } from './stepObjectives.js'

export type StepCase = {
  readonly family: string
  readonly method: MethodName
  readonly precision: 'float32' | 'mixed' | 'int8'
  readonly gradientCheckpointing: boolean
  /** default: classes, or the next token of a decoder */
  readonly objective?: string
}

const encoderFamilies = ['roberta', 'bert', 'distilbert', 'electra', 'mpnet', 'deberta-v2', 'modernbert']
export const allFamilies: ReadonlyArray<string> = [...encoderFamilies, ...decoderFamilies]
const isDecoder = (family: string): boolean => decoderFamilies.some((name) => name === family)
const openFamily = (family: string): Promise<ModelFolder> => openModelFolder(join('property-tests/golden/fixtures', family))

/** Every method on these families that has it, in each precision that has it. Decoders recompute activations. */
export const stepCases = async (families: ReadonlyArray<string>): Promise<ReadonlyArray<StepCase>> => {
  const cases: StepCase[] = []
  for (const family of families) {
    const { supportedHooks } = (await openFamily(family)).model.spec
    for (const { name, train } of methods as ReadonlyArray<Method>)
      for (const precision of ['float32', 'mixed'] as const) {
        if (train.hook !== undefined && !supportedHooks.includes(train.hook)) continue
        if (name === 'full' && precision === 'mixed') continue // it would freeze what the method trains
        cases.push({ family, method: name as MethodName, precision, gradientCheckpointing: isDecoder(family) })
      }
  }
  return cases
}

/** LoRA with every objective, on one encoder and one decoder. */
export const objectiveCases: ReadonlyArray<StepCase> = [
  ...encoderObjectives.map((objective) => ({ family: 'roberta', objective })),
  ...decoderObjectives.map((objective) => ({ family: 'llama', objective })),
].map((step) => ({ ...step, method: 'lora', precision: 'float32', gradientCheckpointing: false }) as const)

export const nameOf = ({ family, method, precision, gradientCheckpointing, objective }: StepCase): string =>
  `${objective === undefined ? '' : `${objective}, `}${family} by ${method} in ${precision}${gradientCheckpointing ? ' with gradient checkpointing' : ''}`

/** What these methods need beside the defaults: small sizes, and gates in the first step. */
const settingsFor = ({ method, precision, gradientCheckpointing }: StepCase): SettingsInput => ({
  method,
  precision,
  gradientCheckpointing,
  maxSteps: 10,
  dropout: 0.2,
  ...(method === 'salora' ? { gateStart: 0, gateEnd: 1 } : {}),
  ...(method === 'prefix' || method === 'prompt' ? { numVirtualTokens: 3 } : {}),
  ...(method === 'houlsby' || method === 'pfeiffer' ? { reductionFactor: 4 } : {}),
})

/** The model of a step as it would be written for a device. SaLoRA's step samples gates. */
export const writtenStep = async (step: StepCase, target: OnnxTarget): Promise<Uint8Array> => {
  const settings = resolveSettings(settingsFor(step))
  const [method, precision] = [methodOf(step.method), precisionOf(step.precision)]
  const base = await openFamily(step.family)
  const parts = { model: base.model, frozen: await precision.placeholders(base), method, settings, precision }
  const objectiveOf = objectiveNamed(step.objective ?? (isDecoder(step.family) ? 'next token' : 'classes'))
  const start = startPhase(method, base.model.spec, settings)
  const gated = { stage: 'gated', opened: { step: 0, density: 1 } } as const satisfies Partial<SaloraPhase>
  const phase = step.method === 'salora' ? { ...(start as SaloraPhase), ...gated } : start
  return toOnnx(stepGraph(assemble(parts, objectiveOf), phase, 'whole').outputs, target)
}
