/** The `transformers.js` export: an ONNX model of the merged classifier or decoder, and the files that @huggingface/transformers needs. */
import { embedWeights, encodeModel, largestModel, type Piece } from '../graph/onnxProto.js'
import { type Outputs, topologicalOrder, type Expression, type Shape } from '../graph/expression.js'
import { onnxParts } from '../graph/onnx.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import { joinPath } from '../storage/paths.js'
import type { Storage } from '../storage/storage.js'
import { cachedInference } from './cachedInference.js'
import { mergedTensors, type MergedTensor, type TrainedModel } from './mergedWeights.js'
import { writeModelConfig } from './modelConfig.js'
import { onnxPrecisions, placed, storedWeight, type ExportLevels, type OnnxPrecision, type StoredTensor } from './onnxWeights.js'
import { writeTokenizer } from './tokenizerFiles.js'
import { product } from '../graph/dimension.js'
import {
  add,
  cast,
  concat,
  constant,
  cumulativeSum,
  cut,
  div,
  expand,
  gather,
  input,
  matMul,
  minimum,
  mul,
  reduceSum,
  reshape,
  scalar,
  sub,
  transpose,
} from '../graph/operators.js'
import { int8 } from '../precisions/int8/int8.js'
import type { PaddedInputs } from '../models/batchInputs.js'
import { plainHost, type Host, type TensorSource } from '../models/host.js'
import { buildTokenHead } from '../models/modelOutputs.js'
import { noVirtualTokens } from '../models/packing.js'
import type { Adapter } from './adapter.js'
import { anyClasses, baseKey, digestBase, openAdapterInputs } from './adapterInputs.js'

/** Where @huggingface/transformers looks for a model, and for the weights that do not fit into the model's own file. */
export const onnxFiles = (precision: OnnxPrecision) => {
  const model = `model${onnxPrecisions[precision].suffix}.onnx`
  return { folder: 'onnx', model, data: `${model}_data` } as const
}

type OnnxOptions = {
  readonly precision?: OnnxPrecision
  /** tokens of a text, as in training; null: as many as the model has positions */
  readonly maxLength?: number | null
  /** the size of a model's file in bytes above which its weights get a file of their own */
  readonly largest?: number
  readonly storage?: Storage
  /** the base alone: LoRA matrices up to this rank and the head are inputs of the graph; null: the merged model */
  readonly adapterInputs?: { readonly lora: Adapter; readonly maxRank: number } | null
}

/**
 * Writes onnx/model.onnx (or model_fp16.onnx, model_quantized.onnx), the tokenizer and, last, config.json into an existing folder. The model
 * has plain ONNX operators only, so any provider opens it, also in a browser. @throws InputError
 */
export const exportOnnx = async (
  folder: string,
  trained: TrainedModel,
  labelNames: readonly string[] | undefined,
  { precision = 'float32', maxLength = null, largest = largestModel, storage = nodeFiles, adapterInputs = null }: OnnxOptions = {},
): Promise<void> => {
  const { adapter, base } = trained
  const target = { folder, storage }
  const graph = adapterInputs === null ? null : openAdapterInputs(trained, adapterInputs.lora, adapterInputs.maxRank)
  const embedded = await writeOnnxModel(folder, graph?.trained ?? trained, precision, largest, storage, graph?.inputs)
  // Without this setting, the library's pipeline leaves out the tokens that the tokenizer puts before a text.
  const addsStart = adapter.outputs.head === 'causal' && (await base.tokenizer()).start.length > 0
  await writeTokenizer(target, base, adapter, maxLength, addsStart ? { add_bos_token: true } : {})
  // The library reads from these keys which file to open.
  const libraryConfig = {
    ...(precision === 'float32' ? {} : { dtype: onnxPrecisions[precision].dtype }),
    ...(embedded ? {} : { use_external_data_format: true }),
  }
  const more = Object.keys(libraryConfig).length === 0 ? {} : { 'transformers.js_config': libraryConfig }
  if (graph === null) return writeModelConfig(target, base, adapter, labelNames, 'float32', more)
  const plain = { model: adapter.model, outputs: anyClasses(adapter.outputs) }
  await writeModelConfig(target, base, plain, undefined, 'float32', {
    ...more,
    [baseKey]: await digestBase(base),
  })
}

/** → whether the weights are in the model's own file */
const writeOnnxModel = async (
  folder: string,
  trained: TrainedModel,
  precision: OnnxPrecision,
  largest: number,
  storage: Storage,
  inputs: ReadonlyMap<string, Expression> = new Map(),
): Promise<boolean> => {
  const { adapter } = trained
  const { folder: onnx, model: modelName, data: dataName } = onnxFiles(precision)
  const modelFile = joinPath(folder, onnx, modelName)
  const multiplied = new Set<string>() // known once the graph is built, before bytes are
  const isDecoder = adapter.outputs.head === 'causal'
  const levels: ExportLevels = isDecoder ? { type: 'uint8' } : { type: 'int8', isMultiplied: (name) => multiplied.has(name) }
  const weights = new Map(
    [...collectTensors(trained)].map(([name, tensor]) => [name, storedWeight(name, tensor, precision, modelFile, levels)]),
  )
  const stored = new Map([...weights.values()].flatMap(({ parts }) => [...parts]))
  const read = placed(stored, dataName)
  const values = new Map([...weights].map(([name, { value }]) => [name, value(read)]))
  const inference = isDecoder ? cachedInference : paddedInference
  const outputs = inference(adapter, (name) => inputs.get(name) ?? values.get(name)!)
  for (const { op, inputs } of topologicalOrder(Object.values(outputs)))
    if (op === 'QuantizedMatMul') multiplied.add(inputs[1]?.attributes.name ?? '')
  const model = onnxParts(outputs, { fusedMatMul: false, quantizedMatMul: 'plain' })
  const whole = embedWeights(model)
  const embedded = whole.length <= largest
  await storage.makeFolder(joinPath(folder, onnx)) // not recursively: a signal may just have removed the folder above
  if (!embedded) {
    const pieces = [...stored.keys()].map((name) => ({ weight: name }))
    await storage.write(joinPath(folder, onnx, dataName), writeChunks(pieces, stored))
  }
  await storage.write(modelFile, embedded ? writeChunks(whole.pieces, stored) : encodeModel(model))
  return embedded
}

/** The merged tensors. A method that cannot be merged has its own tensors beside the model's, and its graph in the export. */
const collectTensors = (trained: TrainedModel): ReadonlyMap<string, MergedTensor> =>
  new Map<string, MergedTensor>([
    ...mergedTensors(trained),
    ...(trained.adapter.method.export.merge === undefined
      ? [...trained.adapter.tensors].map(([name, { shape, data }]): readonly [string, MergedTensor] => [
          name,
          { shape, read: async () => data },
        ])
      : []),
  ])

async function* writeChunks(pieces: readonly Piece[], stored: ReadonlyMap<string, StoredTensor>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield piece instanceof Uint8Array ? piece : await stored.get(piece.weight)!.bytes()
}

/** An encoder with the inputs and outputs of other tools: padded token ids and attention mask in, logits out. The graph computes the positions. */
const slots: Shape = ['batch', 'sequence']

/** exp(−1e9) is 0: padding gets no attention. */
const paddingBias = -1e9

/**
 * The head reads the first token, the mean of the tokens, or every token. Inputs int64 [batch, sequence]: input_ids, attention_mask (1 for tokens, 0 for padding) and token_type_ids, if the family has them.
 * → { logits: float32 [batch, labels] }, or without virtual tokens [batch, sequence, labels] or { last_hidden_state: [batch, sequence, hidden] }. `tensor` gives model and head: merged if the method can be, else with the method's own tensors.
 */
const paddedInference = ({ model, outputs, method, phase, settings }: Adapter, tensor: TensorSource): Outputs => {
  const ids = input('input_ids', slots, 'int64')
  const mask = input('attention_mask', slots, 'int64')
  const zeros = mul(ids, 0)
  const types = model.tokenTypes ? input('token_type_ids', slots, 'int64') : zeros
  const isToken = outputs.head === 'token'
  const head = isToken ? buildTokenHead(model, outputs.labels) : model.sequenceHead(Math.max(1, outputs.labels))
  const plain = int8.wrap(plainHost(tensor, (name) => model.spec.tensors.has(name) || head.tensors.has(name)))
  const host: Host = method.export.merge === undefined ? method.train.wrap(phase, settings, tensor)(plain) : plain

  const { count, at } = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  const inside = at === 'embeddings' ? count : 0 // virtual tokens that take a slot
  // Each virtual token takes a position, as a word does that is no padding. For virtual tokens among the embeddings, transformers has no ids. It
  // then counts every token that the mask shows, also a padding token within a text.
  const word = model.paddingIndex === 0 ? 1 : 0
  const counted = inside === 0 ? ids : add(mul(mask, word - model.paddingIndex), model.paddingIndex)
  const positions = model.paddedPositions(afterVirtual(count, word, counted))
  const bias = mul(sub(1, cast(mask, 'float32')), paddingBias)
  const ones = add(afterVirtual(inside, 0, zeros), 1)
  const batch: PaddedInputs = {
    inputIds: flat(afterVirtual(inside, 0, ids)),
    positions: flat(inside === count ? positions : (cut(positions, 1, [count, 'sequence'])[1] as Expression)),
    tokenTypes: flat(afterVirtual(inside, 0, types)),
    attentionBias: afterVirtual(inside, 0, bias),
    virtualToken: flat(minimum(sub(cumulativeSum(ones, 1), 1), inside)),
  }
  const hidden = model.hidden(host, batch) // [batch*slots, hidden]
  if (outputs.head !== 'sequence') {
    const [rows = 'batch', width = 'sequence'] = ones.shape
    const ofTokens = isToken ? head.outputs(hidden, host) : hidden
    const all = reshape(ofTokens, [rows, width, ofTokens.shape[1] ?? 1])
    const ofText = inside === 0 ? all : (cut(all, 1, [inside, 'sequence'])[1] as Expression)
    return { [isToken ? 'logits' : 'last_hidden_state']: ofText }
  }
  if (model.pooling === 'mean') {
    const shown = afterVirtual(inside, 0, cast(mask, 'float32')) // a virtual token is not part of the mean
    const [rows = 'batch', width = 'sequence'] = shown.shape
    const share = div(shown, reshape(reduceSum(shown, [1]), [rows, 1]))
    const sums = matMul(reshape(share, [rows, 1, width]), reshape(hidden, [rows, width, model.spec.hiddenSize])) // [batch, 1, hidden]
    return { logits: head.outputs(reshape(sums, [rows, model.spec.hiddenSize]), host) }
  }
  const places = sub(cumulativeSum(flat(ones), 0), 1) // 0, 1, 2, … over all slots
  const firstOfRow = gather(transpose(reshape(places, ones.shape), [1, 0]), constant([0], [], 'int64')) // [batch]
  return { logits: head.outputs(gather(hidden, firstOfRow), host) }
}

/** The value of each virtual token before a row's own. own: [batch, sequence] → [batch, count+sequence] */
const afterVirtual = (count: number, value: number, own: Expression): Expression =>
  count === 0 ? own : concat([expand(scalar(value, own.dtype), own.shape.with(1, count)), own], 1)

const flat = (x: Expression): Expression => reshape(x, [product(x.shape)])
