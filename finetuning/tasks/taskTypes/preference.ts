/** Preference tuning: of two answers to a prompt, the model learns to prefer the chosen one. The result writes text. */
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import {
  preference as preferenceObjective,
  type PreferenceAnswer,
  type PreferenceExample,
} from '../../../accelerated/objectives/preference.js'
import { preferenceMetrics, scorePreferences, selectionScore } from '../../metrics/index.js'
import { openPreferenceTokens } from '../../tokens/preferenceTokens.js'
import type { TaskAdapter, TaskData, TaskType } from '../taskType.js'
import { causalLM } from './causalLM.js'

const name = 'preference'
const outputs = { ...causalOutputs, taskType: name }
const noClasses = 'none, as preferences have no classes'

const boundTo = ({ selectionMetric, preference }: TaskData): TaskAdapter<PreferenceExample, PreferenceAnswer> => {
  if (preference === undefined) throw new Error('preference: expected the options of a preference task')
  const { promptTemplate, ...settings } = preference
  return {
    outputs,
    objective: (model, method) => preferenceObjective(model, settings, method),
    tokenizer: (base, maxLength) => openPreferenceTokens(base, promptTemplate, maxLength),
    score: (answers) => {
      const scores = scorePreferences(settings, answers)
      return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
    },
    report: () => ({ byClass: null, confusion: null }),
    majority: null,
  }
}

export const preference: TaskType = {
  name,
  noun: 'preference tuning',
  dataNoun: 'pairs of answers',
  outputs: () => outputs,
  isImpliedBy: () => false,
  ...(causalLM.checkModel === undefined ? {} : { checkModel: causalLM.checkModel }),
  metricNames: () => preferenceMetrics,
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  bind: (data) => (use) => use(boundTo(data)),
  pipelineTag: 'text-generation',
  command: 'generate',
}
