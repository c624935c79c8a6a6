/** The requests and answers of /classify: one text as salora predict answers it, or inputs in the shape of Hugging Face's text classification. */
import { z } from 'zod'
import { inputError, quoted } from '../../../../accelerated/errors/inputError.js'
import { validate } from '../../../../accelerated/errors/validate.js'
import type { Text } from '../../../tasks/taskType.js'
import { toText, type RunPrediction } from '../openRun.js'
import type { RunColumns } from '../../runSource.js'

const pair = z.strictObject({ text: z.string(), text_pair: z.string().optional() })
const input = z.union([z.string(), pair])
const model = z.string().optional()

const ofText = z.strictObject({ text: z.string(), text_pair: z.string().optional(), model })
const ofInputs = z.strictObject({
  inputs: z.union([input, z.array(input)]),
  parameters: z.strictObject({ top_k: z.int().min(1).nullish() }).optional(),
  /** how to wait for a model: it changes no result */
  options: z.looseObject({}).optional(),
  model,
})

export type ClassifyRequest = {
  readonly model: string | undefined
  readonly texts: readonly Text[]
  /** The body of the answer. */
  readonly answer: (predictions: readonly RunPrediction[]) => unknown
}

/** @throws InputError with one line */
export const classifyRequest = (body: unknown): ClassifyRequest => {
  const hasInputs = isObject(body) && 'inputs' in body
  if (!hasInputs) {
    if (isObject(body) && !('text' in body)) throw inputError(where, '"text" (one text) or "inputs" (a list of texts)', describeKeys(body))
    const { model: name, ...given } = validate(ofText, body, where, 'an object with "text" or "inputs"')
    return { model: name, texts: [textIn(given)], answer: ([prediction]) => prediction }
  }
  const { model: name, inputs, parameters } = validate(ofInputs, body, where, 'an object with "inputs"')
  const labels = (prediction: RunPrediction): unknown =>
    hasLabels(prediction) ? labelScores(prediction).slice(0, parameters?.top_k ?? undefined) : prediction
  if (!Array.isArray(inputs)) return { model: name, texts: [textIn(inputs)], answer: ([prediction]) => prediction && labels(prediction) }
  if (inputs.length === 0) throw inputError(where, 'at least one of "inputs"', 'none')
  return { model: name, texts: inputs.map(textIn), answer: (predictions) => predictions.map(labels) }
}

const isObject = (body: unknown): body is object => typeof body === 'object' && body !== null && !Array.isArray(body)

/** Three keys at most: a request may have thousands. */
const describeKeys = (body: object): string => {
  const keys = Object.keys(body)
  return keys.length === 0
    ? 'neither'
    : keys
        .slice(0, 3)
        .map((key) => quoted(key))
        .join(', ') + (keys.length > 3 ? ', …' : '')
}

const where = 'the request'
const columns: RunColumns = { text: 'text', textPair: 'text_pair' }

const textIn = (given: z.infer<typeof input>): Text => toText(given, columns, where)

export type LabelScore = { readonly label: string; readonly score: number }

/** Of a task whose answers are labels with scores, or a value. */
type Scored = RunPrediction<'classification' | 'multi-label' | 'regression'>

/** Other task types, such as token classification, have answers of their own. */
const hasLabels = (prediction: RunPrediction): prediction is Scored => 'scores' in prediction || 'value' in prediction

/** Every label with its score, the best first; a regression's value has the label LABEL_0, as in transformers. */
export const labelScores = (prediction: Scored): readonly LabelScore[] =>
  'value' in prediction
    ? [{ label: 'LABEL_0', score: prediction.value }]
    : Object.entries(prediction.scores)
        .map(([label, score]) => ({ label, score }))
        .sort((a, b) => b.score - a.score)
