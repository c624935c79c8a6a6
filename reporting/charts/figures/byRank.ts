/** Figures 1 and 4: score by rank, for each method and for each set of adapted matrices. */
import type { Traits } from '../series.js'
import { settingFigure } from './scoreBySetting.js'

const rankOf = (settings: object): number | null => {
  const rank: unknown = Reflect.get(settings, 'rank')
  return typeof rank === 'number' && rank > 0 ? rank : null
}

/** Lines differ in α / r: α usually grows with the rank so that this scale is constant. */
const withScale = (traits: Traits): Traits => {
  const { rank, loraAlpha, ...others } = Object.fromEntries(traits)
  return new Map([
    ...Object.entries(others),
    ...(loraAlpha === undefined ? [] : [['alpha / rank', String(Number(loraAlpha) / Number(rank))] as const]),
  ])
}

export const byRank = settingFigure({
  name: 'figure1-4-rank',
  title: 'Score by rank (Figures 1 and 4)',
  caption: 'The rank is the one at the start of training.',
  axis: 'rank',
  logarithmic: true,
  valueOf: ({ config }) => rankOf(config.settings),
  lineTraits: withScale,
  showsLevels: false,
})
