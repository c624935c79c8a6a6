/** The Markdown of a model card: data, scores, settings, budget, and the command that makes the same adapter again. */
import { toFlags } from '../commandLine/optionNames.js'
import { inShell } from '../commandLine/shell.js'
import { mixedFiles } from '../tasks/index.js'
import { metricTitle } from '../metrics/index.js'
import {
  cardTitle,
  changedSettings,
  lastName,
  savedScores,
  sourceName,
  sourceNames,
  type CardFacts,
  bulletList,
  code,
  codeBlock,
  codeList,
  escapeHeading,
  shellBlock,
} from './cardFacts.js'
import { usageCode, buildUsage, type Usage } from './usageExamples.js'
import type { RunResult, Scores } from './run.js'

export const cardBody = (facts: CardFacts): string =>
  [
    `# ${escapeHeading(cardTitle(facts))}`,
    summary(facts),
    useSection(cardUsage(facts)),
    '## Data',
    dataList(facts),
    '## Scores',
    ...scoreParts(facts),
    ...scoreRemarks(facts.result),
    '## Settings',
    settingsList(facts),
    ...budget(facts.result),
    '## Command',
    shellBlock(command(facts)),
  ]
    .map((part) => `${part}\n`)
    .join('\n')

/** The first section, so that an export can replace it by its own. */
export const useSection = (usage: Usage): string => `## Use\n\n${codeBlock(usage.language, usageCode(usage))}`

/** Scores on labeled rows: those of model and adapter in float32, and those of an export. */
export type ScoreComparison = {
  readonly rows: number
  /** rows of the data; of more than a thousand, every n-th is scored */
  readonly ofRows: number
  readonly source: string
  readonly before: Scores
  readonly after: Scores
}

export type RoundedScores = ScoreComparison & { readonly precision: string }

/** The section after `Use` in the card of an export that loses something. */
export const precisionSection = ({ precision, rows, ofRows, source, before, after }: RoundedScores): string =>
  [
    '## Precision',
    `This export is in ${precision}. On ${rows === ofRows ? rows : `${rows} of ${ofRows}`} rows of ${code(sourceName(source))}:`,
    [
      `| metric | float32 | ${precision} |`,
      '| --- | --- | --- |',
      ...Object.entries(before).map(
        ([name, score]) => `| ${metricTitle(name).title} | ${score?.toFixed(4) ?? '–'} | ${after[name]?.toFixed(4) ?? '–'} |`,
      ),
    ].join('\n'),
  ].join('\n\n')

/** A card has no folders: ADAPTER stands for its folder or its hub id. */
const cardUsage = ({
  options: { model, settings },
  hubId,
  library,
  readsEmbeddings = false,
  data: { labelNames, taskType },
}: CardFacts): Usage =>
  buildUsage(library, {
    base: hubId ?? lastName(model),
    place: library === 'transformers' ? 'MODEL' : 'ADAPTER',
    pipelineTag: taskType.pipelineTag,
    labels: labelNames?.length ?? 1,
    addsTokens: settings.newTokens != null,
    readsEmbeddings,
  })

const savedStep = ({ kept, last }: RunResult): NonNullable<RunResult['kept']> => kept ?? { which: 'last', step: last.step }

const summary = ({ options: { model, settings }, hubId, result }: CardFacts): string => {
  const { which, step } = savedStep(result)
  const chosen = which === 'best' ? `the best by ${result.selectedBy ?? 'its score'}` : 'the last'
  const stopped = result.interrupted ? `, stopped after step ${result.stepsDone}` : ''
  const extended = (result.extended ?? []).map(({ after }) => ` The run had ended after step ${after} and was made longer.`).join('')
  return `${code(hubId ?? lastName(model))} fine-tuned by salora with the method ${code(settings.method)}: step ${step} of ${result.steps}, ${chosen}${stopped}.${extended}`
}

const drawnText = ({ files = [] }: CardFacts['data']['train']): string =>
  files.length === 0
    ? ''
    : `; an epoch has ${files.map(({ source, rows, drawn }) => `${drawn} of ${code(sourceName(source))}${drawn === rows ? '' : `, which has ${rows}`}`).join(', ')}`

const dataList = ({ options: { task }, data, result: { examples, folds, calibration } }: CardFacts): string =>
  bulletList([
    `task: ${code(lastName(task.task))}, ${data.taskType.noun}`,
    `trained on ${examples.training} rows of ${sourceNames(data.train).map(code).join(' and ')}${drawnText(data.train)}`,
    folds === undefined && examples.evaluation === 0
      ? 'no row was held out to evaluate it'
      : folds === undefined
        ? `evaluated on ${examples.evaluation} rows of ${sourceNames(data.evaluation).map(code).join(' and ')}${data.heldOut ? `, held out of the same file${data.train.files === undefined ? '' : 's'}` : ''}`
        : `evaluated on the same rows by ${folds} folds: each row was answered by a model that was trained as this one, without the row`,
    ...(data.test === null || examples.test === undefined
      ? []
      : [`tested on ${examples.test} rows of ${code(sourceName(data.test.source))}`]),
    ...(calibration === undefined
      ? []
      : [
          `calibrated on ${calibration.rows} rows that the answering model had not seen: logits divided by ${calibration.temperature.toFixed(3)}`,
        ]),
    ...(data.labelNames === null ? [] : [`${data.labelNames.length} classes: ${codeList(data.labelNames)}`]),
  ])

/** The scores on the test data first; without it, a sentence says that the same rows chose the step. */
const scoreParts = ({ result, data }: CardFacts): readonly string[] => {
  const { which, step } = savedStep(result)
  const table = scoreTable(result, step)
  const { test } = result
  if (test === undefined || data.test === null)
    return Object.keys(savedScores(result)).length === 0
      ? [table]
      : [
          table,
          which === 'best'
            ? 'The rows that these scores are from also chose the step: there was no separate test split, so new texts may score lower.'
            : 'There was no separate test split.',
        ]
  const source = code(sourceName(data.test.source))
  return [
    `On the test split ${source}, which took no part in choosing the step:`,
    ['| metric | test |', '| --- | --- |', ...Object.entries(test.scores).map(([name, score]) => testRow(name, score))].join('\n'),
    which === 'best' ? 'On the evaluation split, which chose the step:' : 'On the evaluation split:',
    table,
  ]
}

const testRow = (name: string, score: number | null): string => `| ${metricTitle(name).title} | ${score?.toFixed(4) ?? '–'} |`

const scoreTable = (result: RunResult, step: number): string => {
  const { last } = result
  const saved = savedScores(result)
  const names = [...new Set([...Object.keys(saved), ...Object.keys(last.scores)])]
  if (names.length === 0)
    return `None: ${result.examples.evaluation === 0 ? 'no row was held out' : 'the run ended before its first evaluation'}.`
  const cell = (scores: Scores, name: string): string => scores[name]?.toFixed(4) ?? '–'
  const hasLast = step !== last.step
  return [
    `| metric | step ${step}, which this is |${hasLast ? ` step ${last.step}, the last evaluated |` : ''}`,
    `| --- | --- |${hasLast ? ' --- |' : ''}`,
    ...names.map((name) => `| ${metricTitle(name).title} | ${cell(saved, name)} |${hasLast ? ` ${cell(last.scores, name)} |` : ''}`),
  ].join('\n')
}

const scoreRemarks = ({ positive, majority }: RunResult): readonly string[] => [
  ...(positive === undefined ? [] : [`F1 is of the class ${code(positive)}.`]),
  ...(majority === null ? [] : [`Always answering ${code(majority.label)} has accuracy ${majority.share.toFixed(4)}.`]),
]

/** Shown even at their defaults. */
const commonSettings = [
  'epochs',
  'maxSteps',
  'batchSize',
  'learningRate',
  'maxLength',
  'seed',
  'rank',
  'loraAlpha',
  'density',
  'targetModules',
]

const settingsList = ({ options: { settings } }: CardFacts): string => {
  const changed = changedSettings(settings)
  const shown = Object.entries(settings).filter(
    ([name, value]) => name !== 'method' && value !== null && (commonSettings.includes(name) || Object.hasOwn(changed, name)),
  )
  return bulletList(shown.map(([name, value]) => `${name}: ${code(typeof value === 'string' ? value : JSON.stringify(value))}`))
}

const budget = (result: RunResult): readonly string[] => {
  const { targetDensity, retainedDensity, retainedParameters, budget: triplets, ranks = {} } = result
  const rows = Object.entries(ranks)
  const facts = [
    ...(targetDensity == null ? [] : [`density asked for: ${targetDensity}`]),
    ...(retainedDensity == null ? [] : [`density retained: ${retainedDensity.toFixed(4)}`]),
    ...(retainedParameters === undefined ? [] : [`parameters retained: ${retainedParameters}`]),
    ...(triplets === undefined ? [] : [`triplets allowed: ${triplets}`]),
    ...(rows.length === 0 ? [] : [`triplets left: ${rows.reduce((sum, [, rank]) => sum + rank, 0)} in ${rows.length} matrices`]),
  ]
  if (facts.length === 0) return []
  const table = ['| matrix | rank |', '| --- | --- |', ...rows.map(([name, rank]) => `| ${name} | ${rank} |`)].join('\n')
  return ['## Budget and ranks', bulletList(facts), ...(rows.length === 0 ? [] : [table])]
}

/** The command for the same adapter, without folders. A setting that was read from a file is shown as a file of the setting's name. */
const command = ({ options: { model, adapter, task, settings }, hubId }: CardFacts): string => {
  const { task: name, labelNames: _, ...ofTask } = task
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)
  const changed = Object.entries(changedSettings(settings)).map(([key, value]) =>
    value === false ? [`no-${key}`, true] : [key, isObject(value) ? `${key}.json` : value],
  )
  const displayValue = (key: string, value: unknown): unknown => {
    if (key === 'mixData') return mixedFiles(task.mixData).map(lastName).join(',')
    if (key === 'mixWeights') return String(value)
    return ['data', 'evalData', 'testData'].includes(key) ? lastName(String(value)) : value
  }
  const flags = toFlags({
    model: hubId ?? lastName(model),
    ...(adapter === undefined ? {} : { adapter: lastName(adapter) }),
    task: lastName(name),
    ...Object.fromEntries(Object.entries(ofTask).map(([key, value]) => [key, displayValue(key, value)])),
    method: settings.method,
    ...Object.fromEntries(changed),
  })
  return ['salora', 'train', ...flags].map(inShell).join(' ')
}
