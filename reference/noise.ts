/** The random numbers of one training step: gate noise, one draw a gate shared by the whole mini-batch, and dropout masks. */
import { pipe } from 'fp-ts/lib/function.js'
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import * as S from 'fp-ts/lib/State.js'
import { layerName, type EncoderConfig } from './encoderConfig.js'
import type { Tokens } from './layers/embeddings.js'
import type { Adapters } from './lowRank.js'
import { dropoutMask, uniform, type Seed } from './random.js'
import type { Shape } from './shape.js'
import type { Tensors } from './tensor.js'

export interface Noise {
  /** u by module, each [r], from (0, 1). */
  readonly gates: Tensors
  /** Dropout masks by site, each value 0 or 1 / (1 − p); a site that is absent has no dropout. */
  readonly dropout: Tensors
}

/** u for each gate. */
export const drawGateNoise = (adapters: Adapters): S.State<Seed, Tensors> =>
  pipe(
    adapters,
    R.traverse(S.Applicative)(({ logTheta }) => uniform(logTheta.shape)),
  )

interface Site {
  readonly shape: Shape
  readonly probability: number
}

/** Where an encoder drops values out, the shape there and how often. */
export const dropoutSites = (config: EncoderConfig, { inputIds }: Tokens): Readonly<Record<string, Site>> => {
  const lengths = inputIds.map((ids) => ids.length)
  const tokens = lengths.reduce((total, n) => total + n, 0)
  const longest = Math.max(...lengths)
  const hidden: Site = { shape: [tokens, config.hiddenSize], probability: config.hiddenDropout }
  const pooled: Site = { shape: [lengths.length, config.hiddenSize], probability: config.headDropout }
  const weights: Site = {
    shape: [lengths.length, config.heads, longest, longest],
    probability: config.attentionDropout,
  }
  const names = Array.from({ length: config.layers }, (_, n) => layerName(n))
  const layers = names.flatMap(
    (layer): ReadonlyArray<readonly [string, Site]> => [
      [`${layer}.attention.probabilities`, weights],
      [`${layer}.attention.output`, hidden],
      [`${layer}.output`, hidden],
    ],
  )
  return {
    embeddings: hidden,
    ...Object.fromEntries(layers),
    'head.input': pooled,
    ...(config.family === 'roberta' ? { 'head.hidden': pooled } : {}),
  }
}

/** A mask for each site whose probability is not 0. */
export const drawDropout = (config: EncoderConfig, batch: Tokens): S.State<Seed, Tensors> =>
  pipe(
    dropoutSites(config, batch),
    R.filter(({ probability }) => probability > 0),
    R.traverse(S.Applicative)(({ shape, probability }) => dropoutMask(shape, probability)),
  )

/** All the noise of one step. Draw it anew for each step. */
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
