/** The sessions of one phase of a run: its training step (in parts where batches are accumulated) and the feeds that only the phase decides. */
import { adamw as adamwDefaults } from './adamwDefaults.js'
import { dropoutSites } from '../models/encoder.js'
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { TensorSource } from '../models/encoder.js'
import type { Feeds } from '../runtime/feeds.js'
import { gateAdam } from '../methods/salora/gateControl.js'
import { headDropoutSites } from '../models/heads.js'
import type { DropoutSite } from '../models/layers/dropout.js'
import { pooledDropout } from '../models/layers/dropout.js'
import type { ParameterLayout } from './parameterVector.js'
import { parameterLayout } from './parameterVector.js'
import type { Session, SessionSettings } from '../runtime/session.js'
import { openSession } from '../runtime/session.js'
import type { AdaptedModule, Gating } from '../methods/salora/salora.js'
import { saloraObjective, saloraTrainables } from '../methods/salora/salora.js'
import type { Settings } from '../settings.js'
import type { Accumulation, Scalar } from './trainingStep.js'
import { trainingStep } from './trainingStep.js'
import type { Dimensions } from './dropoutFeeds.js'
import { dropoutPools } from './dropoutFeeds.js'

export type PhaseGraphs = {
  readonly layout: ParameterLayout
  readonly sites: ReadonlyArray<DropoutSite>
  readonly pools: Feeds
  /** the whole step; with accumulation, its last part */
  readonly update: Session
  /** with accumulation, the parts before the last */
  readonly add: Session | null
  readonly release: () => Promise<void>
}

/** What a phase's graphs are made of. */
export type PhaseSettings = {
  readonly config: EncoderConfig
  readonly frozen: TensorSource
  readonly settings: Settings
  /** factor of B A: α / r, or that times ĝ before T_start where warmupGate is 'expected' */
  readonly scale: number
  readonly session: SessionSettings
  readonly dtype: Scalar
  /** the largest batch there will be, for the dropout pools */
  readonly largest: Dimensions
}

export const openPhase = async (phase: PhaseSettings, modules: ReadonlyArray<AdaptedModule>, gating: Gating): Promise<PhaseGraphs> => {
  const { config, frozen, settings, dtype } = phase
  const layout = parameterLayout(saloraTrainables(config, modules, gating))
  const build = (accumulation: Accumulation) => {
    const plan = pooledDropout([...dropoutSites(config), ...headDropoutSites(config)], probabilityOf(config, settings.dropout), dtype)
    const beta = settings.method === 'salora' ? settings.beta : 0
    const objective = saloraObjective(
      config,
      frozen,
      modules,
      { ...settings, scale: phase.scale, beta },
      gating,
      plan,
      dtype,
      accumulation !== 'whole',
    )
    const step = trainingStep(
      layout,
      objective,
      {
        ...adamwDefaults,
        gateAdam,
        weightDecay: settings.weightDecay,
        clip: settings.clip,
        lambdaOptimizer: settings.lambdaOptimizer,
      },
      accumulation,
      dtype,
    )
    return { step, sites: plan.sites() }
  }
  const whole = build(settings.accumulate === 1 ? 'whole' : 'finish')
  const [update, add] = [
    await openSession(whole.step, phase.session),
    settings.accumulate === 1 ? null : await openSession(build('add').step, phase.session),
  ]
  return {
    layout,
    sites: whole.sites,
    update,
    add,
    pools: dropoutPools(settings.seed, whole.sites, phase.largest, dtype),
    release: async () => {
      await update.release()
      await add?.release()
    },
  }
}

/** --dropout stands for all three probabilities of config.json. */
const probabilityOf =
  (config: EncoderConfig, override: number | null) =>
  (site: string): number =>
    override ??
    (site.startsWith('head.') ? config.headDropout : site.endsWith('.probabilities') ? config.attentionDropout : config.hiddenDropout)
