/** Which matrices a target names: those whose path is it, or ends in it after a dot. */
import { describe, expect, it } from 'vitest'
import { targetedMatrices } from '../../../accelerated/methods/lowRank.js'
import type { ModelSpec } from '../../../accelerated/models/architecture.js'

const names = ['query', 'layer.0.query', 'layer.0.query_proj', 'layer.0.myquery', 'layer.0.query.dense', 'layer.0.output.dense', 'dense']
const spec = { matrices: names.map((name) => ({ name, d: 2, k: 3 })) } as unknown as ModelSpec
const targeted = (...targets: ReadonlyArray<string>): ReadonlyArray<string> => targetedMatrices(spec, targets).map(({ name }) => name)

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
