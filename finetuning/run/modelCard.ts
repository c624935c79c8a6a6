/**
 * The model card of a run's adapter: README.md with front matter for the Hugging Face hub. It is made to be published, so it has no folders. It has
 * no time and no output folder either, so that equal runs have equal cards.
 */
import { cardBody, precisionSection, useSection, type RoundedScores } from './cardBody.js'
import { type CardFacts, cardTitle, lastName, savedScores, sourceNames, wellFormed } from './cardFacts.js'
import type { Opener, Usage } from './usageExamples.js'
import { parseDatasetAddress } from '../../accelerated/checkpoints/hub/hubRules.js'
import { metricTitle } from '../metrics/index.js'
import { mixedFiles } from '../tasks/index.js'
import { glueSource } from '../tasks/datasets/glueSource.js'

export const cardFile = 'README.md'

export const modelCard = (facts: CardFacts): string => `---\n${frontMatter(facts)}---\n\n${cardBody(facts)}`

/**
 * The card of an export. @param opener what opens it; null: the same as before @param usage how it is opened @param rounded its scores in
 * another precision @returns null for a card that salora did not write
 */
export const buildExportCard = (
  card: string,
  opener: Opener | null,
  usage: Usage | null = null,
  rounded: RoundedScores | null = null,
): string | null => {
  const head = /^---\nlibrary_name: (?:peft|adapter-transformers|transformers)\n/.exec(card)?.[0]
  if (head === undefined) return null
  const withScores = rounded === null ? '' : `${precisionSection(rounded)}\n\n`
  const used = usage === null ? card : card.replace(/^## Use\n[\s\S]*?(?=^## )/m, () => `${useSection(usage)}\n\n${withScores}`)
  if (opener === null) return used
  const isWhole = opener !== 'gguf' // an adapter of llama.cpp
  const rest = used.slice(head.length)
  return `---\nlibrary_name: ${libraries[opener] ?? opener}\n${isWhole ? rest.replace(/^(base_model: .*\nbase_model_relation: )adapter\n/, '$1finetune\n') : rest}`
}

/** The hub's names of libraries, where an opener has another. */
const libraries: Readonly<Partial<Record<Opener, string>>> = { 'gguf-merged': 'gguf', 'adapter-inputs': 'transformers.js' }

/** The YAML front matter of a model card, which the Hugging Face hub reads. */
const glueDataset = 'nyu-mll/glue'

/** Every text is in double quotes, so that YAML reads it as a text. */
const frontMatter = (facts: CardFacts): string => {
  const { options, hubId, library, data } = facts
  const { task, settings } = options
  const scores = finiteScores(facts)
  const types = [...new Set(scores.map(([metric]) => metricTitle(metric).type))].filter((type) => type !== 'loss')
  return [
    `library_name: ${library}\n`,
    hubId === null ? '' : `base_model: ${yamlText(hubId)}\nbase_model_relation: ${library === 'transformers' ? 'finetune' : 'adapter'}\n`,
    `pipeline_tag: ${data.taskType.pipelineTag}\n`,
    yamlList('tags', [...new Set(['salora', settings.method])]),
    yamlList('datasets', listDatasets(task)),
    yamlList('metrics', types),
    `model-index:\n- name: ${yamlText(cardTitle(facts))}\n`,
    scores.length === 0 ? '  results: []\n' : resultsText(facts, scores),
  ].join('')
}

/** The hub's ids of the training data. */
const listDatasets = ({ task, data = '', mixData }: CardFacts['options']['task']): readonly string[] => {
  if (glueSource.recognizes(task)) return [glueDataset]
  return [...new Set([task, data, ...mixedFiles(mixData)].flatMap((file) => parseDatasetAddress(file)?.id ?? []))]
}

type NamedScores = readonly (readonly [metric: string, value: number])[]

const finiteScores = ({ result }: CardFacts): NamedScores =>
  Object.entries(result.test?.scores ?? savedScores(result)).filter(([, value]) => Number.isFinite(value))

const resultsText = ({ options: { task }, data, result }: CardFacts, scores: NamedScores): string => {
  const isGlue = glueSource.recognizes(task.task)
  const [dataset = lastName(task.task)] = listDatasets(task)
  return [
    `  results:\n  - task:\n      type: ${data.taskType.pipelineTag}\n`,
    `    dataset:\n      name: ${yamlText(sourceNames((result.test === undefined ? null : data.test) ?? data.evaluation).join(', '))}\n      type: ${yamlText(dataset)}\n`,
    isGlue ? `      config: ${yamlText(task.task)}\n` : '',
    '    metrics:\n',
    ...scores.map(([metric, value]) => {
      const { type, title } = metricTitle(metric)
      return `    - type: ${yamlText(type)}\n      name: ${yamlText(title)}\n      value: ${yamlNumber(value)}\n`
    }),
  ].join('')
}

const yamlList = (name: string, values: readonly string[]): string =>
  values.length === 0 ? '' : `${name}:\n${values.map((value) => `- ${yamlText(value)}\n`).join('')}`

/** A JSON string is a double-quoted YAML string, once what YAML calls unprintable is escaped. */
const yamlText = (text: string): string =>
  JSON.stringify(wellFormed(text)).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** YAML 1.1, which the hub's Python reads, takes 5e-7 for a text: a number needs a point. */
const yamlNumber = (value: number): string => String(value).replace(/^(-?\d+)e/, '$1.0e')
