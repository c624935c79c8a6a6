/** Figures 1 and 4: the score by rank, for each method, and for each kind of matrix or layer that it is in. */
import type { Facts } from '../series.js'
import { settingFigure } from './scoreBySetting.js'

const rankOf = (settings: object): number | null => {
  const rank: unknown = Reflect.get(settings, 'rank')
  return typeof rank === 'number' && rank > 0 ? rank : null
}

/** α by rank: it grows with the rank so that the scale α / r stays, and where it does not, that is another line. */
const withScale = (facts: Facts): Facts => {
  const { rank, loraAlpha: alpha, ...others } = Object.fromEntries(facts)
  return new Map([
    ...Object.entries(others),
    ...(alpha === undefined ? [] : [['alpha / rank', String(Number(alpha) / Number(rank))] as const]),
  ])
}

export const byRank = settingFigure({
  name: 'figure1-4-rank',
  title: 'Score by rank (Figures 1 and 4)',
  caption: 'The rank that training began with.',
  axis: 'rank',
  logarithmic: true,
  valueOf: ({ config }) => rankOf(config.settings),
  apart: withScale,
  levels: false,
})
