/** The figures of the page, in its order. One that fails is named, and the others are shown. */
import { reason } from '../../accelerated/errors/inputError.js'
import { curveFigure, losses, score, steps } from './curveFigures.js'
import type { Figure, PlottedFigure, PlottedSeries } from './figure.js'
import { ranks } from './heatMaps.js'
import { settingFigures } from './settingFigures.js'
import { sizes } from './sizeFigure.js'

const figures: readonly Figure[] = [
  curveFigure(score),
  ranks,
  ...losses.map(curveFigure),
  sizes,
  ...settingFigures,
  ...steps.map(curveFigure),
]

/** Whether a figure shows how training went, instead of how good its result is: the report folds these. */
export const isDiagnostic = (name: string): boolean => steps.some((figure) => figure.name === name)

/** The figures that have something to show, and one line for each that failed. */
export const plotFigures = (
  series: readonly PlottedSeries[],
  all: readonly Figure[] = figures,
): { readonly plotted: readonly PlottedFigure[]; readonly failed: readonly string[] } => {
  const [plotted, failed]: [PlottedFigure[], string[]] = [[], []]
  for (const { name, title, plot } of all)
    try {
      const content = plot(series)
      if (content !== null) plotted.push({ name, title, ...content })
    } catch (thrown) {
      failed.push(`the figure "${title}" is missing: ${reason(thrown)}`)
    }
  return { plotted, failed }
}
