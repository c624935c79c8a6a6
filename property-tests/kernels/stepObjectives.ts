/** The objectives of steps whose kernels are looked up: every kind of loss that a task may have. */
import type { Model } from '../../accelerated/models/architecture.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { kto } from '../../finetuning/tasks/preferences/kto.js'
import { preference, preferenceLosses } from '../../finetuning/tasks/preferences/objective.js'
import { sentenceEmbedding } from '../../finetuning/tasks/embeddings/objective.js'
import { listNet } from '../../finetuning/tasks/reranking/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { tokenClassification } from '../../finetuning/tasks/tokenClassification/objective.js'
import type { Assembly } from '../../accelerated/training/assembly.js'

type Objective = Assembly['objective']

const ofEncoders: Readonly<Record<string, (model: Model) => Objective>> = {
  classes: (model) => sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }),
  'class weights': (model) =>
    sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }, { classWeights: [1, 2] }),
  'several labels': (model) => sequenceClassification(model, { labels: 3, problemType: 'multi_label_classification' }),
  regression: (model) => sequenceClassification(model, { labels: 1, problemType: 'regression' }),
  token: (model) => tokenClassification(model, { labels: 3 }),
  'sentence ranking': (model) => sentenceEmbedding(model, 'ranking'),
  'sentence triplets': (model) => sentenceEmbedding(model, 'triplets', [4]),
  list: (model) => listNet(model, { head: 'sequence', labels: 1, problemType: 'regression' }),
  'sentence similarity': (model) => sentenceEmbedding(model, 'similarity'),
}

const ofDecoders: Readonly<Record<string, (model: Model) => Objective>> = {
  'next token': (model) => causalLM(model),
  kto: (model) => kto(model, { beta: 0.1, desirableWeight: 1, undesirableWeight: 1 }),
  ...Object.fromEntries(
    preferenceLosses.map((loss) => [
      `preference ${loss}`,
      (model: Model) => preference(model, { loss, beta: 0.1, gamma: 0.5, labelSmoothing: 0.1 }),
    ]),
  ),
}

export const encoderObjectives = Object.keys(ofEncoders)
export const decoderObjectives = Object.keys(ofDecoders)

/** @throws Error for another name */
export const objectiveNamed = (name: string): ((model: Model) => Objective) => {
  const objective = ofEncoders[name] ?? ofDecoders[name]
  if (objective === undefined) throw new Error(`objectiveNamed: expected an objective, got ${name}`)
  return objective
}
