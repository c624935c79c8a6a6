import { beforeAll } from 'vitest'
import type { Weights } from '../../../../accelerated/formats/adapter.js'
import { loadLowRank } from '../../../../accelerated/formats/peft/loadPeft.js'
import type { LowRankAdapter, LowRankPair } from '../../../../accelerated/formats/peft/peft.js'
import type { Model } from '../../../../accelerated/models/architecture.js'
import { encoderModel } from '../../../../accelerated/models/bert/bert.js'
import type { EncoderConfig } from '../../../../accelerated/models/bert/config.js'
import type { ModelOutputs } from '../../../../accelerated/models/modelOutputs.js'
import { temporaryFolder } from '../../../support/temporaryFolder.js'

/** The folder of the test file that runs; it holds one adapter at a time. */
export const place = { folder: '' }
/** Makes the folder before a file's tests and removes it after them. Each file calls it. */
export const usePlace = (): void => {
  const { folder } = temporaryFolder('peft')
  beforeAll(() => {
    place.folder = folder
  })
}

export const sizes: EncoderConfig = {
  ...{ family: 'roberta', vocabularySize: 11, hiddenSize: 4, embeddingSize: 4, layers: 1, heads: 2, intermediateSize: 6 },
  ...{ maxPositions: 9, tokenTypes: 1, layerNormEpsilon: 1e-5, activation: 'gelu', paddingIndex: 1, hiddenDropout: 0.1 },
  ...{ attentionDropout: 0.1, headDropout: 0.1 },
}
export const roberta = encoderModel(sizes)
export const bert = encoderModel({ ...sizes, family: 'bert', tokenTypes: 2, paddingIndex: 0 })
export const twoClasses: ModelOutputs = { head: 'sequence', labels: 2, problemType: 'single_label_classification' }

/** Numbers that differ everywhere, so that a mix-up shows. */
export const weights = (shape: readonly number[], from: number): Weights => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => from + i / 64),
})

export const headOf = (model: Model, labels = 2, keep: (name: string) => boolean = () => true): ReadonlyMap<string, Weights> =>
  new Map([...model.sequenceHead(labels).tensors].filter(([name]) => keep(name)).map(([name, shape], i) => [name, weights(shape, 100 + i)]))

/** An adapter whose modules, in layer order, have these ranks. */
export const adapterOf = (model: Model, ranks: readonly number[], others: Partial<LowRankAdapter> = {}): LowRankAdapter => ({
  model,
  outputs: twoClasses,
  baseModelName: 'me/model',
  rank: 8,
  alpha: 16,
  modules: new Map(
    model.spec.matrices.flatMap(({ name, d, k }, i): readonly [string, LowRankPair][] => {
      const r = ranks[i]
      return r === undefined ? [] : [[name, { A: weights([r, k], 2 * i), B: weights([d, r], 2 * i + 1) }]]
    }),
  ),
  head: headOf(model),
  ...others,
})

/** For a model whose own configuration says two classes. */
export const load = (model: Model) => loadLowRank(place.folder, model, twoClasses)
