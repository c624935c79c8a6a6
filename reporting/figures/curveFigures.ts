/** Figures of curves over steps: a panel for each task, with the mean over runs as line and the range of the runs as band. */
import { type LineChart, lineChart, type Point } from '../charts/chart.js'
import type { RunCurves } from '../runs/runCurves.js'
import { mergeBands, type Band, type Bucket } from '../runs/downSample.js'
import { savedScore, savedStep } from '../runs/scores.js'
import { escapeText } from '../text/html.js'
import { isShare } from '../text/units.js'
import { panelsByTask, slug, spokenNumber, type Figure, type FigureContent, type Panel, type PlottedSeries } from './figure.js'

type CurveFigure = {
  readonly name: string
  readonly title: string
  /** title of the y axis; absent: the series' metric */
  readonly axis?: string
  /** what the chart adds to the curves of a task */
  readonly annotate?: (series: readonly PlottedSeries[]) => Pick<LineChart, 'references' | 'marks'>
  readonly selectCurve: (curves: RunCurves, series: PlottedSeries) => readonly Bucket[]
  readonly caption: string
  readonly logarithmic?: boolean
  /** whether the values jump from step to step, so that a page may smooth them */
  readonly isNoisy?: boolean
}

const ofStep =
  (name: keyof RunCurves['steps']): CurveFigure['selectCurve'] =>
  (curves) =>
    curves.steps[name]

export const score: CurveFigure = {
  name: 'score',
  title: 'Evaluation score',
  selectCurve: ({ scores }, { metric }) => scores.get(metric) ?? [],
  annotate: (series) => ({ references: constantAnswers(series), marks: keptSteps(series) }),
  caption:
    'The score of each evaluation. A ring marks the saved checkpoint, and the dashed line is the majority-class baseline. Until the gates close, a SaLoRA adapter may exceed its budget.',
}

export const losses: readonly CurveFigure[] = [
  {
    name: 'loss',
    title: 'Training loss',
    axis: 'task loss',
    selectCurve: ofStep('taskLoss'),
    caption: "The task loss of each batch, without the method's regularization terms.",
    isNoisy: true,
  },
  {
    name: 'evaluation-loss',
    title: 'Evaluation loss',
    axis: 'loss',
    selectCurve: ({ scores }, { metric }) => (metric === 'loss' ? [] : (scores.get('loss') ?? [])),
    caption: 'The loss on the evaluation examples. It rises again where a run overfits.',
  },
]

const sumOverMatrices = 'Sum over the matrices that have an adapter at the step.'

/** The kept step of each series of one run. */
const keptSteps = (series: readonly PlottedSeries[]): NonNullable<LineChart['marks']> =>
  series.flatMap(({ label, metric, runs: [run, ...others] }) => {
    const score = run === undefined || others.length > 0 ? null : savedScore(run.result, metric)
    return run === undefined || score === null ? [] : [{ line: label, x: savedStep(run.result), y: score }]
  })

/** The accuracy of a constant answer, if it is the same for all runs. */
const constantAnswers = (series: readonly PlottedSeries[]): NonNullable<LineChart['references']> => {
  if (series.some(({ metric }) => metric !== 'accuracy')) return []
  const answers = series.flatMap(({ runs }) => runs.flatMap(({ result }) => result.majority ?? []))
  const [answer] = answers
  return answer === undefined || answers.some(({ share }) => share !== answer.share)
    ? []
    : [{ name: `always “${escapeText(answer.label)}”`, y: answer.share }]
}

/** Figure 6 is the expected density, the Lagrange multiplier, and how far the factors are from orthogonal. */
export const steps: readonly CurveFigure[] = [
  {
    name: 'figure6-density',
    title: 'Expected density (Figure 6)',
    axis: 'expected density',
    selectCurve: ofStep('density'),
    caption: 'The expected share of parameters behind open gates, until the gates close.',
  },
  {
    name: 'figure6-lambda',
    title: 'Lagrange multiplier λ (Figure 6)',
    axis: 'λ',
    selectCurve: ofStep('lambda'),
    caption: 'The axis is linear up to ±1 and logarithmic beyond. Ticks are at zero and at powers of ten.',
    logarithmic: true,
  },
  {
    name: 'learning-rate',
    title: 'Learning rate',
    axis: 'learning rate',
    selectCurve: ofStep('learningRate'),
    caption: 'Warm-up, then the schedule.',
  },
  {
    name: 'gradient-norm',
    title: 'Gradient norm',
    axis: 'gradient norm',
    selectCurve: ofStep('gradientNorm'),
    caption: 'The global norm of the gradient before clipping.',
    isNoisy: true,
  },
  {
    name: 'figure6-orthogonality-A',
    title: 'Orthogonality of A (Figure 6)',
    axis: '‖AAᵀ − I‖²',
    selectCurve: ofStep('orthogonalityA'),
    caption: sumOverMatrices,
  },
  {
    name: 'figure6-orthogonality-B',
    title: 'Orthogonality of B (Figure 6)',
    axis: '‖BᵀB − I‖²',
    selectCurve: ofStep('orthogonalityB'),
    caption: sumOverMatrices,
  },
  {
    name: 'orthogonality',
    title: 'Orthogonality of the factors',
    axis: 'distance from orthogonality',
    selectCurve: (curves) => (curves.steps.orthogonalityA.length > 0 ? [] : curves.steps.orthogonality), // AdaLoRA records one number for both
    caption: "SaLoRA: ‖AAᵀ − I‖² + ‖BᵀB − I‖², summed over the matrices. AdaLoRA: mean of the matrices' norms.",
  },
]

type BandedSeries = PlottedSeries & { readonly bands: readonly Band[] }

export const curveFigure = (figure: CurveFigure): Figure => ({
  name: figure.name,
  title: figure.title,
  plot: (series) => {
    const banded = series.flatMap((one): readonly BandedSeries[] => {
      const bands = mergeBands(
        one.curves.map((run) => figure.selectCurve(run, one)),
        one.width,
      )
      return bands.length === 0 ? [] : [{ ...one, bands }]
    })
    return banded.length === 0 ? null : buildContent(figure, banded)
  },
})

const buildContent = (figure: CurveFigure, series: readonly BandedSeries[]): FigureContent => {
  const { panels, omitted } = panelsByTask(series, 'series', (task, ofTask) => buildPanel(figure, task, ofTask))
  const widest = Math.max(...series.map(({ width }) => width))
  return {
    caption:
      figure.caption +
      (series.some(({ curves }) => curves.length > 1) ? ' Line: mean over runs. Band: minimum to maximum of the runs.' : '') +
      (widest === 1 ? '' : ` Each point combines up to ${widest} steps: their mean, and a band from minimum to maximum.`) +
      omitted,
    panels,
    table: {
      columns: ['task', 'series', 'runs', 'first step', 'last step', 'mean', 'min', 'max'],
      rows: series.flatMap(({ task, label, bands }) =>
        bands.map(({ runs, from, to, mean, low, high }) => [task, label, runs, from, to, mean, low, high]),
      ),
    },
  }
}

const buildPanel = (
  { name, title, axis, annotate, logarithmic = false, isNoisy = false }: CurveFigure,
  task: string,
  series: readonly BandedSeries[],
): Panel => {
  const y = axis ?? series[0]?.metric ?? ''
  const points = series.flatMap(({ label, bands }) =>
    bands.map(({ to, mean, low, high }): Point => ({ series: label, x: to, y: mean, low, high })),
  )
  return {
    name: `${name}-${slug(task)}`,
    title: task,
    alternative: `${title}, ${task}: ${y} over steps. ${series.map(spokenSeries).join(' ')}`,
    chart: lineChart(
      points,
      { title: 'step' },
      { title: y, logarithmic, isShare: axis === undefined && isShare(y) },
      { isNoisy, ...annotate?.(series) },
    ),
  }
}

const spokenSeries = ({ label, bands }: BandedSeries): string => {
  const [first, last] = [bands[0], bands.at(-1)]
  return first === undefined || last === undefined
    ? ''
    : `${label}: from ${spokenNumber(first.mean)} at step ${first.to} to ${spokenNumber(last.mean)} at step ${last.to}.`
}
