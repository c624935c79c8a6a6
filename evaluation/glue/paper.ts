/** What the paper reports on GLUE: its scores in percent, mean and maximum deviation of five runs, and the rates that it tried. */
import type { GlueName } from '../../finetuning/data/glueTasks.js'
import type { PaperSize } from '../../finetuning/tasks/datasets/glueRecipe.js'

export type PaperScore = { readonly mean: number; readonly maximumDeviation: number | null }
type Scores = Readonly<Partial<Record<GlueName, PaperScore>>>

const order: readonly GlueName[] = ['mnli', 'sst2', 'cola', 'qqp', 'qnli', 'rte', 'mrpc', 'stsb']

/** Parses `87.49±0.44 …` in this order of tasks, that of Table 1 unless given; numbers that the paper took from others have no ±. */
const parseScores = (line: string, tasks: readonly GlueName[] = order): Scores =>
  Object.fromEntries(
    line.split(' ').map((cell, i) => {
      const [mean = NaN, deviation] = cell.split('±').map(Number)
      return [tasks[i] ?? '', { mean, maximumDeviation: deviation ?? null }]
    }),
  )

/** Table 1, by salora's method names. */
export const paperTable1: Readonly<Record<PaperSize, Readonly<Record<string, Scores>>>> = {
  base: {
    full: parseScores('87.6 94.8 63.6 91.9 92.8 78.7 90.2 91.2'),
    prefix: parseScores('82.58±0.24 91.65±0.44 47.45±4.47 85.98±0.11 85.91±0.44 60.47±0.54 88.09±1.37 87.49±0.63'),
    prompt: parseScores('79.14±0.99 88.33±1.44 42.35±5.12 73.30±5.84 80.51±1.64 55.81±2.67 69.75±0.59 76.94±3.59'),
    lora: parseScores('87.49±0.44 94.77±0.53 61.22±2.09 91.39±0.18 92.85±0.28 79.24±0.21 89.46±1.23 90.89±0.18'),
    adalora: parseScores('87.93±0.20 94.59±0.21 59.29±1.06 90.94±0.13 92.61±0.10 76.39±1.30 87.35±0.39 90.87±0.15'),
    salora: parseScores('87.83±0.04 95.14±0.73 63.39±1.79 91.46±0.09 92.99±0.21 81.01±0.87 90.20±0.74 91.13±0.17'),
  },
  large: {
    full: parseScores('90.2 96.4 68.0 92.2 94.7 86.6 90.9 92.4'),
    pfeiffer: parseScores('90.2±0.3 96.1±0.3 68.3±1.0 91.9±0.1 94.8±0.2 83.8±2.9 90.2±0.7 92.1±0.7'),
    houlsby: parseScores('89.5±0.5 96.2±0.3 66.5±4.4 92.1±0.1 94.7±0.2 83.4±1.1 88.7±2.9 91.0±1.7'),
    prefix: parseScores('88.61±0.12 94.70±0.44 60.06±1.44 87.57±0.25 89.60±0.37 77.33±1.37 89.85±0.88 89.97±3.37'),
    prompt: parseScores('85.65±2.54 93.95±0.83 58.34±2.63 83.98±1.45 84.92±3.28 58.70±4.83 74.22±2.65 80.47±0.71'),
    lora: parseScores('89.96±0.12 96.10±0.11 68.76±1.75 88.67±0.88 94.86±0.07 85.49±1.51 90.93±0.74 92.25±0.17'),
    adalora: parseScores('90.84±0.03 96.29±0.19 67.61±0.12 91.12±0.26 94.82±0.11 86.28±0.36 89.89±0.31 92.27±0.16'),
    salora: parseScores('90.67±0.07 96.63±0.28 68.37±0.34 91.95±0.08 94.98±0.09 87.80±1.29 91.81±1.57 92.43±0.18'),
  },
}

const ablated: readonly GlueName[] = ['mrpc', 'stsb', 'cola']

/** Table 3 (RoBERTa-base), by the row names of the sweep `table3`. */
export const paperTable3: Readonly<Record<string, Scores>> = {
  salora: parseScores('90.20±0.74 91.13±0.17 63.39±1.79', ablated),
  'salora, λ = 0': parseScores('89.95±0.49 91.20±0.12 63.65±3.39', ablated),
  'salora, β = 0': parseScores('90.00±0.94 90.78±0.27 62.89±2.16', ablated),
}

/** The paper's score for a row of a sweep; null if it has none. */
export const paperScore = (sweep: string, row: string, task: GlueName, size: PaperSize): PaperScore | null => {
  if (sweep === 'table3') return size === 'base' ? (paperTable3[row]?.[task] ?? null) : null
  return sweep === 'table1' ? (paperTable1[size][row]?.[task] ?? null) : null
}

/** Appendix B. Its print lost the signs of the exponents, which are restored here. */
export const appendixBGrid: readonly number[] = [5e-5, 7e-5, 9e-5, 2e-4, 3e-4, 4e-4, 5e-4, 7e-4]
