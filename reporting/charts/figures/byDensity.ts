/** Figure 5: score by target density, beside methods without a density. */
import { settingFigure } from './scoreBySetting.js'

const densityOf = (settings: object): number | null => {
  const density: unknown = Reflect.get(settings, 'density')
  return typeof density === 'number' ? density : null
}

export const byDensity = settingFigure({
  name: 'figure5-density',
  title: 'Score by density (Figure 5)',
  caption: 'The target density is the share of parameters to keep. A method without a density is a horizontal line.',
  axis: 'density',
  logarithmic: false,
  valueOf: ({ config }) => densityOf(config.settings),
  lineTraits: (traits) => new Map([...traits].filter(([name]) => name !== 'density')),
  showsLevels: true,
})
