/** The replicas of a run that synchronizes every H steps: rounds, batches, and the moments of each replica in the run's state. */
import type { RunState } from '../parameters/runState.js'
import type { MomentVectors, Vector } from '../parameters/vectors.js'
import { synchronizes, type CommonSettings } from '../settings/commonSettings.js'
import type { Assembly } from './assembly.js'

/** The step after the last one of the round that begins with this step. Rounds end at multiples of H, and at the run's end. */
export const endOfRound = (step: number, steps: number, { syncEvery }: Pick<CommonSettings, 'syncEvery'>): number =>
  Math.min(steps, (Math.floor(step / syncEvery) + 1) * syncEvery)

/**
 * The batch of a replica in a step. Where an epoch ends with fewer batches than replicas, batches are taken twice, as PyTorch's DistributedSampler
 * does: each replica takes every step.
 */
export const batchOf = <B>(replica: number, batches: ReadonlyArray<B>): B => batches[replica % batches.length] as B

const momentum = 'outerMomentum'

/** The moments of the first replica are the state's own; those of the others are in its memory. */
const momentNames = (replica: number): readonly [string, string] => [`firstMoment ${replica + 1}`, `secondMoment ${replica + 1}`]

/** Names of a state's vectors beside its parameters and moments: those of the optimizer's extension, and those of the replicas. */
export const memoryNames = ({ method, settings }: Pick<Assembly, 'method' | 'settings'>, phase: unknown): ReadonlyArray<string> => [
  ...(method.train.optimizerExtension?.(phase, settings).names ?? []),
  ...(synchronizes(settings) ? [momentum, ...othersOf(settings.gradientAccumulationSteps).flatMap(momentNames)] : []),
]

const othersOf = (replicas: number): ReadonlyArray<number> => Array.from({ length: replicas - 1 }, (_, i) => i + 1)

/** The outer momentum and the moments of each replica. */
export type ReplicaVectors = { readonly momentum: Vector; readonly moments: ReadonlyArray<MomentVectors> }

export const replicaVectors = ({ firstMoment, secondMoment, memory }: RunState, replicas: number): ReplicaVectors => {
  const named = (name: string): Vector => {
    const vector = memory[name]
    if (vector === undefined) throw new Error(`replicaVectors: expected ${name} in the state, got ${Object.keys(memory).join(', ')}`)
    return vector
  }
  const others = othersOf(replicas).map((replica) => {
    const [first, second] = momentNames(replica)
    return { firstMoment: named(first), secondMoment: named(second) }
  })
  return { momentum: named(momentum), moments: [{ firstMoment, secondMoment }, ...others] }
}

/** The state's vectors for these: the inverse of `replicaVectors`. */
export const replicaMemory = ({
  momentum: velocity,
  moments,
}: ReplicaVectors): Pick<RunState, 'firstMoment' | 'secondMoment' | 'memory'> => {
  const [own, ...others] = moments
  if (own === undefined) throw new Error('replicaMemory: expected a replica, got none')
  const named = others.flatMap(({ firstMoment, secondMoment }, i) => {
    const [first, second] = momentNames(i + 1)
    return [
      [first, firstMoment],
      [second, secondMoment],
    ] as const
  })
  return { ...own, memory: Object.fromEntries([[momentum, velocity], ...named]) }
}
