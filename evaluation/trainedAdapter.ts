/** A trained adapter, opened for use: model, tokenizer, adapter and head together answer texts with outputs. */
import type { LoadedAdapter } from '../accelerated/formats/peft/loadPeft.js'
import { loadAdapter } from '../accelerated/formats/peft/loadPeft.js'
import type { Weights } from '../accelerated/formats/peft/adapter.js'
import { fileError } from '../accelerated/files/fileError.js'
import { resolveModel } from '../accelerated/files/hub/hub.js'
import type { ModelFolder } from '../accelerated/files/modelFolder.js'
import { checkFinite, openModelFolder } from '../accelerated/files/modelFolder.js'
import { readTensor } from '../accelerated/files/safetensors/safetensors.js'
import type { EncoderConfig } from '../accelerated/models/encoderConfig.js'
import { adapterModules, headTensorShapes, longestInput } from '../accelerated/models/encoderConfig.js'
import type { TrainedModel } from '../accelerated/formats/mergedWeights.js'
import { frozenWeights, weightFiles } from '../accelerated/files/frozenWeights.js'
import type { Vector } from '../accelerated/training/parameterVector.js'
import { flatten, parameterLayout } from '../accelerated/training/parameterVector.js'
import { openPredictor } from '../accelerated/training/prediction.js'
import { chooseDevice } from '../accelerated/runtime/deviceProbe.js'
import type { Device } from '../accelerated/runtime/devices.js'
import type { AdaptedModule } from '../accelerated/methods/salora/salora.js'
import { saloraTrainables } from '../accelerated/methods/salora/salora.js'
import type { Encoding } from '../accelerated/files/tokenizer.js'
import { loadTokenizer } from '../accelerated/files/tokenizer.js'
import type { Scalar } from '../accelerated/training/trainingStep.js'

export type TrainedAdapterOptions = {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the commit of a hub id; its main branch if none is given */
  readonly revision?: string
  /** a folder in PEFT's layout; null where the model classifies as it is */
  readonly adapter: string | null
  readonly device: Device | 'auto'
  readonly precision: Scalar
  readonly threads: number
  /** tokens an example; more than the encoder has positions for is an error, null is 128 or those positions */
  readonly maxLength: number | null
  readonly batchSize: number
}

export type Text = { readonly text: string; readonly textPair?: string }

export type TrainedAdapter = {
  readonly device: Device
  readonly config: EncoderConfig
  /** the classes in the order of the outputs, where adapter or model name them */
  readonly labelNames: ReadonlyArray<string> | undefined
  /** → [texts][labels]: logits, or in a regression the value */
  readonly predict: (texts: ReadonlyArray<Text>) => Promise<ReadonlyArray<ReadonlyArray<number>>>
  readonly release: () => Promise<void>
}

const usualLength = 128

/** Opens everything. @throws FileError or DeviceError with one line for the user */
export const openTrainedAdapter = async (options: TrainedAdapterOptions): Promise<TrainedAdapter> => {
  const device = await chooseDevice(options.device)
  return openPredictions(await loadTrainedModel(options), options, device)
}

/** Model, adapter and head, checked; no session yet. @throws FileError */
export const loadTrainedModel = async (options: Pick<TrainedAdapterOptions, 'model' | 'revision' | 'adapter'>): Promise<TrainedModel> => {
  const resolved = await resolveModel(options.model, options.revision === undefined ? {} : { revision: options.revision })
  const model = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  await checkFinite(model)
  const adapter = options.adapter === null ? noAdapter(model) : await loadAdapter(options.adapter, model.config)
  return { model, adapter, head: await headOf(model, adapter, options.adapter ?? model.folder) }
}

/** The names of the classes, where adapter or model have them. */
export const labelNamesOf = ({ model, adapter }: TrainedModel): ReadonlyArray<string> | undefined =>
  adapter.labelNames ?? (model.labelNames?.length === adapter.config.labels ? model.labelNames : undefined)

/** @throws FileError for a maxLength that the encoder has no positions for */
export const openPredictions = async (
  trained: TrainedModel,
  options: Omit<TrainedAdapterOptions, 'model' | 'adapter' | 'device'>,
  device: Device,
): Promise<TrainedAdapter> => {
  const { model, adapter, head } = trained
  const { precision, threads, batchSize } = options
  const { config } = adapter
  const encode = await encodingOf(trained, options.maxLength)
  const modules = modulesOf(adapter)
  const scale = adapter.alpha / adapter.rank || 1
  const predictor = await openPredictor(
    {
      config,
      frozen: frozenWeights(model, precision),
      session: { device, threads, weightFiles: await weightFiles(model) },
      scale,
      dtype: precision,
    },
    modules,
  )
  const parameters = parametersOf(adapter, modules, head, scale, precision)
  return {
    device,
    config,
    labelNames: labelNamesOf(trained),
    predict: (texts) => predictor.predict(parameters, texts.map(encode), batchSize),
    release: predictor.release,
  }
}

/** Texts to token ids, at most `maxLength` (null: 128, or the encoder's positions). @throws FileError */
export const encodingOf = async (
  { model, adapter: { config } }: TrainedModel,
  wanted: number | null,
): Promise<(text: Text) => Encoding> => {
  const maxLength = wanted ?? Math.min(usualLength, longestInput(config))
  if (maxLength > longestInput(config))
    throw fileError('--max-length', `at most the encoder's ${longestInput(config)} positions`, String(maxLength))
  const tokenizer = await loadTokenizer(model.folder, config)
  return ({ text, textPair }) => tokenizer.encode(text, textPair, maxLength)
}

const noAdapter = ({ config, baseModelName }: ModelFolder): LoadedAdapter => ({
  config,
  baseModelName,
  rank: 1,
  alpha: 1,
  modules: new Map(),
  head: new Map(),
  labelNames: undefined,
})

/** The adapted matrices in layer order, each with its rank. */
const modulesOf = ({ config, modules }: LoadedAdapter): ReadonlyArray<AdaptedModule> =>
  adapterModules(config).flatMap((module) => {
    const pair = modules.get(module.name)
    return pair === undefined ? [] : [{ ...module, r: pair.A.shape[0] ?? 0 }]
  })

/** The adapter's head or, where it brings only a part, the rest from the model. */
const headOf = async (model: ModelFolder, adapter: LoadedAdapter, folder: string): Promise<ReadonlyMap<string, Float32Array>> => {
  const head = new Map<string, Float32Array>()
  for (const [name, shape] of headTensorShapes(adapter.config)) {
    const [own, base] = [adapter.head.get(name), model.headTensors.get(name)]
    if (own !== undefined) head.set(name, own.data)
    else if (base !== undefined && base.shape.join() === shape.join()) head.set(name, await readTensor(base))
    else throw fileError(folder, `${name} [${shape.join(', ')}] of the head in the adapter or in ${model.folder}`, 'it in neither')
  }
  return head
}

/** One vector as training has it. Pairs come to the one scale of the graph by a factor in B; it is exactly 1 for adapters trained here. */
const parametersOf = (
  adapter: LoadedAdapter,
  modules: ReadonlyArray<AdaptedModule>,
  head: ReadonlyMap<string, Float32Array>,
  scale: number,
  dtype: Scalar,
): Vector => {
  const scaled = ({ data }: Weights, own: number): Float32Array => (own === scale ? data : data.map((x) => (x * own) / scale))
  return flatten(
    parameterLayout(saloraTrainables(adapter.config, modules, 'open')),
    ({ name }) => {
      const pair = adapter.modules.get(name.slice(0, -2))
      if (pair === undefined) return head.get(name)
      return name.endsWith('.A') ? pair.A.data : scaled(pair.B, pair.scale)
    },
    dtype,
  )
}
