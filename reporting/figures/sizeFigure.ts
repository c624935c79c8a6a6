/** The figure of the score over the number of trained parameters: a line for each method, with the best series of each size. */
import { group } from 'd3-array'
import { lineChart, type Point } from '../charts/chart.js'
import { compareScores, savedScore, scoredSeries, trainedParameters, type Scored } from '../runs/scores.js'
import { escapeText } from '../text/html.js'
import { countText, isShare } from '../text/units.js'
import { panelsByTask, slug, spokenNumber, type Figure, type Panel } from './figure.js'

/** Fewest methods or sizes of a task that are worth a chart. */
const fewestSizes = 3

type Sized = Scored & { readonly method: string; readonly parameters: number; readonly low: number; readonly high: number }

export const sizes: Figure = {
  name: 'parameters',
  title: 'Score by trained parameters',
  plot: (series) => {
    const sized = [...group(scoredSeries(series).flatMap(toSized), ({ task }) => task).values()].flatMap(bestOfSizes)
    if (sized.length === 0) return null
    const { panels, omitted } = panelsByTask(
      [...group(sized, ({ task, method }) => JSON.stringify([task, method])).values()].map(toLine),
      'methods',
      buildPanel,
    )
    return {
      caption: `The kept score over the parameters that the method trains, without the head. Each point is the best series of its size, the mean of its runs.${omitted}`,
      panels,
      table: {
        columns: ['task', 'method', 'series', 'method parameters', 'metric', 'mean', 'min', 'max'],
        rows: sized.map(({ task, method, label, parameters, metric, score, low, high }) => [
          task,
          method,
          label,
          parameters,
          metric,
          score,
          low,
          high,
        ]),
      },
    }
  },
}

const toSized = (series: Scored): readonly Sized[] => {
  const [run] = series.runs
  const parameters = run === undefined ? 0 : trainedParameters(run.result).method
  const scores = series.runs.flatMap(({ result }) => savedScore(result, series.metric) ?? [])
  if (run === undefined || parameters <= 0) return [] // a logarithm needs some
  const method = escapeText(String(run.config.settings.method))
  return [{ ...series, method, parameters, low: Math.min(...scores), high: Math.max(...scores) }]
}

/** The best series of each method and size, by size; none where sizes do not differ or are few. */
const bestOfSizes = (ofTask: readonly Sized[]): readonly Sized[] => {
  const best = [...group(ofTask, ({ method, parameters }) => `${method} ${parameters}`).values()].flatMap((alike) =>
    alike.toSorted((a, b) => compareScores(a, b.score, a.score)).slice(0, 1),
  )
  const differ = new Set(best.map(({ parameters }) => parameters)).size > 1
  return differ && best.length >= fewestSizes ? best.sort((a, b) => a.parameters - b.parameters) : []
}

type Line = { readonly task: string; readonly method: string; readonly points: readonly Sized[] }

const toLine = (points: readonly Sized[]): Line => ({ task: points[0]?.task ?? '', method: points[0]?.method ?? '', points })

const buildPanel = (task: string, lines: readonly Line[]): Panel => {
  const metric = lines[0]?.points[0]?.metric ?? 'score'
  const points = lines.flatMap(({ method, points: ofLine }) =>
    ofLine.map(({ parameters, score, low, high }): Point => ({ series: method, x: parameters, y: score, low, high })),
  )
  const spoken = lines.map(
    ({ method, points: ofLine }) =>
      `${method}: ${ofLine.map(({ parameters, score }) => `${spokenNumber(score)} with ${countText(parameters)}`).join(', ')}.`,
  )
  return {
    name: `parameters-${slug(task)}`,
    title: task,
    alternative: `${sizes.title}, ${task}: ${metric} by parameters. ${spoken.join(' ')}`,
    chart: lineChart(
      points,
      { title: 'trained parameters', values: spread(points.map(({ x }) => x)) },
      { title: metric, isShare: isShare(metric) },
    ),
  }
}

/** Ticks at the sizes, in two digits, but for those too close to the one before. */
const spread = (values: readonly number[]): readonly number[] => {
  const sorted = [...new Set(values)].sort((a, b) => a - b)
  const closest = ((sorted.at(-1) ?? 1) / (sorted[0] ?? 1)) ** 0.2
  const ticks: number[] = []
  for (const value of sorted) if (value >= closest * (ticks.at(-1) ?? 0)) ticks.push(Number(value.toPrecision(2)))
  return ticks
}
