/** What lowers the density: the constraint C(Θ) = b, equation (11), by the multiplier of equation (12), or equation (10)'s constant λ. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import { matrixShape, type Tensors } from '../../tensor/tensor.js'
import type { Adapter, Adapters, Factors } from '../../layers/lowRank.js'
import type { ControlRule } from './gateControl.js'
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

/** Σᵢ E‖Gᵢ‖₀, the expected number of open gates in all matrices: what λ multiplies in equation (10). */
export const expectedGates =
  (settings: HardConcrete) =>
  (adapters: Adapters): number =>
    Object.values(adapters).reduce((total, { logTheta }) => total + expectedL0(settings)(logTheta), 0)

/** The term of L that lowers the density, and its gradients. */
interface DensityTerm {
  readonly value: number
  /** ∂/∂log θ by module, each [r] */
  readonly logTheta: Tensors
  /** ∂/∂λ */
  readonly lambda: number
}

/** λ (C(Θ) − b)², the last term of equation (12); with `constant`, λ Σᵢ E‖Gᵢ‖₀ of equation (10), which knows no b. */
export const densityTerm =
  (settings: HardConcrete & { readonly control: ControlRule }) =>
  (adapters: Adapters, lambda: number, targetDensity: number): DensityTerm => {
    if (settings.control === 'constant') {
      const gates = expectedGates(settings)(adapters)
      const slope = ({ logTheta }: Adapter) => expectedL0Vjp(settings)(logTheta, lambda)
      return { value: lambda * gates, logTheta: R.map(slope)(adapters), lambda: gates }
    }
    const densityNow = density(settings)(adapters)
    return {
      value: penalty(lambda, densityNow, targetDensity),
      logTheta: densityVjp(settings)(adapters, penaltySlope(lambda, densityNow, targetDensity)),
      lambda: violation(densityNow, targetDensity),
    }
  }

/** λ is projected onto R₊, as Algorithm 1 asks. */
export const project = (lambda: number): number => Math.max(0, lambda)

/** λ ← max(0, λ + η (C − b)²): plain gradient ascent, Algorithm 1 to the letter. */
export const multiplierAscent =
  (rate: number) =>
  (lambda: number, gradient: number): number =>
    project(lambda + rate * gradient)
