/** The model of a configuration: published parameter counts, matrices, positions, outputs and dropout. */
import { describe, expect, it } from 'vitest'
import { elementCount } from '../../../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { encoderConfig } from '../../../../accelerated/models/bert/config.js'
import { plainHost } from '../../../../accelerated/models/host.js'
import { batchInputs } from '../../../../accelerated/models/batchInputs.js'
import { input } from '../../../../accelerated/graph/operators.js'
import type { Model } from '../../../../accelerated/models/architecture.js'
import { SEED } from '../../../support/seed.js'
import { bert, headOf, modelOf, parsed, roberta, usePlace } from './folders.js'

usePlace()

const robertaBase = {
  ...roberta,
  ...{ vocab_size: 50265, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 },
  max_position_embeddings: 514,
}
const bertBase = {
  ...bert,
  ...{ vocab_size: 30522, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 },
  max_position_embeddings: 512,
}

describe(`encoder shapes (seed ${SEED})`, () => {
  const count = (shapes: ReadonlyMap<string, readonly number[]>): number =>
    [...shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0)

  it('RoBERTa-base as a two-class classifier has the published 124,647,170 parameters', () => {
    expect(count(modelOf(robertaBase).spec.tensors) + count(headOf(robertaBase).tensors)).toBe(124_647_170)
    expect(count(headOf(robertaBase).tensors)).toBe(592_130)
  })

  it('RoBERTa-base as a masked language model has the published 124,697,433 parameters', () => {
    const { spec, maskedHead } = modelOf(robertaBase)
    expect(count(spec.tensors) + count(maskedHead?.().tensors ?? new Map())).toBe(124_697_433)
  })

  it('BERT-base with its pooler has the published 109,482,240 parameters', () => {
    const classifier = 2 * 768 + 2
    expect(count(modelOf(bertBase).spec.tensors) + count(headOf(bertBase).tensors) - classifier).toBe(109_482_240)
  })

  it('RoBERTa-base has six matrices per layer that an adapter can adapt', () => {
    const { matrices } = modelOf(robertaBase).spec
    expect(matrices).toHaveLength(12 * 6)
    expect(matrices.slice(0, 6).map(({ name }) => name)).toEqual(
      'encoder.layer.0.attention.self.query encoder.layer.0.attention.self.key encoder.layer.0.attention.self.value encoder.layer.0.attention.output.dense encoder.layer.0.intermediate.dense encoder.layer.0.output.dense'.split(
        ' ',
      ),
    )
  })

  it('RoBERTa has 512 of its 514 positions for tokens, BERT all of its 512', () => {
    expect([modelOf(robertaBase), modelOf(bertBase)].map(({ spec }) => spec.maxPositions)).toEqual([512, 512])
  })

  it("a configuration maps onto the encoder's settings", () => {
    expect(encoderConfig({ ...bert, num_labels: 1, classifier_dropout: 0.3, hidden_dropout_prob: 0.2 }, 'config.json')).toEqual({
      ...{ family: 'bert', vocabularySize: 11, hiddenSize: 4, embeddingSize: 4, layers: 2, heads: 2, intermediateSize: 6 },
      ...{ maxPositions: 9, tokenTypes: 2, layerNormEpsilon: 1e-12, activation: 'gelu_tanh', paddingIndex: 0, hiddenDropout: 0.2 },
      ...{ attentionDropout: 0.1, headDropout: 0.3 },
    })
    expect(encoderConfig(roberta, 'config.json').headDropout).toBe(0.1)
  })

  it('the outputs follow from num_labels, id2label and problem_type', () => {
    expect(parsed({ ...bert, num_labels: 1 }).outputs).toEqual({ head: 'sequence', labels: 1, problemType: 'regression' })
    expect(parsed({ ...roberta, id2label: { 0: 'a', 1: 'b', 2: 'c' } }).outputs).toEqual({
      head: 'sequence',
      labels: 3,
      problemType: 'single_label_classification',
    })
    expect(parsed({ ...roberta, num_labels: 1, problem_type: 'single_label_classification' }).outputs).toEqual({
      head: 'sequence',
      labels: 1,
      problemType: 'single_label_classification',
    })
    expect(parsed({ ...roberta, num_labels: 3, problem_type: 'regression' }).outputs).toEqual({
      head: 'sequence',
      labels: 3,
      problemType: 'regression',
    })
    expect(parsed(bert).outputs).toEqual({ head: 'sequence', labels: 2, problemType: 'single_label_classification' })
  })

  it.each<readonly [string, object, readonly string[]]>([
    ['roberta', roberta, ['head.input', 'head.hidden']],
    ['bert', bert, ['head.input']],
  ])('a %s has each dropout site of its configuration, with separate probabilities or a single one', (_, json, headSites) => {
    const sitesOf = (model: Model): Readonly<Record<string, number>> => {
      const sites: Record<string, number> = {}
      const shapes = new Map([...model.spec.tensors, ...model.sequenceHead(2).tensors])
      const host = {
        ...plainHost((name) => input(name, shapes.get(name) ?? [], 'float64')),
        dropout: (site: string, x: ReturnType<typeof input>, probability: number) => {
          sites[site] = probability
          return x
        },
      }
      model.sequenceHead(2).outputs(model.hidden(host, batchInputs('float64')), host)
      return sites
    }
    const probabilities = { hidden_dropout_prob: 0.2, attention_probs_dropout_prob: 0.4, classifier_dropout: 0.3 }
    const sites = (hidden: number, attention: number, head: number) => ({
      embeddings: hidden,
      ...Object.fromEntries(
        [0, 1].flatMap((layer) => [
          [`encoder.layer.${layer}.attention.probabilities`, attention],
          [`encoder.layer.${layer}.attention.output`, hidden],
          [`encoder.layer.${layer}.output`, hidden],
        ]),
      ),
      ...Object.fromEntries(headSites.map((site) => [site, head])),
    })
    const model = modelOf({ ...json, ...probabilities })
    expect(sitesOf(model)).toEqual(sites(0.2, 0.4, 0.3))
    expect(sitesOf(model.withDropout(0.7))).toEqual(sites(0.7, 0.7, 0.7))
  })
})
