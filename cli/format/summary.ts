/** The summary of a run: scores, budget, ranks, parameters, time, and where the adapter is. */
import { leastChoosingRows } from '../../accelerated/settings/defaults.js'
import { shareInWords } from '../../finetuning/metrics/confidence.js'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { inShell, resumeCommand } from '../../finetuning/commandLine/shell.js'
import type { RunResult } from '../../finetuning/run/run.js'
import type { TaskType } from '../../finetuning/tasks/taskType.js'
import { findTaskTypeByName } from '../../finetuning/tasks/findTaskType.js'
import { counted, duration, megabytes, percent, plural } from './numbers.js'
import { styleText } from 'node:util'
import { matrixPlace, matrixTitles } from '../../reporting/figures/matrixTitles.js'

type Scores = Readonly<Record<string, number>>

export const summaryText = (result: RunResult, before: Scores | null, { color }: { readonly color: boolean }): string => {
  const { best, last, majority, positive, interrupted, output, taskType } = result
  return [
    doneText(result),
    '',
    ...(result.examples.evaluation === 0 ? ['scores      none: no row was held out'] : scoreTable(before, best, last)),
    ...intervalLine(savedScores(result), result.examples.evaluation, result.folds),
    ...(positive === undefined ? [] : [`  f1 is for the class "${oneLine(positive)}"`]),
    ...testLines(result),
    ...(majority === null ? [] : [baselineLine(majority, savedScores(result)['accuracy'])]),
    '',
    ...budgetLines(result),
    ...rankLines(result, color),
    ...parameterLines(result),
    `time        ${duration(result.seconds)} on ${result.device}, peak memory ${megabytes(result.peakMemoryBytes)}`,
    `run         ${output}`,
    ...(result.stepsDone !== 0 ? [`adapter     ${output}/adapter${savedStepText(result)}`] : ['adapter     none: no step was trained']),
    interrupted ? `to resume   ${resumeCommand(output)}` : `to use it   ${usage(findTaskTypeByName(taskType)?.command, inShell(output))}`,
  ].join('\n')
}

const usage = (command: TaskType['command'] = 'predict', run: string): string =>
  `salora ${command} --run ${run}${command === 'generate' ? ' --prompt TEXT' : ''}`

/** The baseline of one answer for all, and what to do about a model that is no better. */
const baselineLine = ({ label, share }: NonNullable<RunResult['majority']>, accuracy: number | undefined): string => {
  const line = `  always predicting "${oneLine(label)}" has accuracy ${share.toFixed(4)}`
  return accuracy !== undefined && accuracy <= share ? `${line}: this model is no better. More rows or a larger model will help most` : line
}

const savedScores = ({ kept, best, last }: RunResult): Scores => (kept?.which === 'last' || best === null ? last.scores : best.scores)

/** What an accuracy is worth on so few rows. */
const intervalLine = ({ accuracy }: Scores, rows: number, folds?: number): readonly string[] => {
  const words = accuracy === undefined ? null : shareInWords(accuracy, rows)
  return words === null || accuracy === undefined
    ? []
    : [`  ${accuracy.toFixed(4)} is ${words}${folds === undefined ? '' : `, each answered by a model trained without it (${folds} folds)`}`]
}

/** The scores on the test data, in the columns of the scores above. */
const testLines = ({ test, examples }: RunResult): readonly string[] =>
  test === undefined
    ? []
    : [
        `test (step ${test.step}, ${plural(examples.test ?? 0, 'row')} that did not choose it)`,
        ...Object.entries(test.scores).map(([name, score]) => `  ${name.padEnd(12)}${(score ?? NaN).toFixed(4).padStart(8)}`),
        ...intervalLine(test.scores, examples.test ?? 0),
      ]

const doneText = ({ interrupted, stoppedEarly = false, best, selectedBy, stepsDone, steps, extended }: RunResult): string => {
  if (stoppedEarly)
    return `trained ${counted(stepsDone)} of ${counted(steps)} steps (early stopping: best ${selectedBy ?? 'score'} at step ${best?.step})`
  const [ended] = (extended ?? []).slice(-1)
  const longer = ended === undefined ? '' : `; the run was extended after step ${ended.after}`
  return (interrupted ? `stopped after step ${stepsDone} of ${steps}` : `trained ${counted(steps)} steps`) + longer
}

const savedStepText = ({ kept, selectedBy, examples }: RunResult): string => {
  if (kept === undefined) return ''
  return kept.which === 'last'
    ? ` (step ${kept.step}, the last${examples.evaluation > 0 && examples.evaluation < leastChoosingRows.value ? `: ${plural(examples.evaluation, 'row')} are too few to choose one` : ''})`
    : ` (step ${kept.step}, the best ${selectedBy ?? 'score'}; --no-load-best-model-at-end saves the last)`
}

/** Scores in rows; before training, best and last in columns. */
const scoreTable = (before: Scores | null, best: RunResult['best'], last: RunResult['last']): readonly string[] => {
  const moments: readonly (readonly [string, Scores])[] = [
    ...(before === null ? [] : [['before', before] as const]),
    ...(best === null ? [] : [[`best (step ${best.step})`, best.scores] as const]),
    ...(Object.keys(last.scores).length === 0 || best?.step === last.step ? [] : [[`last (step ${last.step})`, last.scores] as const]),
  ]
  if (moments.length === 0) return ['scores      none: no evaluation yet']
  const names = [...new Set(moments.flatMap(([, scores]) => Object.keys(scores)))]
  const width = (title: string): number => Math.max(8, title.length)
  return [
    `${'scores'.padEnd(14)}${moments.map(([title]) => title.padStart(width(title))).join('  ')}`,
    ...names.map(
      (name) =>
        `  ${name.padEnd(12)}${moments.map(([title, scores]) => (scores[name]?.toFixed(4) ?? '').padStart(width(title))).join('  ')}`,
    ),
  ]
}

/** The table of ranks; none where each matrix has the rank that was set. */
const rankLines = ({ ranks = {}, ranksFixedAt, targetDensity }: RunResult, color: boolean): readonly string[] => {
  const isChosen = targetDensity != null || ranksFixedAt !== undefined || new Set(Object.values(ranks)).size > 1
  return isChosen && Object.keys(ranks).length > 0 ? ['ranks', ...heatMap(ranks, { color }).map((line) => `  ${line}`), ''] : []
}

/** The budget in triplets (AdaLoRA) or as a fraction of the parameters (SaLoRA). */
const budgetLines = (result: RunResult): readonly string[] => {
  const { budget, ranksFixedAt, ranks = {} } = result
  if (budget === undefined) return densityLines(result)
  const left = Object.values(ranks).reduce((a, b) => a + b, 0)
  const found = ranksFixedAt == null ? 'ranks not final yet' : `${counted(left)} left after step ${ranksFixedAt}`
  return [`budget      ${counted(budget)} triplets, ${found}`, '']
}

const densityLines = ({ targetDensity, expectedDensity, retainedDensity }: RunResult): readonly string[] => {
  if (targetDensity == null) return []
  const found =
    retainedDensity == null
      ? ['not pruned yet']
      : [`retained ${percent(retainedDensity)}`, ...(expectedDensity == null ? [] : [`expected density ${expectedDensity.toFixed(4)}`])]
  return [`budget      ${[`target ${percent(targetDensity)}`, ...found].join(', ')}`, '']
}

const parameterLines = ({ trainableParameters, retainedParameters }: RunResult): readonly string[] => {
  const left =
    retainedParameters === undefined || retainedParameters === trainableParameters['adapter']
      ? ''
      : ` (${counted(retainedParameters)} retained)`
  const parts = Object.entries(trainableParameters).map(
    ([part, count]) => `${counted(count)} in the ${part}${part === 'adapter' ? left : ''}`,
  )
  return [`parameters  ${parts.join(', ')}`]
}

// The ranks of a run, layers down and matrices across; on a terminal the background grows brighter with the rank.
/** Dark to bright. */
const shades = ['bgBlack', 'bgBlue', 'bgBlueBright', 'bgCyan', 'bgCyanBright', 'bgGreen', 'bgGreenBright'] as const
/** From here on black text is easier to read than white. */
const firstBright = shades.indexOf('bgCyan')

const shaded = (text: string, fraction: number): string => {
  const shade = Math.round(fraction * (shades.length - 1))
  // the terminal was asked already whether it shows colors
  return styleText([shade >= firstBright ? 'black' : 'white', shades[shade] ?? 'bgBlack'], text, { validateStream: false })
}

/** Lines of the map, columns in the order of the ranks; a dot marks a matrix without an adapter. */
export const heatMap = (ranks: Readonly<Record<string, number>>, { color }: { readonly color: boolean }): readonly string[] => {
  const cells = Object.entries(ranks).map(([name, rank]) => ({ ...matrixPlace(name), rank }))
  const layers = [...new Set(cells.map(({ layer }) => layer ?? 0))].sort((a, b) => a - b)
  const columns = [...new Set(cells.map(({ column }) => column))]
  const titles = matrixTitles(columns)
  const largest = Math.max(1, ...Object.values(ranks))
  const columnTitle = (column: string): string => titles.get(column) ?? column
  const width = (column: string): number => Math.max(columnTitle(column).length, String(largest).length)
  const cellText = (rank: number | undefined, column: string): string => {
    const text = (rank === undefined ? '·' : String(rank)).padStart(width(column))
    return rank === undefined || !color ? text : shaded(text, rank / largest)
  }
  return [
    `layer  ${columns.map((column) => columnTitle(column).padStart(width(column))).join('  ')}`,
    ...layers.map(
      (layer) =>
        `${String(layer).padStart(5)}  ${columns.map((column) => cellText(cells.find((cell) => (cell.layer ?? 0) === layer && cell.column === column)?.rank, column)).join('  ')}`,
    ),
  ]
}
