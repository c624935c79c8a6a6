/** What any state of a run must be like, known from its start alone: a checkpoint that claims to be of the run is held to it before it is believed. */
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { Scalar } from './trainingStep.js'
import type { RunState, Vectors } from './runState.js'
import { layoutOf } from './runState.js'

export type RunOutline = {
  readonly config: EncoderConfig
  readonly dtype: Scalar
  /** steps of the whole run */
  readonly steps: number
  /** the adapters that it starts with */
  readonly modules: RunState['modules']
}

/** Numbers in the longest of a run's vectors: that of its gated phase. */
export const largestVector = ({ config, modules }: RunOutline): number => layoutOf(config, { modules, gating: 'sampled' }).size

/** What of a state's description no state of the run could have; null where it fits. */
export const misfitOf = (
  run: RunOutline,
  state: Omit<RunState, keyof Vectors>,
): { readonly expected: string; readonly found: string } | null => {
  const { step, gatedStep, gating, initialDensity, retained, modules } = state
  const started = new Map(run.modules.map((module) => [module.name, module]))
  const rankOf = new Map(modules.map(({ name, r }) => [name, r]))
  const stranger = modules.find(({ name, d, k, r }) => {
    const start = started.get(name)
    return start === undefined || start.d !== d || start.k !== k || r > start.r || (retained === null && r < start.r)
  })
  const inOrder = run.modules.filter(({ name }) => rankOf.has(name)).map(({ name }) => name)
  const failed = ([expected, found, holds]: readonly [string, string, boolean]) => (holds ? [] : [{ expected, found }])
  return (
    (
      [
        [
          `at most ${run.steps} steps, gated ones among them`,
          `${step}, ${gatedStep} of them gated`,
          step <= run.steps && gatedStep <= step,
        ],
        [
          'the adapted matrices with the ranks of its start or, once pruned, fewer',
          stranger === undefined ? '' : `${stranger.name} ${stranger.d} × ${stranger.k} of rank ${stranger.r}`,
          stranger === undefined,
        ],
        [
          `${retained === null ? run.modules.length : 'those'} matrices, each once and in their order`,
          String(modules.length),
          modules.every(({ name }, i) => name === inOrder[i]) && (retained !== null || modules.length === run.modules.length),
        ],
        [
          'gates before T_end alone, with the density they began with',
          gating,
          gating === 'open' || (retained === null && initialDensity !== null),
        ],
        [
          'retained ranks that are those of its matrices',
          'others',
          retained === null ||
            (Object.keys(retained.ranks).length === run.modules.length &&
              run.modules.every(({ name }) => retained.ranks[name] === (rankOf.get(name) ?? 0))),
        ],
      ] as const
    ).flatMap(failed)[0] ?? null
  )
}
