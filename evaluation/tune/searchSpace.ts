/** The candidates of a search: every combination of method, learning rate and rank. */
import { findLearningRate } from '../../accelerated/settings/defaults.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { findMethod, resolveSettings, buildSettingTable } from '../../accelerated/training/resolveSettings.js'

export type SearchSpace = {
  readonly methods: readonly string[]
  /** null: 0.3, 1 and 3 times the method's default */
  readonly learningRates: readonly number[] | null
  readonly ranks: readonly number[]
  /** settings of every candidate */
  readonly overrides: SettingsInput
}

export type Candidate = {
  /** `lora, rank 8, 4e-4` */
  readonly name: string
  readonly settings: SettingsInput
}

/** Times the method's default learning rate. */
const factors = [0.3, 1, 3]

/** @throws SettingsError for a setting that no candidate of the method can have */
export const listCandidates = ({ methods, learningRates, ranks, overrides }: SearchSpace): readonly Candidate[] =>
  methods.flatMap((method) => {
    const rates = learningRates ?? factors.map((factor) => Number((factor * findLearningRate(method)).toPrecision(2)))
    return rankSettings(method, ranks).flatMap(({ name, settings }) =>
      rates.map((learningRate) => {
        const all = { ...settings, ...overrides, method, learningRate } as SettingsInput
        resolveSettings(all)
        return { name: [method, ...name, learningRate.toExponential()].join(', '), settings: all }
      }),
    )
  })

type Ranked = { readonly name: readonly string[]; readonly settings: SettingsInput }

/** alpha / rank stays 2, so that a rank does not change the scale of an update. AdaLoRA starts at one and a half times its final rank. */
const rankSettings = (method: string, ranks: readonly number[]): readonly Ranked[] => {
  const has = (setting: string): boolean => Object.hasOwn(buildSettingTable(findMethod(method)), setting)
  if (has('targetR'))
    return ranks.map((rank) => {
      const initR = Math.ceil(1.5 * rank)
      return { name: [`rank ${rank}`], settings: { targetR: rank, initR, loraAlpha: 2 * initR } }
    })
  if (has('rank')) return ranks.map((rank) => ({ name: [`rank ${rank}`], settings: { rank, loraAlpha: 2 * rank } }))
  return [{ name: [], settings: {} }]
}

/**
 * Successive halving (Jamieson & Talwalkar, 2016): every candidate trains for a short time, and only the best third trains three times as long.
 * One in three candidates continues, with three times the steps.
 */
const third = 3

/** Fewer steps say nothing about a candidate. */
const leastSteps = 100

export type Rung = { readonly steps: number; readonly candidates: number }

/**
 * The rungs of a search, the shortest first. Each costs about as much as the longest: a third of the candidates take three times the steps.
 * @param steps of the last rung
 */
export const planRungs = (candidates: number, steps: number): readonly Rung[] => {
  const lengths = [steps]
  for (let left = candidates; left > 1 && (lengths[0] ?? 0) / third >= leastSteps; left /= third)
    lengths.unshift(Math.round((lengths[0] ?? 0) / third))
  return lengths.map((length, rung) => ({ steps: length, candidates: Math.max(1, Math.ceil(candidates / third ** rung)) }))
}

/** The best `count` by score; of equal ones, those with the lower loss, then the earlier. A score of NaN never continues. */
export const survivors = <T>(
  candidates: readonly T[],
  count: number,
  judged: (candidate: T) => { readonly score: number; readonly loss: number },
): readonly T[] =>
  candidates
    .map((candidate, place) => ({ candidate, place, ...judged(candidate) }))
    .filter(({ score }) => !Number.isNaN(score))
    .sort((a, b) => b.score - a.score || (a.loss || 0) - (b.loss || 0) || a.place - b.place)
    .slice(0, count)
    .map(({ candidate }) => candidate)
