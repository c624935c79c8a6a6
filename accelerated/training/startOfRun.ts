/** The state before the first step. */
import { readTensor } from '../files/safetensors/safetensors.js'
import type { ModelFolder } from '../files/modelFolder.js'
import type { AdapterModule, EncoderConfig } from '../models/encoderConfig.js'
import { adapterModules } from '../models/encoderConfig.js'
import { initialAdapterTensor, initialHeadTensor } from '../methods/initialisation.js'
import { flatten, zeros } from './parameterVector.js'
import type { AdaptedModule } from '../methods/salora/salora.js'
import type { Settings } from '../settings.js'
import { SettingsError } from '../settings.js'
import type { RunState } from './runState.js'
import { layoutOf } from './runState.js'

const isTarget = (name: string, target: string): boolean => name === target || name.endsWith(`.${target}`)

/** The matrices to adapt and their ranks at the start. @throws SettingsError for a name that no matrix has */
export const startingModules = (
  config: EncoderConfig,
  { targetModules, rank, rankPattern }: Pick<Settings, 'targetModules' | 'rank' | 'rankPattern'>,
): ReadonlyArray<AdaptedModule> => {
  const targeted = targetedModules(config, targetModules)
  const patterns = Object.entries(rankPattern ?? {})
  const unknown = patterns.find(([pattern]) => !targeted.some(({ name }) => isTarget(name, pattern)))
  if (unknown !== undefined) throw new SettingsError('rankPattern', 'expected names of adapted matrices', JSON.stringify(unknown[0]))
  const modules = targeted
    .map((module) => ({ ...module, r: patterns.find(([pattern]) => isTarget(module.name, pattern))?.[1] ?? rank }))
    .filter(({ r }) => r > 0)
  if (modules.length === 0) throw new SettingsError('rankPattern', 'expected a rank above 0', 'none')
  return modules
}

/** The matrices whose path ends in one of `targets` (whole names, such as `query` or `output.dense`); all of them for null. */
export const targetedModules = (config: EncoderConfig, targets: ReadonlyArray<string> | null): ReadonlyArray<AdapterModule> => {
  const all = adapterModules(config)
  const unknown = targets?.find((target) => !all.some(({ name }) => isTarget(name, target)))
  if (unknown !== undefined) {
    const kinds = [...new Set(all.map(({ name }) => name.replace(/^encoder\.layer\.\d+\./, '')))]
    throw new SettingsError('targetModules', `expected endings of ${kinds.join(', ')}`, JSON.stringify(unknown))
  }
  return targets === null ? all : all.filter(({ name }) => targets.some((target) => isTarget(name, target)))
}

/** A random, B = 0; head tensors that the checkpoint has start there, the others are new. */
export const startOfRun = async (model: ModelFolder, settings: Settings): Promise<RunState> => {
  const modules = startingModules(model.config, settings)
  const layout = layoutOf(model.config, { modules, gating: 'open' })
  const head = new Map(await Promise.all([...model.headTensors].map(async ([name, entry]) => [name, await readTensor(entry)] as const)))
  const parameters = flatten(
    layout,
    (entry) =>
      head.get(entry.name) ??
      (/\.[AB]$/.test(entry.name)
        ? initialAdapterTensor(settings.seed, settings.initialisation, entry)
        : initialHeadTensor(settings.seed, entry)),
    settings.precision,
  )
  return {
    step: 0,
    gatedStep: 0,
    gating: 'open',
    modules,
    initialDensity: null,
    retained: null,
    parameters,
    firstMoment: zeros(layout.size, settings.precision),
    secondMoment: zeros(layout.size, settings.precision),
  }
}
