/** The head that turns every token of an encoder into the logits of its classes. */
import { adaptedLinear, type ModelTensors } from '../layers/adaptedLinear.js'
import { sequence, type Layer } from '../layers/layer.js'
import type { Tensors } from '../tensor/tensor.js'
import { dropoutLayer } from './sequenceHead.js'

/** dropout → classifier. x: [tokens, hidden] → [tokens, labels] */
export const tokenHead = (model: ModelTensors, masks: Tensors): Layer =>
  sequence(dropoutLayer(masks, 'head.input'), adaptedLinear(model, 'classifier'))
