/** Linear probes are those of scikit-learn, and in both derivations the same minimum. */
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chooseProbe, strengths, fitLinearModel, meanLoss, computeLogits, type Targets } from '../../accelerated/probe/linearModel.js'
import { fitLinearProbe, probeObjective, tensor, toOneHot } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { fixtures } from './golden.js'

type Case = {
  readonly kind: Targets['kind'] | 'soft'
  readonly classes: number
  readonly strength: number
  readonly rows: readonly (readonly number[])[]
  readonly labels: readonly number[] & readonly (readonly number[])[]
  readonly weights: readonly number[] | null
  readonly weight: readonly number[]
  readonly bias: readonly number[]
}
/** Of soft labels, the most probable class is the label. */
const toTargets = ({ kind, classes, labels }: Case): Targets => {
  if (kind !== 'soft') return { kind, classes, labels } as Targets
  const shares = labels as readonly (readonly number[])[]
  return {
    ...{ kind: 'single', classes, labels: shares.map((row) => row.indexOf(Math.max(...row))) },
    shares: shares.map((row) => row.map((share, label) => [label, share] as const)),
  }
}
const { cases } = JSON.parse(readFileSync(join(fixtures, 'probe.json'), 'utf8')) as { readonly cases: readonly Case[] }

describe.each(cases)('a probe of kind $kind with $classes classes and strength $strength', (golden) => {
  const { rows, strength, weights } = golden
  const data = { rows, targets: toTargets(golden), hasBias: true, ...(weights === null ? {} : { weights }) }

  it("has scikit-learn's weights", () => {
    // the mean of weighted rows is not 0, so only the frame of the rows is the same, not that of the weights
    const { weight, bias } = fitLinearModel(data, strength)
    assertClose(weight, golden.weight, { relative: 1e-4, absolute: 1e-5 })
    assertClose(bias, golden.bias, { relative: 1e-4, absolute: 1e-5 })
  })

  it('is the same function where the rows are moved and scaled', () => {
    const moved = { ...data, rows: rows.map((row) => row.map((x, j) => 40 * x + 3 * j)) }
    const [plain, other] = [fitLinearModel(data, strength), fitLinearModel(moved, strength)]
    rows.forEach((row, i) =>
      assertClose(computeLogits(other, moved.rows[i] ?? []), computeLogits(plain, row), { relative: 1e-4, absolute: 1e-4 }),
    )
  })
})

const finite = fc.double({ min: -2, max: 2, noNaN: true })

describe('the two derivations', () => {
  it('find the same minimum', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 4 }).chain((k) =>
          fc.record({
            k: fc.constant(k),
            rows: fc.array(fc.array(finite, { minLength: 3, maxLength: 3 }), { minLength: 4, maxLength: 12 }),
            strength: fc.constantFrom(...strengths.slice(0, 4)),
            seed: fc.nat(1_000),
            isSoft: fc.boolean(),
          }),
        ),
        ({ k, rows, strength, seed, isSoft }) => {
          const labels = rows.map((_, i) => (i + seed) % k)
          const { mean, scale } = frame(rows)
          const X = tensor(
            [rows.length, 3],
            rows.flatMap((row) => row.map((x, j) => (x - (mean[j] ?? 0)) / scale)),
          )
          const P = toOneHot(labels, k)
          const softened = isSoft
            ? tensor(
                [rows.length, k],
                P.data.map((p) => (k * p + 1) / (2 * k)),
              )
            : P
          const shares = rows.map((_, i) => Array.from({ length: k }, (__, c) => [c, softened.data[i * k + c] ?? NaN] as const))
          const probe = fitLinearProbe(X, softened, strength)
          const targets = { kind: 'single', classes: k, labels, ...(isSoft ? { shares } : {}) } as const
          const { weight, bias } = fitLinearModel({ rows, targets, hasBias: true }, strength)
          const ours = {
            W: tensor(
              [k, 3],
              weight.map((w) => w * scale),
            ),
            b: tensor(
              [k],
              bias.map((b, c) => b + mean.reduce((sum, m, j) => sum + m * (weight[c * 3 + j] ?? 0), 0)),
            ),
          }
          const [least, reached] = [probe, ours].map((one) => probeObjective(X, softened, strength, one)) as [number, number]
          expect(reached - least).toBeLessThan(1e-6 * (1 + Math.abs(least)))
          assertClose(ours.W.data, probe.W.data, { relative: 1e-3, absolute: 1e-3 })
        },
      ),
      { numRuns: 60 },
    )
  })
})

const frame = (rows: readonly (readonly number[])[]): { readonly mean: readonly number[]; readonly scale: number } => {
  const mean = [0, 1, 2].map((j) => rows.reduce((sum, row) => sum + (row[j] ?? 0), 0) / rows.length)
  const squares = rows.reduce((sum, row) => sum + row.reduce((s, x, j) => s + (x - (mean[j] ?? 0)) ** 2, 0), 0) / rows.length
  return { mean, scale: squares > 0 ? Math.sqrt(squares) : 1 }
}

describe('the strength of a probe', () => {
  it('is the one whose held-out rows have the least loss, found here fold by fold', () => {
    const { labels, rows } = cases[2] as Case
    const data = { rows, targets: toTargets(cases[2] as Case), hasBias: true }
    const order = rows.map((_, row) => row).sort((a, b) => (labels[a] as number) - (labels[b] as number) || a - b)
    const losses = strengths.map((strength) =>
      [0, 1, 2, 3, 4].reduce((sum, part) => {
        const held = order.filter((_, i) => i % 5 === part)
        const others = order.filter((_, i) => i % 5 !== part).sort((a, b) => a - b)
        return sum + meanLoss(fitLinearModel(data, strength, others), data, held) / 5
      }, 0),
    )
    const { strength, heldOutLoss, model } = chooseProbe(data)
    expect(strength).toBe(strengths[losses.indexOf(Math.min(...losses))])
    expect(heldOutLoss).toBeCloseTo(Math.min(...losses), 4)
    assertClose(model.weight, fitLinearModel(data, strength).weight, { relative: 1e-5, absolute: 1e-5 })
  })

  it('is 1 where there are too few rows to hold any out', () => {
    const targets: Targets = { kind: 'single', classes: 2, labels: [0, 1] }
    expect(chooseProbe({ rows: [[1], [-1]], targets, hasBias: true })).toMatchObject({ strength: 1, heldOutLoss: null })
  })
})
