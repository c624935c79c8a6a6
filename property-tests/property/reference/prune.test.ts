/** What T_end does to a state: the function, the moments and the objective of the steps after it. */
import { describe, expect, it } from 'vitest'
import {
  columnSums,
  defaultSettings,
  deterministicGate,
  encoder,
  exportedAdapters,
  filled,
  generate,
  initMoments,
  adamw,
  map,
  multiply,
  named,
  objective,
  orthogonality,
  pruneState,
  sampleGate,
  adapterScale,
  selectRows,
  startFrom,
  sum,
  tensor,
  trainingStep,
  uniform,
  type AfterEnd,
  type Parameters,
  type PruneSettings,
  type Settings,
  type StepControl,
  type Tensor,
  type Tensors,
  type TrainingState,
} from '../../../reference/index.js'
import { tiny } from '../../support/arbitraries/encoders.js'
import { assertClose } from '../../support/assertClose.js'
import { gradient } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const settings: PruneSettings = defaultSettings
const model = tiny({ family: 'roberta', taskType: 'classification', layers: 1, rank: 3, seed: SEED })
const sampled: StepControl = {
  gating: 'sampled',
  targetDensity: 0.5,
  learningRate: 0.01,
  controlLearningRate: 0.01,
  multiplierLearningRate: 0.01,
}
const open: StepControl = { ...sampled, gating: 'open' }
const step = (state: TrainingState, control: StepControl, change: Partial<Settings> = {}) =>
  trainingStep(model.config, { ...model.settings, ...change }, model.base)(
    state,
    model.batch,
    control.gating === 'sampled' ? model.noise : { gates: {}, dropout: {} },
    control,
  )
const trained = step(startFrom(model.parameters), sampled)[0]

const logits = ({ adapters, head }: Pick<Parameters, 'adapters' | 'head'>, gates: Tensors = {}): Float64Array =>
  encoder(model.config, { scale: adapterScale(model.settings) })({ base: model.base, adapters, gates, head }, model.batch).logits.data
/** A gate for each triplet that stays, 0 for the others. */
const gatesOfRetained = (retained: Readonly<Record<string, readonly number[]>>, gate: (logTheta: Tensor) => Tensor): Tensors =>
  Object.fromEntries(
    Object.entries(trained.adapters).map(([module, { logTheta }]) => {
      const g = gate(logTheta)
      return [module, generate(g.shape, (j) => (retained[module]!.includes(j) ? g.data[j]! : 0))]
    }),
  )
const afterPruning = (change: Partial<PruneSettings>) => pruneState({ ...settings, ...change })(trained)

describe(`a pruned state (seed ${SEED})`, () => {
  it('computes what the gates ĝ of the retained triplets computed, whether ĝ is folded or kept, and after its export', () => {
    ;(['soft', 'kept'] as const).forEach((gateAfter) => {
      const [state, { retained }] = afterPruning({ gateAfter })
      const expected = logits(trained, gatesOfRetained(retained, deterministicGate(settings)))
      assertClose(step(state, open)[1].logits.data, expected, { relative: 1e-12, name: `logits of the next step, ${gateAfter}` })
      assertClose(logits({ ...state, adapters: exportedAdapters(state) }), expected, { relative: 1e-12, name: `export, ${gateAfter}` })
    })
  })

  it('has every retained gate open when gates become binary', () => {
    const [state, { retained }] = afterPruning({ gateAfter: 'binary' })
    const expected = logits(
      trained,
      gatesOfRetained(
        retained,
        map(() => 1),
      ),
    )
    assertClose(step(state, open)[1].logits.data, expected, { relative: 1e-12, name: 'logits' })
    expect(exportedAdapters(state)).toEqual(state.adapters)
  })

  it('keeps the columns of B and constant gates in further training when gates are kept', () => {
    const [state] = afterPruning({ gateAfter: 'kept' })
    const [next, { gates }] = step(step(state, open)[0], open)
    expect(gates).toEqual(state.afterEnd!.gates)
    expect(next.afterEnd).toEqual(state.afterEnd)
    Object.entries(state.adapters).forEach(([module, { logTheta, B }]) => {
      expect(gates[module]).toEqual(deterministicGate(settings)(logTheta))
      expect(next.adapters[module]!.logTheta).toEqual(logTheta)
      expect(next.adapters[module]!.B).not.toEqual(B)
    })
  })

  it("keeps each retained triplet's moments of A and log θ, the counters, λ and the head", () => {
    const [state, { retained }] = afterPruning({})
    ;(['m', 'v'] as const).forEach((moment) => {
      Object.entries(state[moment].adapters).forEach(([module, { A }]) =>
        expect(A).toEqual(selectRows(trained[moment].adapters[module]!.A, retained[module]!)),
      )
      expect(Object.keys(state[moment].adapters)).toEqual(Object.keys(state.adapters))
      expect(state[moment].head).toEqual(trained[moment].head)
    })
    expect([state.step, state.gatedStep, state.lambda, state.head]).toEqual([1, 1, trained.lambda, trained.head])
  })

  it('continues training, even if a budget below one triplet left no adapter', () => {
    ;[0.5, 0.001].forEach((targetDensity) => {
      const [state, { ranks }] = afterPruning({ targetDensity })
      const [next, { loss }] = step(state, open)
      expect(Number.isFinite(loss)).toBe(true)
      expect(named(next.head, 'classifier.out_proj.weight')).not.toEqual(named(state.head, 'classifier.out_proj.weight'))
      expect(Object.values(ranks).some((rank) => rank > 0)).toBe(targetDensity === 0.5)
    })
  })
})

describe(`AdamW's moments of a folded column (seed ${SEED})`, () => {
  // One module of four triplets whose moments are m = 1, 2, 3, 4 and v = 5, 6, 7, 8 in both rows of B.
  const locations = [2, 0, -1, -9]
  const rows = (numbers: readonly number[]): Tensor => tensor([2, 4], [...numbers, ...numbers])
  const adapter = { A: filled([4, 3], 1), B: filled([2, 4], 1), logTheta: tensor([4], locations) }
  const begin = startFrom({ adapters: { only: adapter }, head: {}, lambda: 0 })
  const withMoments: TrainingState = {
    ...begin,
    m: { ...begin.m, adapters: { only: { ...adapter, B: rows([1, 2, 3, 4]) } } },
    v: { ...begin.v, adapters: { only: { ...adapter, B: rows([5, 6, 7, 8]) } } },
  }
  const pruned = (change: Partial<PruneSettings>) => pruneState({ ...settings, targetDensity: 1, ...change })(withMoments)[0]
  /** √E[g²] over 200,000 draws. */
  const size = (logTheta: number): number => {
    const g = sampleGate(settings)(filled([200_000], logTheta), uniform([200_000])(SEED)[0])
    return Math.sqrt(sum(multiply(g, g)) / 200_000)
  }

  it('are divided by the size ḡ of the gate that its gradients came through, and by ḡ²', () => {
    const { m, v } = pruned({})
    const sizes = locations.slice(0, 3).map(size)
    assertClose(
      m.adapters['only']!.B.data.slice(0, 3),
      sizes.map((g, j) => [1, 2, 3][j]! / g),
      { relative: 0.005, name: 'm' },
    )
    assertClose(
      v.adapters['only']!.B.data.slice(4, 7),
      sizes.map((g, j) => [5, 6, 7][j]! / g ** 2),
      { relative: 0.01, name: 'v' },
    )
  })

  it("AdamW's moments of a gate far below ĝ = 0 are divided by ḡ at that border", () => {
    const { m, v } = pruned({})
    const border = size(-Math.log(11))
    assertClose([m.adapters['only']!.B.data[3]!, v.adapters['only']!.B.data[3]!], [4 / border, 8 / border ** 2], { relative: 0.01 })
  })

  it('are unchanged if no gate is folded: kept, binary, and without sampled gates', () => {
    ;[{ gateAfter: 'kept' }, { gateAfter: 'binary' }, { retain: 'magnitude' } as const].forEach((change) => {
      const { m, v } = pruned(change as Partial<PruneSettings>)
      expect([m.adapters, v.adapters]).toEqual([withMoments.m.adapters, withMoments.v.adapters])
    })
  })

  it('match the following steps: a column under the same pull continues at the pace of its gradient without gate', () => {
    // The task pulls gB with force 1: the gradient in B is g, and v approaches E[g²]. After the fold, the gradient is 1, and v should be 1.
    const steps = 8000
    const [u] = uniform([steps])(SEED)
    const { v } = [...sampleGate(settings)(filled([steps], -1), u).data].reduce(
      (moments, g, t) =>
        adamw(defaultSettings)(filled([1], 0), tensor([1], [g]), moments, { learningRate: 0, weightDecay: 0, step: t + 1 })[1],
      initMoments(filled([1], 0)),
    )
    const state: TrainingState = {
      ...withMoments,
      v: { ...begin.v, adapters: { only: { ...adapter, B: filled([2, 4], v.data[0]!) } } },
    }
    const after = pruneState({ ...settings, targetDensity: 1 })(state)[0]
    assertClose([after.v.adapters['only']!.B.data[2]!], [1], { relative: 0.1, name: 'v of the column at log θ = −1' })
  })
})

describe(`the objective after T_end (seed ${SEED})`, () => {
  const change = (state: TrainingState, settings: Partial<Settings>) => {
    const evaluate = (parameters: Parameters, afterEnd: AfterEnd | null) =>
      objective(model.config, { ...model.settings, ...settings }, model.base)(parameters, model.batch, model.noise, open, afterEnd)
    return { evaluate, now: evaluate(state, state.afterEnd) }
  }
  const squaredNormsOf = (B: Tensor): Tensor => columnSums(multiply(B, B))

  it.each(
    (['soft', 'kept'] as const).flatMap((gateAfter) => (['unit', 'folded', 'off'] as const).map((term) => [gateAfter, term] as const)),
  )('has the gradients of its finite differences: gates %s, orthogonality %s', (gateAfter, orthogonalityAfter) => {
    const start = afterPruning({ gateAfter, targetDensity: 0.3 })[0]
    const state = step(start, { ...open, learningRate: 0.1 }, { orthogonalityAfter })[0] // off the norms that T_end left
    const { evaluate, now } = change(state, { orthogonalityAfter })
    Object.entries(state.adapters).forEach(([module, adapter]) =>
      (['A', 'B'] as const).forEach((part) => {
        const loss = (x: Tensor): number =>
          evaluate({ ...state, adapters: { ...state.adapters, [module]: { ...adapter, [part]: x } } }, state.afterEnd).loss
        assertClose(now.gradients.adapters[module]![part].data, gradient(loss, adapter[part]).data, {
          relative: 1e-7,
          absolute: 1e-9,
          name: `gradient of ${module}.${part}`,
        })
      }),
    )
  })

  it('has the term R with unit columns of B, with the norms of T_end, or not at all', () => {
    const start = afterPruning({})[0]
    const state = step(start, { ...open, learningRate: 0.1 })[0]
    const modules = Object.entries(state.adapters)
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / (2 * values.length)
    const term = (orthogonalityAfter: Settings['orthogonalityAfter']): number => {
      const { loss, taskLoss } = change(state, { orthogonalityAfter }).now
      return loss - taskLoss
    }
    const unit = mean(modules.map(([, adapter]) => orthogonality(adapter)))
    const folded = mean(modules.map(([module, adapter]) => orthogonality(adapter, squaredNormsOf(start.adapters[module]!.B))))
    assertClose([term('unit'), term('folded')], [0.1 * unit, 0.1 * folded], { relative: 1e-11, name: 'β R' })
    expect(term('off')).toBe(0)
    expect(Math.abs(unit - folded)).toBeGreaterThan(0.01)
  })

  it('does not depend before T_end on the settings for the time after it', () => {
    const losses = (['unit', 'folded', 'off'] as const).map((orthogonalityAfter) => step(trained, sampled, { orthogonalityAfter })[1].loss)
    expect(new Set(losses).size).toBe(1)
  })
})
