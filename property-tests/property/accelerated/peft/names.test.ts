/** Names of modules: lists and expressions of PEFT, patterns of ranks, and the names of --target-modules. */
import { describe, expect, it } from 'vitest'
import { lookUpPattern, matchModules } from '../../../../accelerated/formats/peft/loadPeft.js'
import { targetedMatrices } from '../../../../accelerated/methods/targetedMatrices.js'
import type { ModelSpec } from '../../../../accelerated/models/architecture.js'

describe("PEFT's rules for names", () => {
  const names = [
    'roberta.encoder.layer.1.output.dense',
    'roberta.encoder.layer.11.output.dense',
    'roberta.encoder.layer.1.attention.output.dense',
  ]

  it('a list matches whole parts of a name, an expression the whole name', () => {
    expect(matchModules(['dense'], names, 'x')).toEqual([true, true, true])
    expect(matchModules(['ense', 'layer.1'], names, 'x')).toEqual([false, false, false])
    expect(matchModules(['1.output.dense'], names, 'x')).toEqual([true, false, false])
    expect(matchModules([names[0]!], names, 'x')).toEqual([true, false, false])
    expect(matchModules('.*layer\\.1\\..*', names, 'x')).toEqual([true, false, true])
    expect(matchModules('dense', names, 'x')).toEqual([false, false, false])
    expect(matchModules('a|.*dense', names, 'x')).toEqual([true, true, true])
    expect(matchModules('roberta.*|a', ['roberta', 'xroberta', 'ab'], 'x')).toEqual([true, false, false])
    expect(matchModules('roberta|a', ['roberta.b', 'b.a', 'a'], 'x')).toEqual([false, false, true])
  })

  it('the first matching pattern counts, for a whole name or its part after a dot', () => {
    expect(lookUpPattern({ 'layer.1.output.dense': 1, '.*output.dense': 2 }, names, 'x')).toEqual([1, 2, 2])
    expect(lookUpPattern({ 'output.dense': 1, 'attention.output.dense': 2 }, names, 'x')).toEqual([1, 1, 1])
    expect(lookUpPattern({ 'utput.dense': 1 }, names, 'x')).toEqual([undefined, undefined, undefined])
    expect(lookUpPattern({ [names[0]!]: 1 }, names, 'x')).toEqual([1, undefined, undefined])
  })
})

const names = ['query', 'layer.0.query', 'layer.0.query_proj', 'layer.0.myquery', 'layer.0.query.dense', 'layer.0.output.dense', 'dense']
const spec = { matrices: names.map((name) => ({ name, d: 2, k: 3 })) } as unknown as ModelSpec
const targeted = (...targets: readonly string[]): readonly string[] =>
  targetedMatrices(spec, { targetModules: targets }).map(({ name }) => name)

describe('a target', () => {
  it('matches whole names at the end of a path, and no part of a name or of the middle of a path', () => {
    expect(targeted('query')).toEqual(['query', 'layer.0.query'])
    expect(targeted('dense')).toEqual(['layer.0.query.dense', 'layer.0.output.dense', 'dense'])
    expect(targeted('output.dense')).toEqual(['layer.0.output.dense'])
    expect(targeted('layer.0.myquery', 'query')).toEqual(['query', 'layer.0.query', 'layer.0.myquery'])
  })

  it('is refused if it names no matrix as a whole', () => {
    for (const target of ['y', 'layer.0', 't.dense', 'query.', ''])
      expect(() => targeted(target)).toThrow(/^targetModules: expected all-linear, or endings of query, /)
  })
})
