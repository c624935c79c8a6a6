/** A classifier without training: a sentence encoder compares each text with the names of the classes. */
import { checkFinite } from '../../accelerated/checkpoints/frozenWeights.js'
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'
import { headTensor, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import type { Weights } from '../../accelerated/formats/adapter.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { sentenceEncoder } from '../../accelerated/models/layers/classifierHead.js'
import { rankingScale } from '../tasks/embeddings/objective.js'
import { noAdapter } from './attachAdapter.js'
import { openPredictions, type BatchOptions, type OpenAdapter } from './modelSessions.js'

/** Whether the names are all there is: a sentence encoder, which averages tokens, without an adapter or a head of as many classes. */
export const hasNamesAlone = (
  { averages, outputs, model, ...base }: ModelFolder,
  { adapter, labelNames }: { readonly adapter: string | null; readonly labelNames?: readonly string[] | undefined },
): boolean => {
  if (adapter !== null || labelNames === undefined || !averages || outputs.head === 'token') return false
  const [last] = sentenceEncoder(model).sequenceHead(labelNames.length).tensors
  return last !== undefined && headTensor(base, ...last) === undefined
}

/** Opens a model that embeds texts: `predict` gives the mean of a text's token vectors. @throws as openPredictions */
export const openEncoder = (
  base: ModelFolder,
  machine: BatchOptions & { readonly maxLength: number | null },
  device: Device,
): Promise<OpenAdapter> => {
  const adapter = { ...noAdapter(base), model: sentenceEncoder(base.model), outputs: { head: 'embedding', labels: 0 } } as const
  return openPredictions({ base, adapter, head: new Map<string, Weights>() }, machine, device)
}

/**
 * The embedding of each text: [hidden]. @param name of the model, for the message
 * @param onPortion is told, before each portion of texts, how many are embedded @throws InputError for a model that is no encoder, and as openEncoder
 */
export const embedTexts = async (
  base: ModelFolder,
  name: string,
  texts: readonly string[],
  open: { readonly machine: Parameters<typeof openEncoder>[1]; readonly device: Device },
  { portion, onPortion }: { readonly portion: number; readonly onPortion: (done: number) => void },
): Promise<readonly Float32Array[]> => {
  if (base.model.spec.kind !== 'encoder')
    throw inputError(name, 'an encoder, such as a sentence-transformers model', `a ${base.model.spec.kind}`)
  const encoder = await openEncoder(base, open.machine, open.device)
  const embeddings: Float32Array[] = []
  try {
    for (let from = 0; from < texts.length; from += portion) {
      onPortion(from)
      const part = texts.slice(from, from + portion).map((text) => ({ text }))
      for (const vector of await encoder.predict(part)) embeddings.push(Float32Array.from(vector))
    }
  } finally {
    await encoder.release()
  }
  return embeddings
}

/**
 * The head's rows are the embeddings of the names times 20, so a logit is 20 cos(text, name). The multiple negatives ranking loss, by which sentence
 * encoders are trained, has the same factor. The result is an ordinary classifier.
 * @throws InputError for fewer than two names, or equal ones
 */
export const zeroShot = async (
  base: ModelFolder,
  names: readonly string[],
  machine: BatchOptions & { readonly maxLength: number | null },
  device: Device,
): Promise<TrainedModel> => {
  if (names.length < 2 || new Set(names).size !== names.length)
    throw inputError(option('labels'), 'the names of two classes or more, each once', oneLine(names.join(',')))
  checkLabelNames(names, option('labels'))
  await checkFinite(base, [])
  const model = sentenceEncoder(base.model)
  const plain = { ...noAdapter(base), model }
  const encoder = await openEncoder(base, machine, device)
  const vectors = await encoder.predict(names.map((text) => ({ text }))).finally(encoder.release)
  const { last, tensors } = model.sequenceHead(names.length)
  const rows = vectors.flatMap((vector) => {
    const length = Math.hypot(...vector)
    return vector.map((x) => (rankingScale * x) / length)
  })
  const head = [...tensors].map(([name, shape]) => {
    const data = name === `${last}.weight` ? Float32Array.from(rows) : new Float32Array(shape.reduce((a, b) => a * b, 1))
    return [name, { shape, data }] as const
  })
  const outputs = { head: 'sequence', labels: names.length, problemType: 'single_label_classification' } as const
  return { base: { ...base, model }, adapter: { ...plain, outputs, labelNames: names }, head: new Map(head) }
}
