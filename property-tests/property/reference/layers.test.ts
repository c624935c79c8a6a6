import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  attention,
  attentionVjp,
  crossEntropy,
  crossEntropyVjp,
  softCrossEntropy,
  softCrossEntropyVjp,
  dropout,
  dropoutVjp,
  embedding,
  embeddingVjp,
  erf,
  erfc,
  filled,
  gelu,
  geluVjp,
  generate,
  layerNorm,
  layerNormVjp,
  linear,
  linearBiasVjp,
  linearInputVjp,
  linearWeightVjp,
  meanSquaredError,
  meanSquaredErrorVjp,
  multiply,
  rowMeans,
  rowSums,
  scaledLinear,
  slice,
  softmax,
  softmaxVjp,
  tensor,
  type Tensor,
  type Tensors,
} from '../../../reference/index.js'
import { length } from '../../support/arbitraries/shapes.js'
import { number, tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { assertVjp } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 40 }
const matrixAndBar = fc.tuple(length(), length()).chain((shape) => fc.tuple(tensorOf(shape), tensorOf(shape)))
const scalar = (x: number): Tensor => tensor([1], [x])

describe(`linear layers and embeddings (seed ${SEED})`, () => {
  it('compute W x + bias', () => {
    expect(linear(tensor([1, 2], [1, 2]), tensor([3, 2], [1, 0, 0, 1, 1, 1]), tensor([3], [10, 20, 30])).data).toEqual(
      Float64Array.of(11, 22, 33),
    )
  })

  it('have the gradients of their finite differences', () => {
    const cases = fc.tuple(length(), length(), length()).chain(([n, input, out]) =>
      fc.record({
        x: tensorOf([n, input]),
        weight: tensorOf([out, input]),
        bias: tensorOf([out]),
        yBar: tensorOf([n, out]),
      }),
    )
    fc.assert(
      fc.property(cases, ({ x, weight, bias, yBar }) =>
        assertVjp({
          name: 'linear',
          inputs: { x, weight, bias },
          yBar,
          forward: (i) => linear(i['x']!, i['weight']!, i['bias']!),
          vjp: (i, bar) => ({ x: linearInputVjp(i['weight']!, bar), weight: linearWeightVjp(i['x']!, bar), bias: linearBiasVjp(bar) }),
        }),
      ),
      options,
    )
  })

  it.each(['input', 'output'] as const)(
    "have the %s scaled by IA³'s vector, bias included, with the gradients of finite differences",
    (scales) => {
      const [weight, bias] = [tensor([2, 3], [1, 2, -1, 0.5, -3, 4]), tensor([2], [10, 20])]
      const layer = (l: Tensor) =>
        scaledLinear(
          (x) => ({ value: linear(x, weight, bias), pullback: (bar) => ({ x: linearInputVjp(weight, bar), gradients: {} }) }),
          { l, scales },
          'module.l',
        )
      const inputs = {
        x: tensor([2, 3], [1, 1, 1, 2, -1, 0.5]),
        l: scales === 'input' ? tensor([3], [3, 0.5, -2]) : tensor([2], [3, -0.5]),
      }
      const first = scales === 'input' ? [3 + 1 + 2 + 10, 1.5 - 1.5 - 8 + 20] : [3 * (2 + 10), -0.5 * (1.5 + 20)] // x = (1, 1, 1)
      assertClose(layer(inputs.l)(inputs.x).value.data.slice(0, 2), first, { relative: 1e-14 })
      assertVjp({
        name: `scaled ${scales}`,
        inputs,
        yBar: tensor([2, 2], [1, -2, 0.5, 3]),
        forward: ({ x, l }) => layer(l!)(x!).value,
        vjp: ({ x, l }, bar) => {
          const { x: xBar, gradients } = layer(l!)(x!).pullback(bar)
          return { x: xBar, l: gradients['module.l']! }
        },
      })
    },
  )

  it('look up rows, and add the gradients of a row that is looked up twice', () => {
    const table = tensor([3, 2], [1, 2, 3, 4, 5, 6])
    expect(embedding(table, [2, 0, 2])).toEqual(tensor([3, 2], [5, 6, 1, 2, 5, 6]))
    assertVjp({
      name: 'embedding',
      inputs: { table },
      yBar: tensor([3, 2], [1, -2, 0.5, 3, -1, 4]),
      forward: (i) => embedding(i['table']!, [2, 0, 2]),
      vjp: (_, bar) => ({ table: embeddingVjp(3, [2, 0, 2], bar) }),
    })
  })
})

describe(`layer normalization (seed ${SEED})`, () => {
  it('gives rows of mean 0 and, up to ε, variance 1, for any scale and offset', () => {
    fc.assert(
      fc.property(number(0.5, 100), number(-50, 50), (scale, offset) => {
        const x = tensor(
          [1, 4],
          [1, -2, 0.5, 3].map((value) => scale * value + offset),
        )
        const y = layerNorm(0)(x, filled([4], 1), filled([4], 0))
        assertClose(rowMeans(y).data, [0], { relative: 0, absolute: 1e-12, name: 'mean' })
        assertClose(rowMeans(multiply(y, y)).data, [1], { relative: 1e-12, name: 'variance' })
      }),
      options,
    )
  })

  it('adds ε to the variance, and then scales and shifts', () => {
    // (1, −1) has mean 0 and variance 1; with ε = 3 it is divided by 2.
    expect(layerNorm(3)(tensor([1, 2], [1, -1]), tensor([2], [10, 10]), tensor([2], [1, 2])).data).toEqual(Float64Array.of(6, -3))
  })

  it('has the gradients of its finite differences', () => {
    const cases = fc.tuple(length(), fc.integer({ min: 2, max: 6 })).chain(([n, width]) =>
      fc.record({
        x: tensorOf([n, width]),
        weight: tensorOf([width]),
        bias: tensorOf([width]),
        yBar: tensorOf([n, width]),
      }),
    )
    fc.assert(
      fc.property(cases, ({ x, weight, bias, yBar }) =>
        assertVjp({
          name: 'layerNorm',
          inputs: { x, weight, bias },
          yBar,
          forward: (i) => layerNorm(0.5)(i['x']!, i['weight']!, i['bias']!),
          vjp: (i, bar) => ({ ...layerNormVjp(0.5)(i['x']!, i['weight']!, bar) }),
        }),
      ),
      options,
    )
  })
})

describe(`the error function and GELU (seed ${SEED})`, () => {
  it.each([
    // C's erf and erfc, by way of Python's math module
    [-6, -1.0, 2.0],
    [-3, -0.9999779095030014, 1.9999779095030015],
    [-2.5, -0.999593047982555, 1.999593047982555],
    [-1, -0.8427007929497149, 1.842700792949715],
    [-0.1, -0.1124629160182849, 1.1124629160182848],
    [1e-8, 1.1283791670955126e-8, 0.9999999887162083],
    [0.5, 0.5204998778130465, 0.4795001221869535],
    [1, 0.8427007929497149, 0.15729920705028513],
    [2, 0.9953222650189527, 0.004677734981047265],
    [2.4999, 0.9995928300996666, 0.0004071699003334514],
    [2.5001, 0.9995932657565293, 0.0004067342434706798],
    [3, 0.9999779095030014, 2.2090496998585438e-5],
    [4, 0.9999999845827421, 1.541725790028002e-8],
    [5.5, 0.9999999999999927, 7.357847917974398e-15],
  ])('agrees with the C library to float64: erf %d', (x, expected, complement) => {
    assertClose([erf(x)], [expected], { relative: 4e-16, name: 'erf' })
    assertClose([erfc(x)], [complement], { relative: 2e-14, name: 'erfc' })
  })

  it('GELU is x Φ(x): 0 at 0, x far to the right, 0 far to the left, and GELU(x) − GELU(−x) = x', () => {
    fc.assert(
      fc.property(number(-8, 8), (x) => {
        const at = (y: number) => gelu('gelu')(scalar(y)).data[0]!
        assertClose([at(x) - at(-x)], [x], { relative: 1e-14, absolute: 1e-15, name: 'gelu(x) − gelu(−x)' })
      }),
      options,
    )
    assertClose(gelu('gelu')(tensor([3], [0, 12, -12])).data, [0, 12, 0], { relative: 1e-15 })
    assertClose(gelu('gelu')(scalar(1)).data, [0.8413447460685429], { relative: 1e-15, name: 'gelu(1) = Φ(1)' })
  })

  it('the tanh approximation stays within 5e-4 of GELU', () => {
    fc.assert(
      fc.property(number(-8, 8), (x) =>
        assertClose(gelu('gelu_tanh')(scalar(x)).data, gelu('gelu')(scalar(x)).data, { relative: 0, absolute: 5e-4 }),
      ),
      options,
    )
    assertClose(gelu('gelu_tanh')(scalar(1)).data, [0.5 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * 1.044715))], { relative: 1e-15 })
  })

  it.each(['gelu', 'gelu_tanh'] as const)('%s has the gradient of its finite differences', (kind) => {
    fc.assert(
      fc.property(matrixAndBar, ([x, yBar]) =>
        assertVjp({
          name: kind,
          inputs: { x },
          yBar,
          forward: (i) => gelu(kind)(i['x']!),
          vjp: (i, bar) => ({ x: geluVjp(kind)(i['x']!, bar) }),
        }),
      ),
      options,
    )
  })
})

describe(`softmax and dropout (seed ${SEED})`, () => {
  it('softmax gives rows that add up to 1 and ignore an offset, for numbers of any size', () => {
    fc.assert(
      fc.property(matrixAndBar, number(-1000, 1000), ([x], offset) => {
        const y = softmax(
          tensor(
            x.shape,
            x.data.map((value) => value + offset),
          ),
        )
        assertClose(rowSums(y).data, new Float64Array(x.shape[0]!).fill(1), { relative: 1e-14, name: 'row sums' })
        assertClose(y.data, softmax(x).data, { relative: 1e-12, name: 'softmax' })
      }),
      options,
    )
    assertClose(softmax(tensor([1, 2], [0, Math.log(3)])).data, [0.25, 0.75], { relative: 1e-15 })
  })

  it('has the gradient of its finite differences', () => {
    fc.assert(
      fc.property(matrixAndBar, ([x, yBar]) =>
        assertVjp({
          name: 'softmax',
          inputs: { x },
          yBar,
          forward: (i) => softmax(i['x']!),
          vjp: (i, bar) => ({ x: softmaxVjp(softmax(i['x']!), bar) }),
        }),
      ),
      options,
    )
  })

  it('dropout keeps and scales what its mask keeps, and everything without a mask', () => {
    const [x, mask] = [tensor([1, 3], [1, 2, 3]), tensor([1, 3], [0, 2, 2])]
    expect(dropout(mask, x)).toEqual(tensor([1, 3], [0, 4, 6]))
    expect(dropout(undefined, x)).toBe(x)
    expect(dropoutVjp(mask, x)).toEqual(tensor([1, 3], [0, 4, 6]))
  })
})

describe(`attention (seed ${SEED})`, () => {
  const lengths = fc.array(length(4), { minLength: 1, maxLength: 3 })
  const cases = fc.tuple(lengths, length(2), length(3)).chain(([lengths, heads, width]) => {
    const tokens = lengths.reduce((total, n) => total + n, 0)
    const x = tensorOf([tokens, heads * width])
    const longest = Math.max(...lengths)
    return fc.record({
      settings: fc.record({
        heads: fc.constant(heads),
        lengths: fc.constant(lengths),
        mask: fc.option(tensorOf([lengths.length, heads, longest, longest], 0, 2), { nil: undefined }),
      }),
      query: x,
      key: x,
      value: x,
      yBar: x,
    })
  })

  it('has the gradients of its finite differences', () => {
    fc.assert(
      fc.property(cases, ({ settings, query, key, value, yBar }) =>
        assertVjp({
          name: 'attention',
          inputs: { query, key, value },
          yBar,
          forward: (i) => attention(settings)({ query: i['query']!, key: i['key']!, value: i['value']! }),
          vjp: (i, bar): Tensors => ({ ...attentionVjp(settings)({ query: i['query']!, key: i['key']!, value: i['value']! }, bar) }),
        }),
      ),
      options,
    )
  })

  it("averages only the example's own values when all scores are equal", () => {
    const value = tensor([3, 2], [1, 2, 3, 6, 100, 200])
    const even = attention({ heads: 2, lengths: [2, 1] })({ query: filled([3, 2], 0), key: value, value })
    assertClose(even.data, [2, 4, 2, 4, 100, 200], { relative: 1e-15, name: 'context' })
  })

  it("divides scores by the root of a head's width, and lets each head see its own columns", () => {
    // Two heads of width 1: head 0 scores (0, ln 3), head 1 scores (0, 0).
    const query = tensor([2, 2], [1, 0, 1, 0])
    const key = tensor([2, 2], [0, 5, Math.log(3), 7])
    const value = tensor([2, 2], [0, 0, 4, 8])
    assertClose(attention({ heads: 2, lengths: [2] })({ query, key, value }).data, [3, 4, 3, 4], { relative: 1e-15 })
    // One head of width 4 with scores 2 ln 3 / √4 = ln 3.
    const wide = tensor([2, 4], [0, 0, 0, 0, 2 * Math.log(3), 0, 0, 0])
    const context = attention({ heads: 1, lengths: [2] })({ query: tensor([2, 4], [1, 0, 0, 0, 1, 0, 0, 0]), key: wide, value: wide })
    assertClose(slice(context, [0, 0], [1, 1]).data, [0.75 * 2 * Math.log(3)], { relative: 1e-15 })
  })

  it('refuses heads that do not divide the width', () => {
    const x = filled([1, 3], 0)
    expect(() => attention({ heads: 2, lengths: [1] })({ query: x, key: x, value: x })).toThrow(
      'attention: expected heads that divide 3, got 2',
    )
  })
})

describe(`losses (seed ${SEED})`, () => {
  it('cross-entropy of equal logits is the log of the number of classes', () => {
    fc.assert(
      fc.property(length(), length(6), number(-500, 500), (batch, classes, level) =>
        assertClose(
          [
            crossEntropy(
              filled([batch, classes], level),
              Array.from({ length: batch }, (_, i) => i % classes),
            ),
          ],
          [Math.log(classes)],
          { relative: 1e-14, absolute: 1e-15, name: 'loss' },
        ),
      ),
      options,
    )
    assertClose([crossEntropy(tensor([2, 2], [0, Math.log(3), 0, Math.log(3)]), [0, 1])], [(Math.log(4) + Math.log(4 / 3)) / 2], {
      relative: 1e-14,
    })
  })

  it('mean squared error is the mean of the squared errors', () => {
    expect(meanSquaredError(tensor([2, 1], [1, 5]), [0, 2])).toBe(5)
  })

  it('have the gradients of their finite differences', () => {
    fc.assert(
      fc.property(matrixAndBar, number(), ([logits], lossBar) => {
        const labels = Array.from({ length: logits.shape[0]! }, (_, i) => (2 * i) % logits.shape[1]!)
        assertVjp({
          name: 'crossEntropy',
          inputs: { logits },
          yBar: scalar(lossBar),
          forward: (i) => scalar(crossEntropy(i['logits']!, labels)),
          vjp: (i, bar) => ({ logits: crossEntropyVjp(i['logits']!, labels, bar.data[0]!) }),
        })
        const p = generate(logits.shape, (i) => (i % 3) / 2) // no distribution, as with class weights
        assertVjp({
          name: 'softCrossEntropy',
          inputs: { logits },
          yBar: scalar(lossBar),
          forward: (i) => scalar(softCrossEntropy(i['logits']!, p, 2)),
          vjp: (i, bar) => ({ logits: softCrossEntropyVjp(i['logits']!, p, 2, bar.data[0]!) }),
        })
        const outputs = slice(logits, [0, 0], [logits.shape[0]!, 1])
        assertVjp({
          name: 'meanSquaredError',
          inputs: { outputs },
          yBar: scalar(lossBar),
          forward: (i) => scalar(meanSquaredError(i['outputs']!, labels)),
          vjp: (i, bar) => ({ outputs: meanSquaredErrorVjp(i['outputs']!, labels, bar.data[0]!) }),
        })
      }),
      options,
    )
  })

  it('refuse labels that are not a class, and outputs that are not a single number', () => {
    expect(() => crossEntropy(filled([1, 2], 0), [2])).toThrow('crossEntropy: expected labels from 0 to 1, got 2')
    expect(() => meanSquaredError(filled([1, 2], 0), [2])).toThrow('meanSquaredError: expected shape [1, 1], got [1, 2]')
  })
})
