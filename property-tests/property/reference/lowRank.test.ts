import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  add,
  applyIncrement,
  applyIncrementVjp,
  filled,
  foldGates,
  increment,
  matMul,
  merge,
  multiplyRow,
  openGates,
  orthogonality,
  orthogonalityVjp,
  adapterScale,
  tensor,
  transpose,
  type Tensor,
} from '../../../reference/index.js'
import { lowRankShape } from '../../support/arbitraries/shapes.js'
import { number, tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { assertVjp } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 60 }
const gates = (r: number): fc.Arbitrary<Tensor> =>
  fc.array(fc.oneof(fc.constant(0), fc.constant(1), number(0, 1)), { minLength: r, maxLength: r }).map((g) => tensor([r], g))
const adapted = lowRankShape.chain(({ n, d, k, r }) =>
  fc.record({
    x: tensorOf([n, k]),
    A: tensorOf([r, k]),
    B: tensorOf([d, r]),
    g: gates(r),
    weight: tensorOf([d, k]),
    yBar: tensorOf([n, d]),
    scale: number(0.1, 4),
  }),
)

describe(`gated low-rank increments (seed ${SEED})`, () => {
  it('are the sum over components of scale · gⱼ Bⱼ Aⱼ, equation (5)', () => {
    fc.assert(
      fc.property(adapted, ({ A, B, g, scale }) => {
        const [d, r, k] = [B.shape[0]!, B.shape[1]!, A.shape[1]!]
        const expected = Array.from({ length: d * k }, (_, i) =>
          Array.from({ length: r }, (_, j) => scale * g.data[j]! * B.data[Math.floor(i / k) * r + j]! * A.data[j * k + (i % k)]!).reduce(
            (a, b) => a + b,
            0,
          ),
        )
        assertClose(increment(scale)({ A, B }, g).data, expected, { relative: 1e-14, absolute: 1e-15, name: 'ΔW' })
      }),
      options,
    )
  })

  it('add to W x what they add to W', () => {
    fc.assert(
      fc.property(adapted, ({ A, B, g, scale, x, weight }) => {
        const separate = add(matMul(x, transpose(weight)), applyIncrement(scale)({ A, B }, g, x))
        const merged = matMul(x, transpose(merge(scale)(weight, { A, B }, g)))
        assertClose(separate.data, merged.data, { relative: 1e-13, absolute: 1e-14, name: 'h' })
      }),
      options,
    )
  })

  it('do not change when the gates are folded into B', () => {
    fc.assert(
      fc.property(adapted, ({ A, B, g, scale }) => {
        const folded = foldGates({ A, B }, g)
        assertClose(increment(scale)(folded, openGates(folded)).data, increment(scale)({ A, B }, g).data, {
          relative: 1e-14,
          absolute: 1e-15,
          name: 'ΔW',
        })
      }),
      options,
    )
  })

  it('vanish when every gate is closed or B is 0', () => {
    fc.assert(
      fc.property(adapted, ({ A, B, g, scale, x }) => {
        const zero = (y: Tensor) => expect([...y.data].every((value) => Math.abs(value) === 0)).toBe(true)
        zero(applyIncrement(scale)({ A, B }, filled(g.shape, 0), x))
        zero(applyIncrement(scale)({ A, B: filled(B.shape, 0) }, g, x))
      }),
      options,
    )
  })

  it('have the gradients of their finite differences', () => {
    fc.assert(
      fc.property(adapted, ({ A, B, g, x, scale, yBar }) =>
        assertVjp({
          name: 'applyIncrement',
          inputs: { A, B, g, x },
          yBar,
          forward: (i) => applyIncrement(scale)({ A: i['A']!, B: i['B']! }, i['g']!, i['x']!),
          vjp: (i, bar) => ({ ...applyIncrementVjp(scale)({ A: i['A']!, B: i['B']! }, i['g']!, i['x']!, bar) }),
        }),
      ),
      options,
    )
  })

  it('are scaled by α / r: 16 / 8 = 2', () => expect(adapterScale({ alpha: 16, rank: 8 })).toBe(2))

  it('refuse a weight of another shape', () => {
    expect(() => merge(1)(filled([2, 2], 0), { A: filled([1, 3], 0), B: filled([2, 1], 0) }, filled([1], 1))).toThrow(
      'merge: expected shape [2, 3], got [2, 2]',
    )
  })
})

describe(`orthogonality (seed ${SEED})`, () => {
  const rotation = (angle: number) => tensor([2, 2], [Math.cos(angle), -Math.sin(angle), Math.sin(angle), Math.cos(angle)])

  it('is 0 for orthonormal factors', () => {
    fc.assert(
      fc.property(number(-3, 3), number(-3, 3), (a, b) =>
        assertClose([orthogonality({ A: rotation(a), B: rotation(b) })], [0], { relative: 0, absolute: 1e-28, name: 'R' }),
      ),
      options,
    )
  })

  it('is the amount of equation (9) if the factors are not orthonormal', () => {
    fc.assert(
      fc.property(number(-3, 3), number(0.1, 3), (angle, size) => {
        const A = tensor(
          [2, 2],
          rotation(angle).data.map((x) => size * x),
        ) // AAᵀ = size² I
        assertClose([orthogonality({ A, B: rotation(0) })], [2 * (size * size - 1) ** 2], { relative: 1e-10, absolute: 1e-14, name: 'R' })
      }),
      options,
    )
    // Two equal unit rows: AAᵀ − I has 0 on its diagonal and 1 twice beside it.
    expect(orthogonality({ A: tensor([2, 2], [1, 0, 1, 0]), B: rotation(0) })).toBeCloseTo(2, 14)
  })

  it('has a stationary point at B = 0, where it is r', () => {
    fc.assert(
      fc.property(lowRankShape, ({ d, r }) => {
        const A = tensor(
          [r, r],
          Array.from({ length: r * r }, (_, i) => (i % (r + 1) === 0 ? 1 : 0)),
        )
        const B = filled([d, r], 0)
        expect(orthogonality({ A, B })).toBe(r)
        expect([...orthogonalityVjp({ A, B }, 1).B.data].every((x) => Math.abs(x) === 0)).toBe(true)
      }),
      options,
    )
  })

  it('is 0 for orthogonal columns of the given norms, and otherwise the squared error of their squares', () => {
    fc.assert(
      fc.property(number(-3, 3), number(0.1, 2), number(0.1, 2), (angle, x, y) => {
        const B = multiplyRow(rotation(angle), tensor([2], [x, y]))
        const A = rotation(0)
        const bound = { relative: 1e-12, absolute: 1e-13 }
        assertClose([orthogonality({ A, B }, tensor([2], [x * x, y * y]))], [0], bound)
        assertClose([orthogonality({ A, B }, tensor([2], [x * x + 3, y * y]))], [9], bound)
        assertClose([orthogonality({ A, B }, tensor([2], [1, 1]))], [orthogonality({ A, B })], bound)
      }),
      options,
    )
  })

  it('has the gradients of its finite differences, with the norms of B given and without', () => {
    const norms = adapted.chain(({ A, B, g }) => fc.record({ A: fc.constant(A), B: fc.constant(B), D: fc.constantFrom(undefined, g) }))
    fc.assert(
      fc.property(norms, number(), ({ A, B, D }, rBar) =>
        assertVjp({
          name: 'orthogonality',
          inputs: { A, B },
          yBar: tensor([1], [rBar]),
          forward: (i) => tensor([1], [orthogonality({ A: i['A']!, B: i['B']! }, D)]),
          vjp: (i, bar) => ({ ...orthogonalityVjp({ A: i['A']!, B: i['B']! }, bar.data[0]!, D) }),
        }),
      ),
      options,
    )
  })
})
