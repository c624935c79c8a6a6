/** AdaLoRA's allocation as laws: what a step may leave, which triplets go where scores are equal, and that the last cut is the last. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { add, input, reduceSum, reshape } from '../../../accelerated/graph/operators.js'
import { adalora, distancesFromOrthonormal } from '../../../accelerated/methods/adalora/adalora.js'
import { type AdaloraPhase, planAllocation, checkSchedule, planSchedule } from '../../../accelerated/methods/adalora/phase.js'
import type { AdaloraSettings } from '../../../accelerated/methods/adalora/settings.js'
import { type Vectors, viewTensor, zeros, type Vector } from '../../../accelerated/parameters/vectors.js'
import type { Session } from '../../../accelerated/engines/engine.js'
import type { Feeds } from '../../../accelerated/engines/feeds.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { parameterLayout, type ParameterLayout } from '../../../accelerated/parameters/layout.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { evaluate, float64, openGraph, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const settingsOf = (change: SettingsInput): AdaloraSettings =>
  resolveSettings({ method: 'adalora', ...change }) as unknown as AdaloraSettings

const matricesOf = (r: number, sizes: readonly (readonly [d: number, k: number])[]): AdaloraPhase['matrices'] =>
  sizes.map(([d, k], i) => ({ name: `m${i}`, d, k, r }))

const layoutOf = (phase: AdaloraPhase, settings: AdaloraSettings): ParameterLayout =>
  parameterLayout(adalora.train.tensors(phase, settings))

type Settled = { readonly parameters: Vector; readonly memory: Vectors['memory'] }

/** The method's extension of an optimizer step, block by block, in a separate graph. */
const openSettle = async (phase: AdaloraPhase, settings: AdaloraSettings) => {
  const layout = layoutOf(phase, settings)
  const memory = adalora.train.optimizerExtension?.(phase, settings)
  const names = memory?.names ?? []
  const vector = (of: string, name: string, size: number) => input(`${of}(${name})`, [size], 'float64')
  const blocks = layout.blocks.map((block) => ({
    block,
    parameters: vector('parameters', block.name, block.size),
    gradient: vector('gradient', block.name, block.size),
    memory: Object.fromEntries(names.map((name) => [name, vector(name, block.name, block.size)])),
  }))
  const outputs = memory?.afterUpdate(blocks, 'float64') ?? []
  const session: Session = await openGraph(
    Object.fromEntries(
      outputs.flatMap((settled, i) =>
        ['parameters', ...names].map((of) => [
          `next ${of}(${layout.blocks[i]?.name})`,
          of === 'parameters' ? settled.parameters : add(settled.memory[of]!, 0),
        ]),
      ),
    ),
  )
  const settle = async (vectors: Readonly<Record<string, Vector>>, controls: Feeds): Promise<Settled> => {
    const feeds = Object.entries(vectors).flatMap(([of, values]) =>
      layout.blocks.map(({ name, offset, size }) => [`${of}(${name})`, float64(values.subarray(offset, offset + size))] as const),
    )
    const results = await session.run({ ...Object.fromEntries(feeds), ...controls })
    const vectorOf = (of: string): Vector =>
      Float64Array.from(layout.blocks.flatMap(({ name }) => resultOf(results, `next ${of}(${name})`)))
    return { parameters: vectorOf('parameters'), memory: Object.fromEntries(names.map((name) => [name, vectorOf(name)])) }
  }
  return { layout, settle, release: session.release }
}

const strengths = (phase: AdaloraPhase, layout: ParameterLayout, parameters: Vector): readonly number[] =>
  phase.matrices.flatMap(({ name }) => Array.from(viewTensor(layout, parameters, `${name}.E`)))

const shapes = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 4 })

describe(`a cut of AdaLoRA (seed ${SEED})`, () => {
  it('prunes every triplet with at most the k-th lowest score, equal scores together, and nothing for k = 0', () =>
    fc.assert(
      fc.asyncProperty(
        shapes,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 1e6 }),
        fc.nat(20),
        async (sizes, r, seed, given) => {
          const phase: AdaloraPhase = { matrices: matricesOf(r, sizes), steps: 9, fixed: null }
          const [settings, total] = [settingsOf({ initR: r, targetR: 1 }), r * sizes.length]
          const k = given % (total + 1)
          const { layout, settle, release } = await openSettle(phase, settings)
          // Few different importances, so that many scores are equal; uncertainties of 1, so that a score is a sum of importances.
          const importance = Float64Array.from(normals(seed, 'split', 0, layout.size), (x) => Math.round(Math.abs(x)))
          const parameters = zeros(layout.size, 'float64').fill(3)
          const vectors = {
            parameters,
            gradient: zeros(layout.size, 'float64'),
            importance,
            uncertainty: zeros(layout.size, 'float64').fill(1),
          }
          const settled = await settle(vectors, {
            cut: float64([k], []),
            importanceBeta1: float64([1], []),
            importanceBeta2: float64([1], []),
          }).finally(release)
          const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
          const scores = phase.matrices.flatMap(({ name, k: width }) => {
            const [A, B, E] = ['A', 'B', 'E'].map((of) => [...viewTensor(layout, importance, `${name}.${of}`)]) as [
              number[],
              number[],
              number[],
            ]
            return E.map((e, j) => e + (mean(A.slice(j * width, (j + 1) * width)) + mean(B.filter((_, at) => at % r === j))))
          })
          const threshold = [...scores].sort((a, b) => a - b)[k - 1] ?? -Infinity // torch.kthvalue counts from 1
          expect(strengths(phase, layout, settled.parameters)).toEqual(scores.map((score) => (score <= threshold ? 0 : 3)))
          for (const name of ['A', 'B'])
            expect(new Set(phase.matrices.flatMap((m) => [...viewTensor(layout, settled.parameters, `${m.name}.${name}`)]))).toEqual(
              new Set([3]),
            )
          expect(settled.memory['importance']).toEqual(importance) // a β of 1 keeps it
        },
      ),
      { seed: SEED, numRuns: 60 },
    ))

  it('averages |p ∂L/∂p| of the updated p, and its distance from the new average', async () => {
    const phase: AdaloraPhase = { matrices: matricesOf(1, [[1, 1]]), steps: 9, fixed: null }
    const { layout, settle, release } = await openSettle(phase, settingsOf({ initR: 1, targetR: 1 }))
    const vector = (value: number): Vector => new Float64Array(layout.size).fill(value)
    const vectors = { parameters: vector(-2), gradient: vector(3), importance: vector(4), uncertainty: vector(5) }
    const betas = { importanceBeta1: float64([0.75], []), importanceBeta2: float64([0.5], []) }
    const { memory } = await settle(vectors, { cut: float64([0], []), ...betas }).finally(release)
    expect([...(memory['importance'] ?? [])]).toEqual([4.5, 4.5, 4.5]) // 0.75 · 4 + 0.25 · 6
    expect([...(memory['uncertainty'] ?? [])]).toEqual([3.25, 3.25, 3.25]) // 0.5 · 5 + 0.5 · |6 − 4.5|
  })
})

/** Runs that can be: their length, and settings that leave each phase a step. */
const runs = fc
  .record({
    steps: fc.integer({ min: 2, max: 25 }),
    final: fc.integer({ min: 1, max: 24 }),
    warmup: fc.nat(24),
    initR: fc.integer({ min: 1, max: 4 }),
    less: fc.nat(3),
    deltaT: fc.integer({ min: 1, max: 4 }),
    sizes: shapes,
    seed: fc.integer({ min: 0, max: 1e6 }),
  })
  .map(({ steps, final, warmup, less, initR, ...rest }) => {
    const last = steps - Math.min(final, steps - 1)
    return { ...rest, steps, initR, targetR: Math.max(1, initR - less), final: steps - last, warmup: warmup % last }
  })

describe(`an AdaLoRA run of any length (seed ${SEED})`, () => {
  it('keeps to its budget after each cut, ends with at most the target, and never changes its pattern after the last cut', () =>
    fc.assert(
      fc.asyncProperty(runs, async ({ steps, final, warmup, initR, targetR, deltaT, sizes, seed }) => {
        const settings = settingsOf({ initR, targetR, deltaT, tinitRatio: warmup / steps, tfinalRatio: final / steps, maxSteps: steps })
        checkSchedule(settings, steps)
        let phase: AdaloraPhase = { matrices: matricesOf(initR, sizes), steps: null, fixed: null }
        let graph = await openSettle(phase, settings)
        const { layout } = graph
        const moments = { firstMoment: zeros(layout.size, 'float64'), secondMoment: zeros(layout.size, 'float64') }
        const empty = { importance: zeros(layout.size, 'float64'), uncertainty: zeros(layout.size, 'float64') }
        let state: Vectors = { ...moments, parameters: Float64Array.from(normals(seed, 'split', 99, layout.size)), memory: empty }
        const advance = async (step: number): Promise<void> => {
          const next =
            adalora.phases.advance?.(phase, settings, { step, steps }, { vectors: state, buildLayout: () => layout, dtype: 'float64' }) ??
            null
          if (next === null) return
          await graph.release()
          ;[phase, state] = [next.phase, next.vectors]
          graph = await openSettle(phase, settings)
        }
        let pattern: string | null = null
        for (let step = 0; step < steps; step++) {
          await advance(step)
          const controls = adalora.train.controls?.(phase, settings, { step, steps }) ?? {}
          // The optimizer moves everything, what was cut too.
          const [moved, drift] = [normals(seed, 'split', 2 * step, layout.size), normals(seed, 'split', 2 * step + 1, layout.size)]
          const vectors = {
            ...state.memory,
            parameters: Float64Array.from(state.parameters, (x, i) => x + (drift[i] ?? 0)),
            gradient: moved,
          }
          const fed = Object.fromEntries(Object.entries(controls).map(([name, value]) => [name, float64([Number(value)], [])]))
          state = { ...state, ...(await graph.settle(vectors, fed)) }
          const E = strengths(phase, layout, state.parameters)
          const left = E.filter((e) => e !== 0).length
          const { budget, cut } = planAllocation(settings, planSchedule(settings, steps), sizes.length, step)
          if (phase.fixed === null && cut === 0) expect(left).toBe(initR * sizes.length)
          else expect(left).toBeLessThanOrEqual(budget)
          if (step < steps - final) continue
          expect(left).toBeLessThanOrEqual(targetR * sizes.length)
          const now = E.map((e) => (e === 0 ? '0' : '1')).join('')
          expect(now).toBe(pattern ?? now)
          pattern = now
        }
        await advance(steps)
        await graph.release()
        expect(
          phase.fixed?.kept
            .flat()
            .map((kept) => (kept ? '1' : '0'))
            .join(''),
        ).toBe(pattern)
        expect(adalora.phases.unfinished?.(phase, settings, { step: steps, steps })).toBeNull()
      }),
      { seed: SEED, numRuns: 25 },
    ))

  it('has a budget that falls from all triplets to the target and stays there, and prunes nothing in the warm-up', () =>
    fc.assert(
      fc.property(runs, ({ steps, final, warmup, initR, targetR, deltaT, sizes }) => {
        const settings = { initR, targetR, deltaT, tinitRatio: warmup / steps, tfinalRatio: final / steps }
        const at = Array.from({ length: steps }, (_, t) => planAllocation(settings, planSchedule(settings, steps), sizes.length, t))
        const [all, target, last] = [initR * sizes.length, targetR * sizes.length, steps - final]
        at.forEach(({ budget, cut, learns }, t) => {
          expect(budget).toBeLessThanOrEqual(at[t - 1]?.budget ?? all)
          expect(budget).toBeGreaterThanOrEqual(target)
          expect(cut === 0 || cut === all - budget).toBe(true)
          expect(learns).toBe(t < last)
          if (t <= warmup) expect([budget, cut]).toEqual([all, 0])
          if (t >= last) expect([budget, cut]).toEqual([target, all - target])
        })
      }),
      { seed: SEED },
    ))
})

describe('an invalid schedule of AdaLoRA', () => {
  it.each([
    [{ targetR: 13 }, 100, 'targetR: expected at most 12 (initR), got 13'],
    [{}, 1, 'epochs: expected at least 2 steps, so that adalora can prune in one of them, got 1 step'],
    [{ maxSteps: 1 }, 1, 'maxSteps: expected at least 2 steps, so that adalora can prune in one of them, got 1 step'],
    [
      { tinitRatio: 0.5 },
      100,
      'tinitRatio: expected at least one of 100 steps between warm-up and the 50 of tfinalRatio, got 0.5, which leaves none',
    ],
    [{ tfinalRatio: 0 }, 100, 'tfinalRatio: expected a fraction that is at least one of 100 steps, got 0, which is none'],
    [{ tfinalRatio: 0.01 }, 20, 'tfinalRatio: expected a fraction that is at least one of 20 steps, got 0.01, which is none'],
  ])('is refused: %o in %i steps', (change, steps, message) => {
    expect(() => checkSchedule(settingsOf(change), steps)).toThrow(message)
  })

  it('may keep its initial rank, and needs at least two steps', () => {
    expect(() => checkSchedule(settingsOf({ targetR: 12 }), 2)).not.toThrow()
    expect(planAllocation(settingsOf({ targetR: 12 }), planSchedule(settingsOf({}), 2), 5, 1)).toEqual({
      budget: 60,
      cut: 0,
      learns: false,
    })
  })
})

describe('the distance from orthonormal factors', () => {
  it('is the norm ‖·‖_F, with gradient 0 at 0, as in PyTorch', async () => {
    const matrices = matricesOf(2, [[3, 2]])
    const tensors = { 'm0.A': input('A', [2, 2], 'float64'), 'm0.B': input('B', [3, 2], 'float64') }
    const distances = distancesFromOrthonormal(matrices, (name) => tensors[name as keyof typeof tensors])
    const [dA, dB] = gradient(reduceSum(distances), Object.values(tensors))
    const outputs = { distances: reshape(distances, [2]), dA: dA!, dB: dB! }
    const results = await evaluate(outputs, { A: float64([0, 1, 1, 0], [2, 2]), B: float64([2, 0, 0, 1, 0, 0], [3, 2]) })
    expect(resultOf(results, 'distances')).toEqual([expect.closeTo(0, 12), 3]) // BᵀB = diag(4, 1)
    expect(resultOf(results, 'dA')).toEqual([0, 0, 0, 0])
    expect(resultOf(results, 'dB')).toEqual([4, 0, 0, 0, 0, 0]) // ∂(b² − 1)/∂b = 2 b at b = 2
  })
})
