/** Figure 5: the score by density, beside methods that have none. */
import { settingFigure } from './scoreBySetting.js'

const densityOf = (settings: object): number | null => {
  const density: unknown = Reflect.get(settings, 'density')
  return typeof density === 'number' ? density : null
}

export const byDensity = settingFigure({
  name: 'figure5-density',
  title: 'Score by density (Figure 5)',
  caption: 'The share of parameters that the run was asked to keep; a method without a density is a line across.',
  axis: 'density',
  logarithmic: false,
  valueOf: ({ config }) => densityOf(config.settings),
  apart: (facts) => new Map([...facts].filter(([name]) => name !== 'density')),
  levels: true,
})
