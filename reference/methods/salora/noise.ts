/** The random numbers of one training step: gate noise (one draw for each gate, shared by the mini-batch) and dropout masks. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import * as S from 'fp-ts/lib/State.js'
import { pipe } from 'fp-ts/lib/function.js'
import { dropoutMask } from '../../layers/dropout.js'
import type { Tokens } from '../../models/embeddings.js'
import { dropoutSites } from '../../models/dropoutSites.js'
import type { EncoderConfig } from '../../models/encoderConfig.js'
import type { Tensors } from '../../tensor/tensor.js'
import { uniform, type Seed } from '../../training/random.js'
import type { Adapters } from '../../layers/lowRank.js'

export interface Noise {
  /** u by module, each [r], from (0, 1). */
  readonly gates: Tensors
  /** Dropout masks by site, each value 0 or 1 / (1 − p). An absent site has no dropout. */
  readonly dropout: Tensors
}

export const drawGateNoise = (adapters: Adapters): S.State<Seed, Tensors> =>
  pipe(
    adapters,
    R.traverse(S.Applicative)(({ logTheta }) => uniform(logTheta.shape)),
  )

/** A mask for each site whose probability is not 0. */
export const drawDropout = (config: EncoderConfig, batch: Tokens): S.State<Seed, Tensors> =>
  pipe(
    dropoutSites(config, batch),
    R.filter(({ probability }) => probability > 0),
    R.traverse(S.Applicative)(({ shape, probability }) => pipe(uniform(shape), S.map(dropoutMask(probability)))),
  )

/** The noise of one step. */
export const drawNoise =
  (config: EncoderConfig) =>
  (adapters: Adapters, batch: Tokens): S.State<Seed, Noise> =>
    pipe(
      drawGateNoise(adapters),
      S.chain((gates) =>
        pipe(
          drawDropout(config, batch),
          S.map((dropout) => ({ gates, dropout })),
        ),
      ),
    )
