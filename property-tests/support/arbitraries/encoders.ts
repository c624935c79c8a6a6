/** Encoders small enough for finite differences, complete in every part. */
import {
  baseShapes,
  defaultSettings,
  drawDropout,
  headShapes,
  initialAdapters,
  normal,
  tensor,
  uniform,
  type Activation,
  type Adapter,
  type Batch,
  type EncoderConfig,
  type Noise,
  type Parameters,
  type Settings,
  type Shape,
  type Tensor,
  type Tensors,
} from '../../../reference/index.js'
import { noiseFor } from './settings.js'

export interface TinyOptions {
  readonly family: 'roberta' | 'bert'
  readonly taskType: EncoderConfig['taskType']
  readonly activation?: Activation
  readonly layers?: number
  readonly rank?: number
  readonly lengths?: readonly number[]
  /** Stretched gate values, used in turn; default: shut, inside and open ones. */
  readonly s?: readonly number[]
  readonly seed: number
}

export interface Tiny {
  readonly config: EncoderConfig
  readonly settings: Settings
  readonly base: Tensors
  readonly parameters: Parameters
  readonly batch: Batch
  readonly noise: Noise
}

const hash = (text: string): number => [...text].reduce((total, letter) => (Math.imul(total, 31) + letter.charCodeAt(0)) >>> 0, 7)

/** Independent tensors by name: norms' weights around 1, everything else around 0. */
const draw = (shapes: Readonly<Record<string, Shape>>, seed: number): Tensors =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const [values] = normal(shape, 0.5)(seed + hash(name))
      return [
        name,
        name.endsWith('LayerNorm.weight')
          ? tensor(
              shape,
              values.data.map((value) => 1 + value / 2),
            )
          : values,
      ]
    }),
  )

const integers = (n: number, below: number, seed: number): readonly number[] => [...uniform([n], 0, below)(seed)[0].data].map(Math.floor)

/** A model, a batch and noise, all determined by the options. B is not 0, and no gate is near a kink. */
export const tiny = (options: TinyOptions): Tiny => {
  const {
    family,
    taskType,
    activation = 'gelu',
    layers = 2,
    rank = 2,
    lengths = [3, 1, 2],
    s = [0.3, -0.05, 0.7, 1.04, 0.5],
    seed,
  } = options
  const config: EncoderConfig = {
    family,
    taskType,
    activation,
    layers,
    vocabularySize: 9,
    hiddenSize: 4,
    heads: 2,
    intermediateSize: 6,
    maxPositions: 8,
    tokenTypes: family === 'bert' ? 2 : 1,
    layerNormEpsilon: 1e-5,
    paddingIndex: 1,
    hiddenDropout: 0.25,
    attentionDropout: 0.25,
    headDropout: 0.25,
    labels: taskType === 'regression' ? 1 : 3,
  }
  const settings: Settings = { ...defaultSettings, rank, alpha: 3 }
  const [initial] = initialAdapters(config, settings)(seed)
  const randomize = (name: string, { A, B, logTheta }: Adapter): Adapter => ({
    A,
    B: normal(B.shape, 0.5)(seed + hash(`${name}B`))[0],
    logTheta: normal(logTheta.shape)(seed + hash(`${name}T`))[0],
  })
  const adapters = Object.fromEntries(Object.entries(initial).map(([name, adapter]) => [name, randomize(name, adapter)]))
  const u = (logTheta: Tensor, offset: number): Tensor =>
    tensor(
      logTheta.shape,
      logTheta.data.map((location, j) => noiseFor(settings)(location, s[(offset + j) % s.length]!)),
    )
  const inputIds = lengths.map((length, example) => integers(length, config.vocabularySize, seed + 100 + example))
  const batch: Batch = {
    inputIds,
    ...(family === 'bert' ? { tokenTypeIds: inputIds.map((ids, example) => integers(ids.length, 2, seed + 200 + example)) } : {}),
    labels: {
      regression: () => lengths.map((_, example) => example - 0.5),
      classification: () => integers(lengths.length, 3, seed + 300),
      tokens: () => lengths.flatMap((length, example) => integers(length, 3, seed + 300 + example)),
    }[taskType](),
  }
  return {
    config,
    settings,
    batch,
    base: draw(baseShapes(config), seed),
    parameters: { adapters, head: draw(headShapes(config), seed + 1), lambda: 0.7 },
    noise: {
      gates: Object.fromEntries(Object.entries(adapters).map(([name, { logTheta }], offset) => [name, u(logTheta, offset)])),
      dropout: drawDropout(config, batch)(seed + 2)[0],
    },
  }
}
