/** The state of training: parameters, moments, two counters, and the constants after T_end; and its initial value. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import * as S from 'fp-ts/lib/State.js'
import { pipe } from 'fp-ts/lib/function.js'
import { adaptedModules, headShapes, moduleShape, type EncoderConfig } from '../../models/encoderConfig.js'
import type { Shape } from '../../tensor/shape.js'
import { filled, zerosLike, type Tensor, type Tensors } from '../../tensor/tensor.js'
import { normal, uniform, type Seed } from '../../training/random.js'
import type { Adapter, Adapters } from '../../layers/lowRank.js'

/** W (A, B and the head), Θ (logTheta) and λ; also the form of their gradients and of their moments. */
export interface Parameters {
  readonly adapters: Adapters
  readonly head: Tensors
  readonly lambda: number
}

/** The constants of the run after T_end, by module. */
export interface AfterEnd {
  /** Kept gates, each [r]. An absent module has every gate open. */
  readonly gates: Tensors
  /** ‖Bⱼ‖² at T_end, each [r]: the diagonal of D². */
  readonly squaredNorms: Tensors
}

export interface TrainingState extends Parameters {
  /** AdamW's first and second moments. */
  readonly m: Parameters
  readonly v: Parameters
  /** Steps done; bias correction of W's moments. */
  readonly step: number
  /** Steps done with sampled gates; bias correction of Θ's and λ's moments. */
  readonly gatedStep: number
  /** null up to T_end. */
  readonly afterEnd: AfterEnd | null
}

/** The settings of the initial state. */
export interface InitialSettings {
  /** r, components of each adapter. */
  readonly rank: number
  readonly initialization: 'kaiming' | 'gaussian'
  readonly initialLogTheta: number
  readonly initialLambda: number
}

export const mapAdapter =
  (f: (x: Tensor) => Tensor) =>
  ({ A, B, logTheta }: Adapter): Adapter => ({ A: f(A), B: f(B), logTheta: f(logTheta) })

const zeros = ({ adapters, head }: Parameters): Parameters => ({
  adapters: R.map(mapAdapter(zerosLike))(adapters),
  head: R.map(zerosLike)(head),
  lambda: 0,
})

/** The state before the first step. */
export const startFrom = (parameters: Parameters): TrainingState => ({
  ...parameters,
  m: zeros(parameters),
  v: zeros(parameters),
  step: 0,
  gatedStep: 0,
  afterEnd: null,
})

// PEFT's kaiming-uniform with a = √5 is U(−1/√k, 1/√k); its gaussian is N(0, 1/r²).
const initialA = ({ initialization, rank }: InitialSettings, k: number): S.State<Seed, Tensor> =>
  initialization === 'kaiming' ? uniform([rank, k], -1 / Math.sqrt(k), 1 / Math.sqrt(k)) : normal([rank, k], 1 / rank)

/** A random, B = 0, log θ as set: the adapted model starts as the base model. */
export const initialAdapters = (config: EncoderConfig, settings: InitialSettings): S.State<Seed, Adapters> => {
  const { rank, initialLogTheta } = settings
  const adapter = ([d, k]: readonly [number, number]): S.State<Seed, Adapter> =>
    pipe(
      initialA(settings, k),
      S.map((A) => ({ A, B: filled([d, rank], 0), logTheta: filled([rank], initialLogTheta) })),
    )
  return pipe(
    Object.fromEntries(adaptedModules(config).map((module) => [module, moduleShape(config, module)])),
    R.traverse(S.Applicative)(adapter),
    // traverse sorts by name, layer 10 before layer 2. The model's order is restored, since it breaks ties in retention.
    S.map((drawn) => Object.fromEntries(adaptedModules(config).map((module) => [module, drawn[module]!]))),
  )
}

/** Matrices from N(0, 0.02²), biases 0, as Hugging Face initializes a new head. */
export const initialHead = (config: EncoderConfig): S.State<Seed, Tensors> =>
  pipe(
    headShapes(config),
    R.traverse(S.Applicative)((shape: Shape) => (shape.length === 2 ? normal(shape, 0.02) : S.of(filled(shape, 0)))),
  )

export const initialState = (config: EncoderConfig, settings: InitialSettings): S.State<Seed, TrainingState> =>
  pipe(
    initialAdapters(config, settings),
    S.chain((adapters) =>
      pipe(
        initialHead(config),
        S.map((head) => startFrom({ adapters, head, lambda: settings.initialLambda })),
      ),
    ),
  )
