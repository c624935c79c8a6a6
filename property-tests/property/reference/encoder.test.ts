import { describe, expect, it } from 'vitest'
import {
  adaptedModules,
  adapterParameterCount,
  applyIncrement,
  baseShapes,
  encoder,
  erf,
  filled,
  foldGates,
  gateCount,
  headShapes,
  increment,
  mergeAdapters,
  multiply,
  named,
  normal,
  openGates,
  sampleGate,
  adapterScale,
  selectColumns,
  selectRows,
  slice,
  stackRows,
  sum,
  tensor,
  type EncoderConfig,
  type Factors,
  type Tensor,
  type Tensors,
} from '../../../reference/index.js'
import { tiny, type Tiny, type TinyOptions } from '../../support/arbitraries/encoders.js'
import { assertClose } from '../../support/assertClose.js'
import { directional, gradient } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const families = ['roberta', 'bert'] as const
const classification = { taskType: 'classification', seed: SEED } as const
const close = { relative: 1e-12, absolute: 1e-13 }

const gatesOf = ({ settings, parameters, noise }: Tiny): Tensors =>
  Object.fromEntries(
    Object.entries(parameters.adapters).map(([name, { logTheta }]) => [name, sampleGate(settings)(logTheta, named(noise.gates, name))]),
  )

const operandsOf = (model: Tiny) => ({
  base: model.base,
  adapters: model.parameters.adapters,
  head: model.parameters.head,
  gates: gatesOf(model),
})

const run = (model: Tiny, baseGradients = false) => encoder(model.config, { scale: adapterScale(model.settings), baseGradients })

const base: EncoderConfig = {
  ...tiny({ family: 'roberta', ...classification }).config,
  hiddenSize: 768,
  intermediateSize: 3072,
  layers: 12,
  heads: 12,
}
const large: EncoderConfig = { ...base, hiddenSize: 1024, intermediateSize: 4096, layers: 24, heads: 16 }

describe(`the adapted encoder's size`, () => {
  it("is the paper's 1.33M and 3.54M trainable parameters at r = 8, with 576 and 1,152 gates", () => {
    expect([adapterParameterCount(base, 8), adapterParameterCount(large, 8)]).toEqual([1_327_104, 3_538_944])
    expect([gateCount(base, 8), gateCount(large, 8)]).toEqual([576, 1152])
  })

  it('is the published 124,645,632 parameters of RoBERTa-base without its pooler, and 109,482,240 of BERT-base with it', () => {
    const count = (shapes: Readonly<Record<string, readonly number[]>>) =>
      Object.values(shapes).reduce((total, shape) => total + shape.reduce((size, n) => size * n, 1), 0)
    // Hugging Face: roberta-base has 124,645,632 with the pooler (590,592), so 124,055,040 without.
    expect(count(baseShapes({ ...base, vocabularySize: 50265, maxPositions: 514, tokenTypes: 1 }))).toBe(124_645_632 - 590_592)
    const bert: EncoderConfig = { ...base, family: 'bert', vocabularySize: 30522, maxPositions: 512, tokenTypes: 2, labels: 2 }
    const pooler = 768 * 768 + 768
    expect(count(baseShapes(bert)) + pooler).toBe(109_482_240)
    expect(count(headShapes(bert))).toBe(pooler + 2 * 768 + 2)
  })
})

// A batch of one-token examples: attention then returns its values, so that everything is a formula on vectors.
type Vector = readonly number[]
const dense = (weights: Tensors, name: string, x: Vector, extra?: Tensor): Vector => {
  const [weight, bias] = [named(weights, `${name}.weight`), named(weights, `${name}.bias`)]
  const entry = (i: number, j: number) => weight.data[i * x.length + j]! + (extra?.data[i * x.length + j] ?? 0)
  return [...bias.data].map((b, i) => x.reduce((total, value, j) => total + entry(i, j) * value, b))
}
const norm = (weights: Tensors, name: string, x: Vector): Vector => {
  const mean = x.reduce((a, b) => a + b, 0) / x.length
  const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length
  const [weight, bias] = [named(weights, `${name}.weight`), named(weights, `${name}.bias`)]
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * weight.data[i]! + bias.data[i]!)
}
const plus = (x: Vector, y: Vector): Vector => x.map((value, i) => value + y[i]!)
const row = (x: Tensor, i: number): Vector => [...x.data.slice(i * x.shape[1]!, (i + 1) * x.shape[1]!)]

const oneTokenLogits = (model: Tiny, example: number): Vector => {
  const {
    config,
    parameters: { head },
    batch,
  } = model
  const { adapters, gates } = operandsOf(model)
  const weights = { ...model.base, ...head }
  const adapted = (name: string, x: Vector) =>
    dense(weights, name, x, increment(adapterScale(model.settings))(adapters[name]!, gates[name]!))
  const embedded = [
    row(named(weights, 'embeddings.word_embeddings.weight'), batch.inputIds[example]![0]!),
    row(named(weights, 'embeddings.position_embeddings.weight'), config.family === 'roberta' ? 2 : 0),
    row(named(weights, 'embeddings.token_type_embeddings.weight'), batch.tokenTypeIds?.[example]?.[0] ?? 0),
  ].reduce(plus)
  const hidden = Array.from({ length: config.layers }, (_, n) => `encoder.layer.${n}`).reduce(
    (x, layer) => {
      const attended = adapted(`${layer}.attention.output.dense`, adapted(`${layer}.attention.self.value`, x))
      const middle = norm(weights, `${layer}.attention.output.LayerNorm`, plus(x, attended))
      const up = adapted(`${layer}.intermediate.dense`, middle).map((value) => (value / 2) * (1 + erf(value / Math.SQRT2)))
      return norm(weights, `${layer}.output.LayerNorm`, plus(middle, adapted(`${layer}.output.dense`, up)))
    },
    norm(weights, 'embeddings.LayerNorm', embedded),
  )
  const [first, second] =
    config.family === 'roberta' ? (['classifier.dense', 'classifier.out_proj'] as const) : (['pooler.dense', 'classifier'] as const)
  return dense(weights, second, dense(weights, first, hidden).map(Math.tanh))
}

describe.each(families)(`the %s encoder's values (seed ${SEED})`, (family) => {
  it('are those of the formula when every example is one token long', () => {
    const model = tiny({ family, ...classification, lengths: [1, 1, 1] })
    const { logits } = run(model)(operandsOf(model), model.batch)
    model.batch.inputIds.forEach((_, example) =>
      assertClose(row(logits, example), oneTokenLogits(model, example), { ...close, name: 'logits' }),
    )
  })

  it('do not depend on the other examples of the batch', () => {
    const model = tiny({ family, ...classification, lengths: [3, 1, 5, 2] })
    const together = run(model)(operandsOf(model), model.batch)
    const { inputIds, tokenTypeIds } = model.batch
    const alone = inputIds.map((ids, example) =>
      run(model)(operandsOf(model), { inputIds: [ids], ...(tokenTypeIds ? { tokenTypeIds: [tokenTypeIds[example]!] } : {}) }),
    )
    assertClose(stackRows(alone.map(({ logits }) => logits)).data, together.logits.data, { ...close, name: 'logits' })
    assertClose(stackRows(alone.map(({ hidden }) => hidden)).data, together.hidden.data, { ...close, name: 'hidden states' })
  })

  it("read the position table from the family's first position to the end of the text", () => {
    const model = tiny({ family, ...classification, lengths: [3] })
    const logits = (position: number) => {
      const name = 'embeddings.position_embeddings.weight'
      const table = named(model.base, name)
      const moved = tensor(
        table.shape,
        table.data.map((value, i) => (i === position * 4 ? value + 1 : value)),
      )
      return [...run(model)({ ...operandsOf(model), base: { ...model.base, [name]: moved } }, model.batch).logits.data]
    }
    const untouched = [...run(model)(operandsOf(model), model.batch).logits.data]
    const read = Array.from({ length: 8 }, (_, position) => position).filter((position) =>
      logits(position).some((x, i) => x !== untouched[i]),
    )
    expect(read).toEqual(family === 'roberta' ? [2, 3, 4] : [0, 1, 2])
  })

  it('do not change when tokens are exchanged in a model without positions', () => {
    const model = tiny({ family, ...classification, lengths: [4] })
    const name = 'embeddings.position_embeddings.weight'
    const operands = { ...operandsOf(model), base: { ...model.base, [name]: filled(named(model.base, name).shape, 0) } }
    const ids = [1, 4, 6, 3]
    const [before, after] = [ids, [1, 6, 3, 4]].map((order) => run(model)(operands, { inputIds: [order] }))
    assertClose(after!.logits.data, before!.logits.data, { ...close, name: 'logits' })
    assertClose(slice(after!.hidden, [1, 0], [2, 4]).data, slice(before!.hidden, [2, 0], [3, 4]).data, {
      ...close,
      name: 'hidden state of token 6',
    })
  })

  it('are those of the merged weights, without adapters', () => {
    const model = tiny({ family, ...classification })
    const operands = operandsOf(model)
    const merged = mergeAdapters(adapterScale(model.settings))(operands)
    const dropoutToo = model.noise.dropout
    assertClose(
      run(model)({ base: merged, adapters: {}, gates: {}, head: operands.head }, model.batch, dropoutToo).logits.data,
      run(model)(operands, model.batch, dropoutToo).logits.data,
      { ...close, name: 'logits' },
    )
  })

  it('equal those of the triplets with open gates only, their gates folded into B', () => {
    const model = tiny({ family, ...classification, rank: 3, s: [0.4, -0.05, 1.04, -0.07, -0.03, 0.9, -0.04] })
    const operands = operandsOf(model)
    const open = (g: Tensor) => [...g.data.keys()].filter((j) => g.data[j]! > 0)
    const pruned: Readonly<Record<string, Factors>> = Object.fromEntries(
      Object.entries(operands.adapters)
        .map(([name, factors]) => [name, foldGates(factors, named(operands.gates, name)), open(named(operands.gates, name))] as const)
        .filter(([, , indices]) => indices.length > 0)
        .map(([name, { A, B }, indices]) => [name, { A: selectRows(A, indices), B: selectColumns(B, indices) }]),
    )
    const left = Object.values(pruned).reduce((total, { A }) => total + A.shape[0]!, 0)
    expect(left).toBeLessThan(36)
    assertClose(
      run(model)({ ...operands, adapters: pruned, gates: {} }, model.batch).logits.data,
      run(model)(operands, model.batch).logits.data,
      { ...close, name: 'logits' },
    )
  })

  it('equal those of the base model when every gate is closed', () => {
    const model = tiny({ family, ...classification, s: [-0.05] })
    const operands = operandsOf(model)
    expect(Object.values(operands.gates).every((g) => g.data.every((value) => value === 0))).toBe(true)
    assertClose(run(model)(operands, model.batch).logits.data, run(model)({ ...operands, adapters: {} }, model.batch).logits.data, close)
  })

  it('change with each dropout mask, at the site of its name', () => {
    const model = tiny({ family, ...classification })
    const operands = operandsOf(model)
    const without = run(model)(operands, model.batch).logits
    Object.entries(model.noise.dropout).forEach(([site, mask]) => {
      const identityMask = run(model)(operands, model.batch, { [site]: filled(mask.shape, 1) }).logits
      expect(identityMask, site).toEqual(without)
      const halved = run(model)(operands, model.batch, {
        [site]: tensor(
          mask.shape,
          mask.data.map((_, i) => (i % 2 === 0 ? 2 : 0.5)),
        ),
      }).logits
      expect(
        halved.data.some((value, i) => Math.abs(value - without.data[i]!) > 1e-6),
        site,
      ).toBe(true)
    })
  })
})

const wirings: readonly (readonly [string, Omit<TinyOptions, 'seed'>])[] = families.flatMap((family) =>
  (['classification', 'regression'] as const).flatMap((taskType) =>
    (['gelu', 'gelu_tanh'] as const).map(
      (activation) => [`${family}, ${taskType}, ${activation}`, { family, taskType, activation }] as const,
    ),
  ),
)
const corners: typeof wirings = [
  ['r = 1, one token, batch 1', { family: 'roberta', taskType: 'classification', rank: 1, lengths: [1] }],
  ['a class for each token, BERT', { family: 'bert', taskType: 'tokens' }],
  ['a class for each token, RoBERTa', { family: 'roberta', taskType: 'tokens', lengths: [2, 4] }],
  ['all gates shut', { family: 'bert', taskType: 'classification', s: [-0.05], layers: 1 }],
  ['all gates open', { family: 'roberta', taskType: 'regression', s: [1.05], layers: 1 }],
]

describe(`the encoder's gradients (seed ${SEED})`, () => {
  it.each([...wirings, ...corners])('are those of finite differences, for the base tensors too: %s', (_, settings) => {
    const model = tiny({ ...settings, seed: SEED })
    const operands = operandsOf(model)
    const [logitsBar] = normal([model.batch.labels.length, model.config.labels])(SEED)
    const forward = (changed: typeof operands) => sum(multiply(logitsBar, run(model)(changed, model.batch, model.noise.dropout).logits))
    const gradients = run(model, true)(operands, model.batch, model.noise.dropout).pullback(logitsBar)
    const bound = { relative: 1e-7, absolute: 1e-9 }

    // Every entry of every gate; one random direction of each larger tensor.
    Object.entries(operands.gates).forEach(([name, g]) =>
      assertClose(
        named(gradients.gates, name).data,
        gradient((x) => forward({ ...operands, gates: { ...operands.gates, [name]: x } }), g).data,
        { ...bound, name: `gradient of g of ${name}` },
      ),
    )
    const along = (name: string, x: Tensor, actual: Tensor, put: (x: Tensor) => typeof operands) => {
      const [direction] = normal(x.shape)(SEED + name.length)
      assertClose([sum(multiply(actual, direction))], [directional((y) => forward(put(y)), x, direction)], {
        ...bound,
        name: `gradient of ${name}`,
      })
    }
    Object.entries(operands.adapters).forEach(([name, adapter]) =>
      (['A', 'B'] as const).forEach((factor) =>
        along(`${name}.${factor}`, adapter[factor], gradients.adapters[name]![factor], (x) => ({
          ...operands,
          adapters: { ...operands.adapters, [name]: { ...adapter, [factor]: x } },
        })),
      ),
    )
    Object.entries(operands.head).forEach(([name, x]) =>
      along(name, x, named(gradients.head, name), (y) => ({ ...operands, head: { ...operands.head, [name]: y } })),
    )
    Object.entries(operands.base).forEach(([name, x]) =>
      along(name, x, named(gradients.base, name), (y) => ({ ...operands, base: { ...operands.base, [name]: y } })),
    )
  })

  it('leave out the frozen base model by default', () => {
    const model = tiny({ family: 'bert', ...classification })
    const gradients = run(model)(operandsOf(model), model.batch).pullback(filled([3, 3], 1))
    expect(Object.keys(gradients.base)).toEqual([])
    expect(Object.keys(gradients.head)).toEqual(Object.keys(model.parameters.head))
    expect(Object.keys(gradients.adapters).sort()).toEqual([...adaptedModules(model.config)].sort())
  })

  it('are those of the low-rank increment, equation (5), for an adapted module', () => {
    const model = tiny({ family: 'roberta', ...classification, layers: 1 })
    const [factors] = Object.values(model.parameters.adapters)
    const x = normal([2, factors!.A.shape[1]!])(SEED)[0]
    expect(applyIncrement(2)(factors!, openGates(factors!), x).shape).toEqual([2, factors!.B.shape[0]])
  })

  it('refuse a text without tokens, one that is too long, and a tensor that is absent', () => {
    const model = tiny({ family: 'roberta', ...classification })
    const operands = operandsOf(model)
    expect(() => run(model)(operands, { inputIds: [[1], []] })).toThrow(
      'embeddings: expected at least one token in each example, got none in example 1',
    )
    expect(() => run(model)(operands, { inputIds: [[1, 1, 1, 1, 1, 1, 1]] })).toThrow(
      'embeddings: expected at most 6 tokens, got 7 in example 0',
    )
    expect(() => run(model)({ ...operands, head: {} }, model.batch)).toThrow('expected a tensor called classifier.dense.weight')
  })
})
