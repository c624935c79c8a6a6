/** The reference's decoder with a table of positions: its gradients are those of finite differences, for every tensor. */
import { describe, expect, it } from 'vitest'
import {
  add,
  filled,
  gptDecoder,
  gptDecoderModules,
  multiply,
  named,
  normal,
  slice,
  sum,
  type Factors,
  type GptDecoderConfig,
  type Tensor,
  type Tensors,
} from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'
import { directional } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const names: GptDecoderConfig['names'] = {
  ...{ words: 'wte', positions: 'wpe', firstPosition: 0, layer: (n) => `h.${n}`, queryKeyValue: ['attn.c_attn'], norm: 'ln_f' },
  ...{ attentionNorm: 'ln_1', attentionOutput: 'attn.c_proj', feedForwardNorm: 'ln_2', up: 'mlp.c_fc', down: 'mlp.c_proj' },
}
const small: GptDecoderConfig = { hiddenSize: 6, layers: 2, heads: 3, layerNormEpsilon: 1e-5, activation: 'gelu_tanh', tied: true, names }
const variants: readonly (readonly [string, GptDecoderConfig])[] = [
  ['one matrix of queries, keys and values, tied', small],
  ['the exact GELU, untied', { ...small, activation: 'gelu', tied: false }],
  [
    'three matrices, ReLU, positions from 2',
    { ...small, activation: 'relu', names: { ...names, firstPosition: 2, queryKeyValue: ['q', 'k', 'v'] } },
  ],
]

const hash = (text: string): number => [...text].reduce((total, letter) => (Math.imul(total, 31) + letter.charCodeAt(0)) >>> 0, 7)
const random = (shape: readonly number[], name: string): Tensor => normal(shape, 0.4)(SEED + hash(name))[0]

const operandsOf = (config: GptDecoderConfig) => {
  const { hiddenSize: h, layers, tied } = config
  const own = config.names
  const sizes = (module: string): readonly [number, number] =>
    own.queryKeyValue.some((name) => module.endsWith(`.${name}`))
      ? [(3 * h) / own.queryKeyValue.length, h]
      : module.endsWith(own.up)
        ? [5, h]
        : module.endsWith(own.down)
          ? [h, 5]
          : [h, h]
  const modules = gptDecoderModules(config)
  const norms = Array.from({ length: layers }, (_, n) => [own.attentionNorm, own.feedForwardNorm].map((name) => `${own.layer(n)}.${name}`))
  const base: Tensors = Object.fromEntries([
    [`${own.words}.weight`, random([9, h], 'words')],
    [`${own.positions}.weight`, random([5, h], 'positions')],
    ...(tied ? [] : [['lm_head.weight', random([9, h], 'output')] as const]),
    ...modules.flatMap((name) => [
      [`${name}.weight`, random(sizes(name), name)] as const,
      [`${name}.bias`, random([sizes(name)[0]], `${name} bias`)] as const,
    ]),
    ...[...norms.flat(), own.norm].flatMap((name) => [
      [`${name}.weight`, add(random([h], name), filled([h], 1))] as const,
      [`${name}.bias`, random([h], `${name} bias`)] as const,
    ]),
  ])
  const adapters: Readonly<Record<string, Factors>> = Object.fromEntries(
    modules.map((name) => [name, { A: random([2, sizes(name)[1]], `${name}A`), B: random([sizes(name)[0], 2], `${name}B`) }]),
  )
  return { base, adapters, gates: {} as Tensors, head: {} }
}

const inputIds = [[3, 1, 4], [1], [5, 8]]
const options = { scale: 1.5, baseGradients: true }

describe('the decoder with a table of positions', () => {
  it('hides later tokens and other examples, and has other outputs at other positions', () => {
    const run = (ids: readonly (readonly number[])[]) => gptDecoder(small, options)(operandsOf(small), { inputIds: ids }).logits
    const full = run(inputIds)
    const close = { relative: 1e-12, absolute: 1e-13 }
    assertClose(run([[3, 1]]).data, slice(full, [0, 0], [2, 9]).data, close)
    assertClose(run([[5, 8]]).data, slice(full, [4, 0], [6, 9]).data, close)
    expect(run([[1, 1]]).data[9]).not.toBeCloseTo(run([[1, 1]]).data[0] ?? NaN, 6)
  })

  it.each(variants)('has the gradients of finite differences, for every tensor: %s', (_, config) => {
    const operands = operandsOf(config)
    const logitsBar = random([6, 9], 'ȳ')
    const forward = (changed: typeof operands) => sum(multiply(logitsBar, gptDecoder(config, options)(changed, { inputIds }).logits))
    const gradients = gptDecoder(config, options)(operands, { inputIds }).pullback(logitsBar)
    const along = (name: string, x: Tensor, actual: Tensor, put: (x: Tensor) => typeof operands) => {
      const direction = random(x.shape, `along ${name}`)
      const expected = directional((y) => forward(put(y)), x, direction)
      assertClose([sum(multiply(actual, direction))], [expected], { relative: 1e-7, absolute: 1e-8, name })
    }
    for (const [name, x] of Object.entries(operands.base))
      along(name, x, named(gradients.base, name), (y) => ({ ...operands, base: { ...operands.base, [name]: y } }))
    for (const [name, adapter] of Object.entries(operands.adapters))
      for (const factor of ['A', 'B'] as const)
        along(`${name}.${factor}`, adapter[factor], gradients.adapters[name]![factor], (x) => ({
          ...operands,
          adapters: { ...operands.adapters, [name]: { ...adapter, [factor]: x } },
        }))
  })
})
