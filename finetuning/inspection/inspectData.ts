/** Inspects the data of a task without training: every set as a whole, in tokens where a model is named, otherwise in words. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Dataset, Example } from '../data/index.js'
import { openTextTokens, type TextTokenOptions } from '../tasks/texts/tokens.js'
import { textKeys } from '../data/textKeys.js'
import { loadSets, withModelTemplate, type LoadedSets, type TaskOptions } from '../tasks/index.js'
import { dataFacts, lengthFacts, wordLengths, type DataFacts, type LengthFacts, type RowKeys } from './dataFacts.js'
import { previewExamples, type ShownExample } from './previewExamples.js'
import { findingsIn, lengthFindings, overlapFindings, readerFindings, type Choices, type Finding } from './findings.js'

export type InspectOptions = {
  /** The task and its data, as for `finetune`. */
  readonly task: TaskOptions
  /** The model whose tokens are counted: a folder in Hugging Face layout, or a hub id. Default: words are counted */
  readonly model?: string
  /** The tokens to which a run would truncate texts. */
  readonly maxLength: number
  /** The setting of `finetune`, so that no finding advises it. */
  readonly classWeights?: string | null
  /** How many examples of a decoder's data are shown token by token, if a model is named. Default: 0 */
  readonly examples?: number
}

export type Inspection = {
  /** The file or the training set, then the evaluation set and the test set, where there are. */
  readonly sets: readonly DataFacts[]
  readonly findings: readonly Finding[]
  /** The first examples of the first set; none without a model, and for tasks other than text generation. */
  readonly examples: readonly ShownExample[]
}

/** @throws InputError for the first thing wrong in the data or the model */
export const inspectData = async ({
  task,
  model,
  maxLength,
  classWeights = null,
  examples: count = 0,
}: InspectOptions): Promise<Inspection> => {
  const base = model === undefined ? null : await openBase(model)
  const loaded = await loadSets(base === null ? task : await withModelTemplate(task, base.folder))
  const { training, evaluation, test } = loaded.sets
  const collectKeys = (set: Dataset | undefined): BigUint64Array => textKeys(set?.examples ?? [])
  const keys: RowKeys = { training: collectKeys(training), evaluation: collectKeys(evaluation), test: collectKeys(test) }
  const hasScores = loaded.labelNames === null && loaded.taskType.command !== 'generate'
  const areChats = loaded.text?.promptTemplate === 'chat'
  const sets: DataFacts[] = []
  for (const [name, set] of Object.entries(loaded.sets))
    sets.push({
      ...dataFacts(set, keys[name as keyof RowKeys], hasScores),
      lengths: base === null ? lengthFacts(wordLengths(set.examples, areChats), 'words') : await tokenFacts(loaded, set, base, maxLength),
    })
  const choices: Choices = { classWeights, selectionMetric: loaded.selectionMetric }
  const examples =
    base === null || loaded.text === undefined ? [] : await previewExamples(base, loaded.text, training, { count, maxLength })
  return { sets, findings: allFindings(loaded, sets, keys, choices), examples }
}

const allFindings = ({ sets }: LoadedSets, facts: readonly DataFacts[], keys: RowKeys, choices: Choices): readonly Finding[] => [
  ...readerFindings(Object.values(sets)),
  ...facts.slice(0, 1).flatMap((one) => [...findingsIn(one, choices), ...lengthFindings(one)]),
  ...overlapFindings(keys),
]

const openBase = async (model: string): Promise<ModelFolder> => {
  const { folder, baseModelName } = await resolveModel(model, {})
  return openModelFolder(folder, { baseModelName, memory: Infinity })
}

/** Lengths up to the positions of the model: a longer text counts as that long. */
const tokenFacts = async (loaded: LoadedSets, set: Dataset, base: ModelFolder, maxLength: number): Promise<LengthFacts | null> => {
  const { text } = loaded
  // whole exchanges that do not fit would leave a length far below the positions
  const cut = text === undefined ? loaded : { ...loaded, text: { ...text, truncation: 'tokens' as const } }
  const task = loaded.taskType.bind({ ...cut, evaluation: set })
  const tokenizer = await task.tokenizer(base, base.model.spec.maxPositions)
  const examples = tokenizer.evaluation(set.examples)
  const lengths = Int32Array.from({ length: examples.length }, (_, i) => examples.at(i)?.inputIds.length ?? 0)
  if (text?.promptTemplate === null) return lengthFacts(lengths, 'tokens') // cut into pieces, which lose nothing
  const longer = set.examples.filter((_, i) => (lengths[i] ?? 0) > maxLength)
  const byTurns = text?.truncation === 'turns' ? { wholeExchanges: await countExchangeCuts(base, text, longer, maxLength) } : {}
  return lengthFacts(lengths, 'tokens', { texts: longer.length, maxLength, ...byTurns })
}

/** How many of the examples lose whole exchanges alone. */
const countExchangeCuts = async (
  base: ModelFolder,
  text: TextTokenOptions,
  longer: readonly Example[],
  maxLength: number,
): Promise<number> => {
  const { explained } = await openTextTokens(base, text, maxLength)
  return longer.filter((example) => [...explained(example)].every(({ cuts }) => cuts.every(({ exchanges }) => exchanges !== undefined)))
    .length
}
