/** An architecture that is in no release: RoBERTa whose checkpoints store matrices as [in, out] and carry a buffer, as GPT-2's do. */
import type { Architecture, Model } from '../../../accelerated/models/architecture.js'
import { bertArchitecture } from '../../../accelerated/models/bert/bert.js'

const insideOutModel = (roberta: Model): Model => {
  const matrices = new Set(roberta.spec.matrices.map(({ name }) => `${name}.weight`))
  return {
    ...roberta,
    type: 'inside-out',
    transposed: (tensor) => matrices.has(tensor),
    ignored: (tensor) => tensor.endsWith('.attention.mask'),
    withDropout: (probability) => insideOutModel(roberta.withDropout(probability)),
  }
}

export const insideOut: Architecture = {
  modelTypes: ['inside-out'],
  open: (json, where) => insideOutModel(bertArchitecture.open({ ...json, model_type: 'roberta' }, where)),
  gguf: null,
}
