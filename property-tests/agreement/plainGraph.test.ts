/** Outside the gate window there are no gates: the graph of a plain step holds no trace of them, and costs what LoRA costs. */
import { describe, expect, it } from 'vitest'
import { print } from '../../accelerated/graph/expression.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { phaseIn, buildInitialState, stepOutputs } from '../../evaluation/agreement/acceleratedSide.js'
import { someOptions } from './modelOptions.js'

const gateInputs =
  'u targetDensity controlLearningRate multiplierLearningRate gateCorrection1 gateCorrection2 multiplierCorrection1 multiplierCorrection2'.split(
    ' ',
  )

const graphOf = (gating: 'open' | 'sampled', change: { readonly tau?: number; readonly beta?: number } = {}): string => {
  const model = drawModel(someOptions(change))
  return print(stepOutputs(model, phaseIn(buildInitialState(model, gating, 'float32')), 'whole', 'float32').outputs)
}
const operators = (text: string): readonly string[] => [...text.matchAll(/ = (\w+)\(/g)].map(([, op]) => op ?? '')
const inputs = (text: string): readonly string[] => [...text.matchAll(/^(\S+): .* = Input\(/gm)].map(([, name]) => name ?? '')

describe('the graph of a plain step', () => {
  const [plain, gated] = [graphOf('open'), graphOf('sampled')]

  it('has no sigmoid, clip, noise or multiplier, unlike the gated graph', () => {
    expect(operators(plain).filter((op) => op === 'Sigmoid' || op === 'Clip' || op === 'Log')).toEqual([])
    expect(inputs(plain).filter((name) => gateInputs.includes(name))).toEqual([])
    expect(operators(gated)).toEqual(expect.arrayContaining(['Sigmoid', 'Clip', 'Log']))
    expect(inputs(gated)).toEqual(expect.arrayContaining(gateInputs))
    expect(plain).not.toMatch(/density|logTheta|lambda/)
  })

  it("does not depend on the gates' settings, and is smaller", () => {
    expect(graphOf('open', { tau: 0.6 })).toBe(plain)
    expect(graphOf('sampled', { tau: 0.6 })).not.toBe(gated)
    expect(operators(plain).length).toBeLessThan(operators(gated).length)
  })

  it("has only LoRA's nodes without regularizer: for each matrix the products with A and B, and their four gradients", () => {
    const products = operators(graphOf('open', { beta: 0 })).filter((op) => op === 'MatMul').length
    // Forward: six frozen products, two of each adapter, QKᵀ, PV, the head's two. Backward: x̄ of four frozen products, since the first layer's
    // three inputs need none. Then Ā, B̄ and the inner gradient of each adapter, and x̄ of three adapters. Then four of attention, W̄ of the head's
    // two and x̄ of both.
    expect(products).toBe(6 + 12 + 2 + 2 + 3 + 18 + 3 + 4 + 2 + 2)
  })
})
