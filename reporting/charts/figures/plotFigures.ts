/** Plots all figures of some series. A figure that fails is named, and the others are shown. */
import { reason } from '../../../accelerated/errors/inputError.js'
import type { Figure, FigureContent, PlottedSeries } from '../figure.js'
import { figures } from './index.js'

export type PlottedFigure = FigureContent & { readonly name: string; readonly title: string }

/** The figures that have something to show, and one line for each that failed. */
export const plotFigures = (
  series: ReadonlyArray<PlottedSeries>,
  all: ReadonlyArray<Figure> = figures,
): { readonly plotted: ReadonlyArray<PlottedFigure>; readonly failed: ReadonlyArray<string> } => {
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
