/**
 * The model card of what a run hands over: README.md with the front matter that the Hugging Face hub reads. It is made to be published, so of a
 * path it has the last name only; and it has nothing of the moment (no time, no output folder), so equal runs have equal cards.
 */
import { basename } from 'node:path'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { methodOf, settingsOfMethod } from '../../accelerated/training/settings.js'
import { flagsOf, inShell } from '../commandLine/shell.js'
import { glueSource } from '../tasks/sources/glue.js'
import { taskNames, type Task } from '../tasks/index.js'
import type { MetricName } from '../metrics/index.js'
import type { RunOptions, RunResult, Scores } from './run.js'

export const cardFile = 'README.md'

/** The data, without its examples. */
export type CardData = Pick<Task, 'taskType' | 'labelNames' | 'heldOut'> & {
  readonly train: { readonly source: string }
  readonly evaluation: { readonly source: string }
}

export type CardFacts = {
  readonly options: Pick<RunOptions, 'model' | 'adapter' | 'task' | 'settings'>
  /** the hub id of the frozen model; null where it is only a folder */
  readonly hubId: string | null
  /** what opens the folder, as the hub calls it */
  readonly library: string
  readonly data: CardData
  readonly result: RunResult
}

/** As the hub's registry of metrics has them, and for people. */
const metricNames: Readonly<Record<MetricName, readonly [type: string, name: string]>> = {
  accuracy: ['accuracy', 'Accuracy'],
  f1: ['f1', 'F1'],
  macroF1: ['f1', 'F1 (macro)'],
  microF1: ['f1', 'F1 (micro)'],
  matthews: ['matthews_correlation', "Matthews' correlation"],
  pearson: ['pearsonr', "Pearson's correlation"],
  spearman: ['spearmanr', "Spearman's correlation"],
  mse: ['mse', 'Mean squared error'],
  mae: ['mae', 'Mean absolute error'],
  loss: ['loss', 'Loss'],
  perplexity: ['perplexity', 'Perplexity'],
}

const namesOf = (metric: string): readonly [string, string] =>
  Object.hasOwn(metricNames, metric) ? metricNames[metric as MetricName] : [metric, metric]

export const modelCard = (facts: CardFacts): string => `---\n${frontMatter(facts)}---\n\n${body(facts)}`

/**
 * The card of what was made from an adapter: `library` opens it, null where that is as it was. Null for a card that is none of ours.
 */
export const cardOfExport = (card: string, library: string | null): string | null => {
  const head = /^---\nlibrary_name: (?:peft|adapter-transformers|transformers)\n/.exec(card)?.[0]
  if (head === undefined || library === null) return head === undefined ? null : card
  return `---\nlibrary_name: ${library}\n${card.slice(head.length).replace(/^(base_model: .*\nbase_model_relation: )adapter\n/, '$1finetune\n')}`
}

/** Line by line what the hub reads: every text in double quotes, so that none can be anything else. */
const frontMatter = ({ options: { model, task, settings }, hubId, library, data, result }: CardFacts): string => {
  const scores = finite(keptScores(result))
  const types = [...new Set(scores.map(([metric]) => namesOf(metric)[0]))].filter((type) => type !== 'loss')
  const glue = glueSource.recognizes(task.task)
  const kind = data.taskType.pipelineTag
  const list = (name: string, values: ReadonlyArray<string>): string =>
    values.length === 0 ? '' : `${name}:\n${values.map((value) => `- ${yamlText(value)}\n`).join('')}`
  return [
    `library_name: ${library}\n`,
    hubId === null ? '' : `base_model: ${yamlText(hubId)}\nbase_model_relation: ${library === 'transformers' ? 'finetune' : 'adapter'}\n`,
    `pipeline_tag: ${kind}\n`,
    list('tags', [...new Set(['salora', settings.method])]),
    glue ? list('datasets', ['nyu-mll/glue']) : '',
    list('metrics', types),
    `model-index:\n- name: ${yamlText(titleOf(hubId ?? model, task.task, settings.method))}\n`,
    scores.length === 0
      ? '  results: []\n'
      : [
          `  results:\n  - task:\n      type: ${kind}\n`,
          `    dataset:\n      name: ${yamlText(told(data.evaluation.source))}\n      type: ${yamlText(glue ? 'nyu-mll/glue' : nameOf(task.task))}\n`,
          glue ? `      config: ${yamlText(task.task)}\n` : '',
          '    metrics:\n',
          ...scores.map(([metric, value]) => {
            const [type, name] = namesOf(metric)
            return `    - type: ${yamlText(type)}\n      name: ${yamlText(name)}\n      value: ${yamlNumber(value)}\n`
          }),
        ].join(''),
  ].join('')
}

const body = (facts: CardFacts): string => {
  const { options, hubId, data, result } = facts
  const { model, task, settings } = options
  const kept = result.kept ?? { which: 'last', step: result.last.step }
  const stopped = result.interrupted ? `, stopped after step ${result.stepsDone}` : ''
  return [
    `# ${titleOf(hubId ?? model, task.task, settings.method).replace(/[\\`*_{}[\]<>()#+!|~&$@]/g, '\\$&')}`,
    `${code(hubId ?? nameOf(model))} fine-tuned by salora with the method ${code(settings.method)}: step ${kept.step} of ${result.steps}, ${
      kept.which === 'best' ? `the best by ${result.selectedBy ?? 'its score'}` : 'the last'
    }${stopped}.${(result.extended ?? []).map(({ after }) => ` The run had ended after step ${after} and was made longer.`).join('')}`,
    '## Data',
    lines([
      `task: ${code(nameOf(task.task))}, ${data.taskType.noun}`,
      `trained on ${result.examples.training} rows of ${code(told(data.train.source))}`,
      `evaluated on ${result.examples.evaluation} rows of ${code(told(data.evaluation.source))}${data.heldOut ? ', held out of the same file' : ''}`,
      ...(data.labelNames === null ? [] : [`${data.labelNames.length} classes: ${several(data.labelNames)}`]),
    ]),
    '## Scores',
    scoreTable(result, kept.step),
    ...(result.positive === undefined ? [] : [`F1 is of the class ${code(result.positive)}.`]),
    ...(result.majority === null
      ? []
      : [`Always answering ${code(result.majority.label)} has accuracy ${result.majority.share.toFixed(4)}.`]),
    '## Settings',
    lines(settingsThatMatter(facts).map(([name, value]) => `${name}: ${code(typeof value === 'string' ? value : JSON.stringify(value))}`)),
    ...budgetPart(result),
    '## Command',
    fenced(commandOf(options, hubId)),
  ]
    .map((part) => `${part}\n`)
    .join('\n')
}

const scoreTable = ({ best, last, kept }: RunResult, step: number): string => {
  const [own, end] = [keptScores({ best, last, ...(kept === undefined ? {} : { kept }) }), last.scores]
  const names = [...new Set([...Object.keys(own), ...Object.keys(end)])]
  if (names.length === 0) return 'None: the run ended before its first evaluation.'
  const cell = (scores: Scores, name: string): string => scores[name]?.toFixed(4) ?? '–'
  const twice = step !== last.step
  return [
    `| metric | step ${step}, which this is |${twice ? ` step ${last.step}, the last evaluated |` : ''}`,
    `| --- | --- |${twice ? ' --- |' : ''}`,
    ...names.map((name) => `| ${namesOf(name)[1]} | ${cell(own, name)} |${twice ? ` ${cell(end, name)} |` : ''}`),
  ].join('\n')
}

/** Of the step that is handed over; none where it was not evaluated. */
const keptScores = ({ best, last, kept }: Pick<RunResult, 'best' | 'last' | 'kept'>): Scores => {
  const step = kept?.step ?? last.step
  return best?.step === step ? best.scores : last.step === step ? last.scores : {}
}

const finite = (scores: Scores): ReadonlyArray<readonly [string, number]> =>
  Object.entries(scores).filter(([, value]) => Number.isFinite(value))

/** Those that anybody asks for, and those that are not as they are by default. */
const asked = ['epochs', 'maxSteps', 'batchSize', 'learningRate', 'maxLength', 'seed', 'rank', 'loraAlpha', 'density', 'targetModules']

const settingsThatMatter = ({ options: { settings } }: CardFacts): ReadonlyArray<readonly [string, unknown]> => {
  const differing = notDefault(settings)
  return Object.entries(settings).filter(
    ([name, value]) => name !== 'method' && value !== null && (asked.includes(name) || Object.hasOwn(differing, name)),
  )
}

const notDefault = ({ method, ...values }: RunOptions['settings']): Readonly<Record<string, unknown>> => {
  const table = settingsOfMethod(methodOf(method))
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(table[name]?.schema.parse(undefined))),
  )
}

const budgetPart = (result: RunResult): ReadonlyArray<string> => {
  const { targetDensity, retainedDensity, retainedParameters, budget, ranks = {} } = result
  const rows = Object.entries(ranks)
  const facts = [
    ...(targetDensity == null ? [] : [`density asked for: ${targetDensity}`]),
    ...(retainedDensity == null ? [] : [`density retained: ${retainedDensity.toFixed(4)}`]),
    ...(retainedParameters === undefined ? [] : [`parameters retained: ${retainedParameters}`]),
    ...(budget === undefined ? [] : [`triplets allowed: ${budget}`]),
    ...(rows.length === 0 ? [] : [`triplets left: ${rows.reduce((sum, [, rank]) => sum + rank, 0)} in ${rows.length} matrices`]),
  ]
  if (facts.length === 0) return []
  const table = ['| matrix | rank |', '| --- | --- |', ...rows.map(([name, rank]) => `| ${name} | ${rank} |`)].join('\n')
  return ['## Budget and ranks', lines(facts), ...(rows.length === 0 ? [] : [table])]
}

/** What makes the same again, but for the folders. What was read from a file stands as a file of the setting's name. */
const commandOf = ({ model, adapter, task, settings }: CardFacts['options'], hubId: string | null): string => {
  const { task: name, labelNames: _, ...ofTask } = task
  const own = Object.fromEntries(
    Object.entries(notDefault(settings)).map(([key, value]) => [
      key,
      typeof value === 'object' && value !== null && !Array.isArray(value) ? `${key}.json` : value,
    ]),
  )
  const flags = flagsOf({
    model: hubId ?? nameOf(model),
    ...(adapter === undefined ? {} : { adapter: nameOf(adapter) }),
    task: nameOf(name),
    ...Object.fromEntries(
      Object.entries(ofTask).map(([key, value]) => [key, ['data', 'evalData'].includes(key) ? nameOf(String(value)) : value]),
    ),
    method: settings.method,
    ...own,
  })
  return ['salora', 'train', ...flags].map(inShell).join(' ')
}

const titleOf = (model: string, task: string, method: string): string =>
  wellFormed(oneLine([nameOf(model), nameOf(task).replace(/\.\w+$/, ''), method].join('-')))

/** The last name of a path: who publishes a card means to tell no folders. */
const nameOf = (path: string): string => (taskNames.includes(path) ? path : basename(path.replaceAll('\\', '/')) || path)

/** A source may be a path with words beside it, of which the path's folders go. */
const told = (source: string): string => source.replace(/^.*[\\/]/s, '')

const lines = (facts: ReadonlyArray<string>): string => facts.map((fact) => `- ${fact}`).join('\n')

/** Nobody reads more. */
const mostShown = 50

const several = (names: ReadonlyArray<string>): string =>
  names.slice(0, mostShown).map(code).join(', ') + (names.length > mostShown ? ` and ${names.length - mostShown} more` : '')

const longestRun = (text: string): number => Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length))

const cut = (text: string): string => {
  const characters = Array.from(text.slice(0, 500))
  return text.length > 200 ? `${characters.slice(0, 200).join('')}…` : text
}

/** A code span: nothing within is Markdown or HTML. Its fence is longer than any of the text's own. */
const code = (text: string): string => {
  const shown = cut(wellFormed(oneLine(text)))
  const fence = '`'.repeat(longestRun(shown) + 1)
  return shown.trim() === '' ? '(blank)' : fence.length > 1 || shown !== shown.trim() ? `${fence} ${shown} ${fence}` : fence + shown + fence
}

const fenced = (text: string): string => {
  const fence = '`'.repeat(Math.max(3, longestRun(text) + 1))
  return `${fence}sh\n${wellFormed(text)}\n${fence}`
}

/** Half a pair of surrogates has no UTF-8. */
const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

/** JSON's strings are YAML's in double quotes, once what YAML calls unprintable is escaped. */
const yamlText = (text: string): string =>
  JSON.stringify(wellFormed(text)).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** YAML 1.1, which the hub's Python reads, takes 5e-7 for a text: it wants a point. */
const yamlNumber = (value: number): string => String(value).replace(/^(-?\d+)e/, '$1.0e')
