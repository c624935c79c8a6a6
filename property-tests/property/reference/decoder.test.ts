/** The reference's decoder: its size is the published one, its values are the formulas', its gradients those of finite differences. */
import { describe, expect, it } from 'vitest'
import {
  add,
  causalAttention,
  causalAttentionVjp,
  causalLoss,
  causalLossVjp,
  decoder,
  decoderModules,
  decoderModuleShape,
  decoderShapes,
  filled,
  frequencies,
  multiply,
  named,
  normal,
  rmsNorm,
  rmsNormVjp,
  rotate,
  slice,
  sum,
  tensor,
  type DecoderConfig,
  type Factors,
  type Tensor,
  type Tensors,
} from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'
import { assertVjp, directional, gradient } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const llama7B: DecoderConfig = {
  family: 'decoder',
  vocabularySize: 32_000,
  hiddenSize: 4096,
  layers: 32,
  heads: 32,
  keyValueHeads: 32,
  headSize: 128,
  intermediateSize: 11_008,
  rmsNormEpsilon: 1e-6,
  rotaryBase: 10_000,
  rotaryScaling: null,
  localRotary: null,
  windows: [],
  biases: { queryKeyValue: false, attentionOutput: false, feedForward: false },
  outputNorms: false,
  normOffset: 0,
  activation: 'silu',
  embeddingScale: 1,
  scoreScale: null,
  scoreCap: null,
  logitCap: null,
  queryKeyNorms: false,
  tied: false,
  taskType: 'causal',
}

const small: DecoderConfig = {
  ...llama7B,
  vocabularySize: 9,
  hiddenSize: 6,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headSize: 2,
  intermediateSize: 5,
}

/** Four norms with an offset, GELU, scales, soft caps, and a window with a rotation of its own in the first layer. */
const gemma: DecoderConfig = {
  ...small,
  headSize: 4,
  tied: true,
  windows: [2, null],
  localRotary: { rotaryBase: 50, rotaryScaling: null },
  outputNorms: true,
  normOffset: 1,
  queryKeyNorms: true,
  activation: 'gelu_pytorch_tanh',
  embeddingScale: Math.sqrt(6),
  scoreScale: 0.4,
  scoreCap: 2,
  logitCap: 3,
}

const hash = (text: string): number => [...text].reduce((total, letter) => (Math.imul(total, 31) + letter.charCodeAt(0)) >>> 0, 7)
const random = (shape: readonly number[], name: string): Tensor => normal(shape, 0.4)(SEED + hash(name))[0]

const modelOf = (config: DecoderConfig, rank = 2) => {
  const base: Tensors = Object.fromEntries(
    Object.entries(decoderShapes(config)).map(([name, shape]) => [
      name,
      name.includes('norm') ? add(random(shape, name), filled(shape, 1)) : random(shape, name),
    ]),
  )
  const adapters: Readonly<Record<string, Factors>> = Object.fromEntries(
    decoderModules(config).map((module) => {
      const [d, k] = decoderModuleShape(config, module)
      return [module, { A: random([rank, k], `${module}A`), B: random([d, rank], `${module}B`) }]
    }),
  )
  const gates: Tensors = Object.fromEntries(decoderModules(config).map((module) => [module, tensor([rank], [0.3, 1, 0.7].slice(0, rank))]))
  return { base, adapters, gates, head: {} }
}
const close = { relative: 1e-12, absolute: 1e-13 }

describe("the decoder's size", () => {
  it('is the published 6,738,415,616 parameters of LLaMA-7B, and at r = 8 19,988,480 in adapters with 1,792 gates', () => {
    const count = Object.values(decoderShapes(llama7B)).reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)
    expect(count).toBe(6_738_415_616)
    const adapters = decoderModules(llama7B).map((module) => decoderModuleShape(llama7B, module))
    expect(adapters.reduce((total, [d, k]) => total + 8 * (d + k), 0)).toBe(19_988_480)
    expect(8 * adapters.length).toBe(1792)
  })

  it('is the published 1,100,048,384 parameters of TinyLlama with its four heads of keys and values, 134,515,008 of SmolLM2-135M, tied', () => {
    const count = (config: DecoderConfig) =>
      Object.values(decoderShapes(config)).reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)
    expect(count({ ...llama7B, hiddenSize: 2048, layers: 22, keyValueHeads: 4, headSize: 64, intermediateSize: 5632 })).toBe(1_100_048_384)
    const smol = {
      vocabularySize: 49_152,
      hiddenSize: 576,
      layers: 30,
      heads: 9,
      keyValueHeads: 3,
      headSize: 64,
      intermediateSize: 1536,
      tied: true,
    }
    expect(count({ ...llama7B, ...smol })).toBe(134_515_008)
  })
})

describe('rotary embedding', () => {
  const settings = { headSize: 4, base: 100, scaling: null }

  it('rotates the pairs of a head by p θ^(−2j/headSize): by hand for p = 3', () => {
    const [slow, x] = [3 / 10, [1, 2, 3, 4]]
    const expected = [
      x[0]! * Math.cos(3) - x[2]! * Math.sin(3),
      x[1]! * Math.cos(slow) - x[3]! * Math.sin(slow),
      x[2]! * Math.cos(3) + x[0]! * Math.sin(3),
      x[3]! * Math.cos(slow) + x[1]! * Math.sin(slow),
    ]
    assertClose(rotate(settings, [3])(tensor([1, 4], x)).data, expected, close)
  })

  it('makes products of a query and a key depend only on the distance of their positions', () => {
    const [query, key] = [random([1, 8], 'q'), random([1, 8], 'k')]
    const product = (p: number, q: number) => sum(multiply(rotate(settings, [p])(query), rotate(settings, [q])(key)))
    assertClose([product(105, 102), product(3, 0)], [product(9, 6), product(9, 6)], { relative: 1e-10 })
    expect(product(9, 6)).not.toBeCloseTo(product(9, 5), 6)
  })

  it('is inverted by its vjp', () => {
    const x = random([3, 8], 'x')
    assertClose(rotate(settings, [0, 5, 11], -1)(rotate(settings, [0, 5, 11])(x)).data, x.data, close)
  })

  it('is slower by the factor with linear scaling, and only for long wavelengths with Llama 3 scaling', () => {
    const omega = frequencies({ headSize: 128, base: 500_000, scaling: null })
    const linear = frequencies({ headSize: 128, base: 500_000, scaling: { kind: 'linear', factor: 4 } })
    assertClose(
      linear,
      omega.map((w) => w / 4),
      close,
    )
    const llama3 = frequencies({
      headSize: 128,
      base: 500_000,
      scaling: { kind: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 8192 },
    })
    const waves = omega.map((w) => (8192 * w) / (2 * Math.PI))
    omega.forEach((w, j) => {
      const [n, scaled] = [waves[j]!, llama3[j]!]
      if (n >= 4) expect(scaled).toBe(w)
      else if (n <= 1) expect(scaled).toBe(w / 8)
      else expect(scaled).toBeCloseTo(w * (1 / 8 + (7 / 8) * ((n - 1) / 3)), 12)
    })
    expect(waves.some((n) => n > 1 && n < 4)).toBe(true)
  })

  it('refuses an odd head size', () => {
    expect(() => frequencies({ headSize: 3, base: 10, scaling: null })).toThrow('frequencies: expected an even head size, got 3')
  })
})

describe('the layers of a decoder', () => {
  const attention = { heads: 4, keyValueHeads: 2, headSize: 2, scale: null, cap: null, lengths: [3, 1, 2], window: null }
  const inputs = { query: random([6, 8], 'query'), key: random([6, 4], 'key'), value: random([6, 4], 'value') }

  it('give the first token its own value in attention, and the last token a mean of all visible values', () => {
    const context = causalAttention(attention)(inputs)
    const [q, k, v] = [inputs.query, inputs.key, inputs.value]
    // heads 0 and 1 read columns 0 and 1 of the values, heads 2 and 3 columns 2 and 3
    const first = [0, 1, 0, 1, 2, 3, 2, 3].map((column) => v.data[column]!)
    assertClose(slice(context, [0, 0], [1, 8]).data, first, close)
    const scores = [0, 1, 2].map((j) => (q.data[2 * 8 + 6]! * k.data[j * 4 + 2]! + q.data[2 * 8 + 7]! * k.data[j * 4 + 3]!) / Math.sqrt(2))
    const total = scores.reduce((a, s) => a + Math.exp(s), 0)
    const mean = scores.reduce((a, s, j) => a + (Math.exp(s) / total) * v.data[j * 4 + 2]!, 0)
    expect(context.data[2 * 8 + 6]).toBeCloseTo(mean, 12)
  })

  it('give a window of one token its own value, and a window of two the last two values', () => {
    const alone = causalAttention({ ...attention, window: 1 })(inputs)
    assertClose(
      alone.data,
      [0, 1, 2, 3, 4, 5].flatMap((t) => [0, 1, 0, 1, 2, 3, 2, 3].map((c) => inputs.value.data[4 * t + c]!)),
      close,
    )
    const [two, all] = [2, null].map((window) => causalAttention({ ...attention, window })(inputs))
    assertClose(slice(two!, [0, 0], [2, 8]).data, slice(all!, [0, 0], [2, 8]).data, close)
    expect(two!.data[2 * 8]).not.toBeCloseTo(all!.data[2 * 8]!, 6)
  })

  it('have the gradients of finite differences', () => {
    const bounded = { ...attention, scale: 0.9, cap: 0.5 }
    for (const window of [null, 2])
      assertVjp({
        name: `causal attention, window ${window}`,
        forward: ({ query, key, value }) => causalAttention({ ...attention, window })({ query: query!, key: key!, value: value! }),
        vjp: ({ query, key, value }, yBar) => ({
          ...causalAttentionVjp({ ...attention, window })({ query: query!, key: key!, value: value! }, yBar),
        }),
        inputs,
        yBar: random([6, 8], 'ȳ'),
      })
    assertVjp({
      name: 'causal attention, scale and cap',
      forward: ({ query, key, value }) => causalAttention(bounded)({ query: query!, key: key!, value: value! }),
      vjp: ({ query, key, value }, yBar) => ({ ...causalAttentionVjp(bounded)({ query: query!, key: key!, value: value! }, yBar) }),
      inputs,
      yBar: random([6, 8], 'ȳ'),
    })
    assertVjp({
      name: 'rmsNorm',
      forward: ({ x, weight }) => rmsNorm(1e-3)(x!, weight!),
      vjp: ({ x, weight }, yBar) => rmsNormVjp(1e-3)(x!, weight!, yBar),
      inputs: { x: random([3, 5], 'x'), weight: random([5], 'w') },
      yBar: random([3, 5], 'ȳ'),
    })
    const [logits, labels] = [random([4, 3], 'logits'), [2, -100, 0, -100]]
    assertClose(causalLossVjp(logits, labels, 1).data, gradient((x) => causalLoss(x, labels), logits).data, {
      relative: 1e-8,
      absolute: 1e-10,
    })
  })

  it('average the loss over tokens with a label, and require at least one', () => {
    const even = filled([3, 4], 0)
    expect(causalLoss(even, [-100, 3, 1])).toBeCloseTo(Math.log(4), 12)
    expect(() => causalLoss(even, [-100, -100, -100])).toThrow('causalLoss: expected at least one token with a label, got none')
    expect(() => causalLoss(even, [1])).toThrow('causalLoss: expected a label for each of 3 tokens, got 1')
  })
})

describe('the decoder', () => {
  const inputIds = [[3, 1, 4], [1], [5, 8]]
  const variants: readonly (readonly [string, DecoderConfig])[] = [
    ['grouped heads', small],
    ['as many heads of keys', { ...small, keyValueHeads: 4, tied: true }],
    ['everything of Gemma', gemma],
    ['norms of queries and keys', { ...small, headSize: 4, queryKeyNorms: true }],
    [
      'one head of keys, biases, a window',
      { ...small, keyValueHeads: 1, windows: [2, 2], biases: { queryKeyValue: true, attentionOutput: true, feedForward: true } },
    ],
    [
      'scaled rotation',
      { ...small, rotaryScaling: { kind: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64 } },
    ],
    [
      "YaRN's rotation",
      {
        ...{ ...small, headSize: 4 },
        rotaryScaling: { kind: 'yarn', factor: 4, betaFast: 3, betaSlow: 1, originalPositions: 30, truncate: false, attentionFactor: 1.2 },
      },
    ],
  ]

  it('hides later tokens and other examples from each token', () => {
    const operands = modelOf(small)
    const run = (ids: readonly (readonly number[])[]) => decoder(small, { scale: 1.5 })(operands, { inputIds: ids }).logits
    const full = run(inputIds)
    assertClose(run([[3, 1]]).data, slice(full, [0, 0], [2, 9]).data, close)
    assertClose(run([[5, 8]]).data, slice(full, [4, 0], [6, 9]).data, close)
    expect(run([[3, 2, 4]]).data[2 * 9]).not.toBeCloseTo(full.data[2 * 9]!, 6)
  })

  it('returns normalized embeddings times the output matrix if its layers add nothing', () => {
    const operands = modelOf({ ...small, tied: true })
    const silent = Object.fromEntries(
      Object.entries(operands.base).map(([name, x]) => [name, /o_proj|down_proj/.test(name) ? filled(x.shape, 0) : x]),
    )
    const table = named(silent, 'embed_tokens.weight')
    const x = [...table.data.slice(3 * 6, 4 * 6)]
    const root = Math.sqrt(x.reduce((total, value) => total + value * value, 0) / 6 + 1e-6)
    const normed = x.map((value, i) => (value / root) * named(silent, 'norm.weight').data[i]!)
    const expected = Array.from({ length: 9 }, (_, word) =>
      normed.reduce((total, value, i) => total + value * table.data[word * 6 + i]!, 0),
    )
    const { logits } = decoder({ ...small, tied: true }, { scale: 1 })({ ...operands, base: silent, adapters: {} }, { inputIds: [[3]] })
    assertClose(logits.data, expected, close)
  })

  it.each(variants)('has the gradients of finite differences, for every tensor: %s', (_, config) => {
    const operands = modelOf(config)
    const logitsBar = random([6, 9], 'ȳ')
    const forward = (changed: typeof operands) => sum(multiply(logitsBar, decoder(config, { scale: 1.5 })(changed, { inputIds }).logits))
    const gradients = decoder(config, { scale: 1.5, baseGradients: true })(operands, { inputIds }).pullback(logitsBar)
    const bound = { relative: 1e-7, absolute: 1e-8 }
    const along = (name: string, x: Tensor, actual: Tensor, put: (x: Tensor) => typeof operands) => {
      const direction = random(x.shape, `along ${name}`)
      assertClose([sum(multiply(actual, direction))], [directional((y) => forward(put(y)), x, direction)], { ...bound, name })
    }
    for (const [name, x] of Object.entries(operands.base))
      along(name, x, named(gradients.base, name), (y) => ({ ...operands, base: { ...operands.base, [name]: y } }))
    for (const [name, adapter] of Object.entries(operands.adapters)) {
      for (const factor of ['A', 'B'] as const)
        along(`${name}.${factor}`, adapter[factor], gradients.adapters[name]![factor], (x) => ({
          ...operands,
          adapters: { ...operands.adapters, [name]: { ...adapter, [factor]: x } },
        }))
      const g = named(operands.gates, name)
      along(`${name}.g`, g, named(gradients.gates, name), (x) => ({ ...operands, gates: { ...operands.gates, [name]: x } }))
    }
  })
})
