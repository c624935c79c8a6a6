/** Preference tuning: the model learns to prefer one of two answers to a prompt, or answers that were rated as desirable. The result writes text. */
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { kto, type KtoSettings, type RatedAnswer, type RatedExample } from './kto.js'
import type { TrainingExample } from '../../../accelerated/objectives/objective.js'
import { preference as preferenceObjective, type PreferenceAnswer, type PreferenceExample, type PreferenceSettings } from './objective.js'
import type { PromptTemplate } from '../../data/promptTemplates.js'
import { selectionScore } from '../../metrics/index.js'
import { preferenceMetrics, scorePreferences, scoreRatedAnswers } from './metrics.js'
import { openPreferenceTokens, openRatedTokens } from './tokens.js'
import type { BoundTask, TaskData, TaskType } from '../taskType.js'
import { causalLM } from '../texts/taskType.js'

const name = 'preference'
const outputs = { ...causalOutputs, taskType: name }
const noClasses = 'none, as preferences have no classes'

type Template = { readonly promptTemplate: PromptTemplate }

type Bound<E extends TrainingExample, O> = Pick<BoundTask<E, O>, 'objective' | 'tokenizer'> & {
  readonly scoresOf: (answers: ReadonlyArray<O>) => Readonly<Record<string, number>>
}

const ofPairs = ({ promptTemplate, ...settings }: PreferenceSettings & Template): Bound<PreferenceExample, PreferenceAnswer> => ({
  objective: (model, method) => preferenceObjective(model, settings, method),
  tokenizer: (base, maxLength) => openPreferenceTokens(base, promptTemplate, maxLength),
  scoresOf: (answers) => scorePreferences(settings, answers),
})

const ofRatings = ({ promptTemplate, ...settings }: KtoSettings & Template): Bound<RatedExample, RatedAnswer> => ({
  objective: (model, method) => kto(model, settings, method),
  tokenizer: (base, maxLength) => openRatedTokens(base, promptTemplate, maxLength),
  scoresOf: (answers) => scoreRatedAnswers(settings, answers),
})

const bindTo = <E extends TrainingExample, O>({ scoresOf, ...bound }: Bound<E, O>, { selectionMetric }: TaskData): BoundTask<E, O> => ({
  ...bound,
  outputs,
  score: (answers) => {
    const scores = scoresOf(answers)
    return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
  },
  report: () => ({ byClass: null, confusion: null }),
  majority: null,
})

export const preference: TaskType = {
  name,
  noun: 'preference tuning',
  dataNoun: 'answers to prompts',
  outputs: () => outputs,
  isImpliedBy: () => false,
  ...(causalLM.checkModel === undefined ? {} : { checkModel: causalLM.checkModel }),
  metricNames: () => preferenceMetrics,
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  bind: (data) => (use) => {
    const { preference: options } = data
    if (options === undefined) throw new Error('preference: expected the options of a preference task')
    return options.loss === 'kto' ? use(bindTo(ofRatings(options), data)) : use(bindTo(ofPairs(options), data))
  },
  pipelineTag: 'text-generation',
  command: 'generate',
}
