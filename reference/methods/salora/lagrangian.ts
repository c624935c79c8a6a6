/** The density constraint C(Θ) = b, equation (11), and the multiplier that enforces it, equation (12). */
import { matrixShape, type Tensors } from '../../tensor/tensor.js'
import type { Adapter, Adapters, Factors } from '../../layers/lowRank.js'
import { expectedL0, expectedL0Vjp, type HardConcrete } from './hardConcrete.js'

/** dᵢ + kᵢ: the parameters of one triplet (a column of B and a row of A). */
export const tripletCost = ({ A, B }: Factors): number => matrixShape('tripletCost', B)[0] + matrixShape('tripletCost', A)[1]

/** Σᵢ (#Bᵢ + #Aᵢ) = Σᵢ rᵢ(dᵢ + kᵢ) */
export const parameterCount = (adapters: Readonly<Record<string, Factors>>): number =>
  Object.values(adapters).reduce((total, { A, B }) => total + A.data.length + B.data.length, 0)

/** C(Θ) = Σᵢ E‖Gᵢ‖₀ (dᵢ + kᵢ) / Σᵢ (#Bᵢ + #Aᵢ): the expected fraction of retained parameters, 0 without adapters, equation (11). */
export const density =
  (settings: HardConcrete) =>
  (adapters: Adapters): number => {
    const expected = Object.values(adapters).reduce(
      (total, adapter) => total + expectedL0(settings)(adapter.logTheta) * tripletCost(adapter),
      0,
    )
    return expected === 0 ? 0 : expected / parameterCount(adapters)
  }

/** ∂C/∂log θ · c̄, by module: each [r] */
export const densityVjp =
  (settings: HardConcrete) =>
  (adapters: Adapters, densityBar: number): Tensors => {
    const total = parameterCount(adapters)
    const gradient = (adapter: Adapter) => expectedL0Vjp(settings)(adapter.logTheta, (densityBar * tripletCost(adapter)) / total)
    return Object.fromEntries(Object.entries(adapters).map(([name, adapter]) => [name, gradient(adapter)]))
  }

/** (C − b)², which is also ∂L/∂λ: never negative, so λ never falls. */
export const violation = (densityNow: number, targetDensity: number): number => (densityNow - targetDensity) ** 2

/** λ (C − b)², the constraint's term in equation (12). */
export const penalty = (lambda: number, densityNow: number, targetDensity: number): number => lambda * violation(densityNow, targetDensity)

/** ∂/∂C of the penalty = 2 λ (C − b) */
export const penaltySlope = (lambda: number, densityNow: number, targetDensity: number): number => 2 * lambda * (densityNow - targetDensity)

/** λ is projected onto R₊, as Algorithm 1 asks. */
export const project = (lambda: number): number => Math.max(0, lambda)

/** λ ← max(0, λ + η (C − b)²): plain gradient ascent, Algorithm 1 to the letter. */
export const multiplierAscent =
  (rate: number) =>
  (lambda: number, gradient: number): number =>
    project(lambda + rate * gradient)
