/** Steps of every method on several families, in each precision that a GPU may run: the graphs whose kernels are looked up. */
import { join } from 'node:path'
import { type ModelFolder, openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Engine } from '../../accelerated/engines/engine.js'
import type { OnnxTarget } from '../../accelerated/graph/onnx.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { startPhase } from '../../accelerated/methods/startPhase.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import type { MethodName, SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { assemble, type Assembly } from '../../accelerated/training/assembly.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { decoderFamilies } from '../golden/golden.js'
import { decoderObjectives, encoderObjectives, objectiveNamed } from './stepObjectives.js'

export type StepCase = {
  readonly family: string
  readonly method: MethodName
  readonly precision: 'float32' | 'mixed' | 'int8'
  readonly gradientCheckpointing: boolean
  /** default: classes, or the next token of a decoder */
  readonly objective?: string
  /** of SaLoRA (default: gated) */
  readonly stage?: SaloraPhase['stage']
}

const encoderFamilies = ['roberta', 'bert', 'distilbert', 'electra', 'mpnet', 'deberta-v2', 'modernbert']
export const allFamilies: readonly string[] = [...encoderFamilies, ...decoderFamilies]
const isDecoder = (family: string): boolean => decoderFamilies.some((name) => name === family)
/** A family's tiny model, or the embedded one. */
const openFamily = (family: string, storage: Storage = nodeFiles): Promise<ModelFolder> =>
  openModelFolder(family === 'embedded' ? embeddedModel : join('property-tests/golden/fixtures', family), { storage })

/** Every method on these families that has it, in each precision that has it. Decoders recompute activations. */
export const stepCases = async (families: readonly string[]): Promise<readonly StepCase[]> => {
  const cases: StepCase[] = []
  for (const family of families) {
    const { supportedHooks } = (await openFamily(family)).model.spec
    for (const { name, train } of methods as readonly Method[])
      for (const precision of ['float32', 'mixed'] as const) {
        if (train.hook !== undefined && !supportedHooks.includes(train.hook)) continue
        if (name === 'full' && precision === 'mixed') continue // it would freeze what the method trains
        cases.push({ family, method: name as MethodName, precision, gradientCheckpointing: isDecoder(family) })
      }
  }
  return cases
}

/** LoRA with every objective, on one encoder and one decoder. */
export const objectiveCases: readonly StepCase[] = [
  ...encoderObjectives.map((objective) => ({ family: 'roberta', objective })),
  ...decoderObjectives.map((objective) => ({ family: 'llama', objective })),
].map((step) => ({ ...step, method: 'lora', precision: 'float32', gradientCheckpointing: false }) as const)

export const nameOf = ({ family, method, precision, gradientCheckpointing, objective, stage }: StepCase): string =>
  `${objective === undefined ? '' : `${objective}, `}${family} by ${method}${stage === undefined ? '' : ` ${stage} its gates`} in ${precision}${gradientCheckpointing ? ' with gradient checkpointing' : ''}`

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

type Step = { readonly assembly: Assembly; readonly phase: unknown }

const stepOf = (step: StepCase, base: ModelFolder, frozen: TensorSource): Step => {
  const settings = resolveSettings(settingsFor(step))
  const [method, precision] = [findMethod(step.method), findPrecision(step.precision)]
  const objectiveOf = objectiveNamed(step.objective ?? (isDecoder(step.family) ? 'next token' : 'classes'))
  const start = startPhase(method, base.model.spec, settings)
  const phase = step.method === 'salora' ? inStage(start as SaloraPhase, step.stage ?? 'gated') : start
  return { assembly: assemble({ model: base.model, frozen, method, settings, precision }, objectiveOf), phase }
}

const inStage = (start: SaloraPhase, stage: SaloraPhase['stage']): SaloraPhase => ({
  ...start,
  stage,
  opened: stage === 'before' ? null : { step: 0, density: 1 },
})

/** The model of a step as it would be written for a device. */
export const writtenStep = async (step: StepCase, target: OnnxTarget): Promise<Uint8Array> => {
  const base = await openFamily(step.family)
  const { assembly, phase } = stepOf(step, base, await findPrecision(step.precision).placeholders(base))
  return toOnnx(stepGraph(assembly, phase, 'whole').outputs, target)
}

/** Opens a step as a run does that keeps its state on the device, with the weights in memory. */
export const openStep = async (step: StepCase, engine: Engine): Promise<void> => {
  const { mapped: _, ...unmapped } = nodeFiles
  const base = await openFamily(step.family, unmapped)
  const { tensor, weights } = await openFrozen(findPrecision(step.precision), base)
  const { assembly, phase } = stepOf(step, base, tensor)
  const sizes = { tokens: 8, batch: 2, sequence: 4 }
  await (await openPhaseSessions(assembly, phase, { engine, weights }, sizes, false, true)).release()
}
