import { describe, expect, it } from 'vitest'
import {
  crossEntropy,
  deterministicGate,
  encoder,
  filled,
  mapAdapter,
  named,
  objective,
  penalty,
  sampleGate,
  adapterScale,
  squaredNorm,
  startFrom,
  tensor,
  trainingStep,
  transpose,
  zerosLike,
  type Adapter,
  type Adapters,
  type Gating,
  type Parameters,
  type StepControl,
  type Tensor,
  type TrainingState,
} from '../../../reference/index.js'
import { tiny, type Tiny, type TinyOptions } from '../../support/arbitraries/encoders.js'
import { assertClose } from '../../support/assertClose.js'
import { gradient, slope } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const roberta: TinyOptions = { family: 'roberta', taskType: 'classification', seed: SEED }
const bound = { relative: 1e-7, absolute: 1e-9 }
const control: StepControl = {
  gating: 'sampled',
  targetDensity: 0.5,
  learningRate: 0.01,
  controlLearningRate: 0.02,
  multiplierLearningRate: 0.03,
}

const evaluate = (model: Tiny, gating: Gating, parameters: Parameters = model.parameters, noise = model.noise) =>
  objective(model.config, model.settings, model.base)(parameters, model.batch, noise, { gating, targetDensity: 0.5 })

const step = (
  model: Tiny,
  change: Partial<StepControl> = {},
  state: TrainingState = startFrom(model.parameters),
  settings = model.settings,
) => trainingStep(model.config, settings, model.base)(state, model.batch, model.noise, { ...control, ...change })

const withAdapter = (parameters: Parameters, name: string, change: Partial<Adapter>): Parameters => ({
  ...parameters,
  adapters: { ...parameters.adapters, [name]: { ...parameters.adapters[name]!, ...change } },
})

/** ‖BᵢᵀBᵢ − I‖²_F and ‖AᵢAᵢᵀ − I‖²_F, matrix by matrix, from the inner products of columns and of rows. */
const normsOf = ({ adapters }: Parameters): readonly number[] => {
  const norm = (vectors: readonly (readonly number[])[]): number =>
    vectors
      .flatMap((x, i) => vectors.map((y, j) => x.reduce((total, value, n) => total + value * y[n]!, 0) - (i === j ? 1 : 0)))
      .reduce((total, error) => total + error ** 2, 0)
  const rows = ({ shape: [n, m], data }: Tensor) => Array.from({ length: n! }, (_, i) => [...data.slice(i * m!, (i + 1) * m!)])
  return Object.values(adapters).flatMap(({ A, B }) => [norm(rows(transpose(B))), norm(rows(A))])
}

const summed = (model: Tiny): Tiny => ({ ...model, settings: { ...model.settings, orthogonality: 'sum' } })

const cases: readonly (readonly [string, TinyOptions])[] = [
  ...(['roberta', 'bert'] as const).flatMap((family) =>
    (['classification', 'regression'] as const).map(
      (taskType) => [`${family}, ${taskType}`, { family, taskType, layers: 1, seed: SEED }] as const,
    ),
  ),
  ['tanh GELU, r = 1, one token', { ...roberta, activation: 'gelu_tanh', layers: 1, rank: 1, lengths: [1] }],
  ['two layers', { ...roberta, rank: 1, lengths: [2] }],
  ['all gates shut', { ...roberta, layers: 1, s: [-0.05] }],
  ['all gates open', { ...roberta, layers: 1, s: [1.05] }],
]

describe(`the objective (seed ${SEED})`, () => {
  it.each([
    ...cases.map(([name, options]) => [name, tiny(options)] as const),
    ['R summed, one layer', summed(tiny({ ...roberta, layers: 1, lengths: [2] }))] as const,
  ])('has, of every trained number, the gradient of its finite differences: %s', (_, model) => {
    const { parameters } = model
    const loss = (changed: Parameters) => evaluate(model, 'sampled', changed).loss
    const { gradients } = evaluate(model, 'sampled')
    const check = (name: string, x: Tensor, actual: Tensor, put: (x: Tensor) => Parameters) =>
      assertClose(actual.data, gradient((y) => loss(put(y)), x).data, { ...bound, name: `gradient of ${name}` })
    Object.entries(parameters.adapters).forEach(([name, adapter]) =>
      (['A', 'B', 'logTheta'] as const).forEach((part) =>
        check(`${name}.${part}`, adapter[part], gradients.adapters[name]![part], (x) => withAdapter(parameters, name, { [part]: x })),
      ),
    )
    Object.entries(parameters.head).forEach(([name, x]) =>
      check(name, x, named(gradients.head, name), (y) => ({ ...parameters, head: { ...parameters.head, [name]: y } })),
    )
    assertClose([gradients.lambda], [slope((t) => loss({ ...parameters, lambda: parameters.lambda + t }))], {
      ...bound,
      name: 'gradient of λ',
    })
  })

  it('is equation (12), term by term: mean loss plus β R plus λ (C − b)², where R is the mean of the 2K norms or their sum', () => {
    const model = tiny(roberta)
    const { loss, taskLoss, orthogonality, density, penalty: term, logits } = evaluate(model, 'sampled')
    const norms = normsOf(model.parameters)
    const total = norms.reduce((a, b) => a + b, 0)
    assertClose([taskLoss], [crossEntropy(logits, model.batch.labels)], { relative: 1e-14, name: 'task loss' })
    assertClose([term], [penalty(0.7, density, 0.5)], { relative: 1e-14, name: 'penalty' })
    assertClose([orthogonality], [total], { relative: 1e-13, name: 'Σ R' })
    assertClose([loss], [taskLoss + 0.1 * (total / norms.length) + term], { relative: 1e-13, name: 'loss, R averaged' })
    assertClose([evaluate(summed(model), 'sampled').loss], [taskLoss + 0.1 * total + term], { relative: 1e-13, name: 'loss, R summed' })
    expect(norms.length).toBe(24) // two for each of the six matrices of two layers
    expect(evaluate(model, 'sampled', { ...model.parameters, lambda: 0 }).penalty).toBe(0)
  })

  it('averages R over the matrices that currently have an adapter, and reports R of each', () => {
    const model = tiny(roberta)
    const rest = { ...model.parameters, adapters: Object.fromEntries(Object.entries(model.parameters.adapters).slice(0, 3)) }
    const norms = normsOf(rest)
    const { loss, taskLoss, orthogonalities } = evaluate(model, 'open', rest)
    assertClose([loss - taskLoss], [0.1 * (norms.reduce((a, b) => a + b, 0) / 6)], { relative: 1e-12, name: 'β R' })
    assertClose(
      Object.values(orthogonalities),
      [0, 2, 4].map((i) => norms[i]! + norms[i + 1]!),
      { relative: 1e-13, name: 'R of each' },
    )
    expect(Object.keys(orthogonalities)).toEqual(Object.keys(rest.adapters))
    const none = evaluate(model, 'open', { ...model.parameters, adapters: {} })
    expect(none.loss).toBe(none.taskLoss)
  })

  it('lowers every log θ by the density alone when the loss does not depend on the gates', () => {
    // Clipped gates pass no gradient of the loss, so this is the L0 term's gradient, and it is there.
    const { gradients } = evaluate(tiny({ ...roberta, s: [1.05] }), 'sampled')
    Object.values(gradients.adapters).forEach(({ logTheta }) => expect(logTheta.data.every((x) => x > 0)).toBe(true))
  })

  it('omits the density and leaves Θ and λ unchanged when gates are not sampled', () => {
    ;(['open', 'expected'] as const).forEach((gating) => {
      const { gradients, penalty: term } = evaluate(tiny(roberta), gating)
      expect([term, gradients.lambda]).toEqual([0, 0])
      Object.values(gradients.adapters).forEach(({ logTheta }) => expect(logTheta.data.every((x) => x === 0)).toBe(true))
    })
  })

  it('has sampled, deterministic or open gates, as `gating` says', () => {
    const model = tiny(roberta)
    const [name, { logTheta }] = Object.entries(model.parameters.adapters)[0]!
    expect(evaluate(model, 'sampled').gates[name]).toEqual(sampleGate(model.settings)(logTheta, named(model.noise.gates, name)))
    expect(evaluate(model, 'expected').gates[name]).toEqual(deterministicGate(model.settings)(logTheta))
    expect(evaluate(model, 'open').gates[name]).toEqual(filled(logTheta.shape, 1))
    const operands = { base: model.base, adapters: model.parameters.adapters, head: model.parameters.head, gates: {} }
    const run = encoder(model.config, { scale: adapterScale(model.settings) })
    expect(evaluate(model, 'open').logits).toEqual(run(operands, model.batch, model.noise.dropout).logits)
  })

  it('depends on the noise, through the gates', () => {
    const model = tiny(roberta)
    const reflected = Object.entries(model.noise.gates).map(
      ([name, u]) =>
        [
          name,
          tensor(
            u.shape,
            u.data.map((x) => 1 - x),
          ),
        ] as const,
    )
    const other = { ...model.noise, gates: Object.fromEntries(reflected) }
    expect(evaluate(model, 'sampled', model.parameters, other).taskLoss).not.toBe(evaluate(model, 'sampled').taskLoss)
    expect(evaluate(model, 'open', model.parameters, other).taskLoss).toBe(evaluate(model, 'open').taskLoss)
  })

  it('moves B away from 0 only by the task', () => {
    const model = tiny(roberta)
    const [name, adapter] = Object.entries(model.parameters.adapters).at(-1)!
    const parameters = withAdapter(model.parameters, name, { B: zerosLike(adapter.B) })
    const withBeta = (beta: number) =>
      objective(model.config, { ...model.settings, beta }, model.base)(parameters, model.batch, model.noise, control).gradients.adapters[
        name
      ]!.B
    expect(withBeta(100)).toEqual(withBeta(0))
    expect(squaredNorm(withBeta(0))).toBeGreaterThan(0)
  })

  it('returns the gradients of the base model with `baseGradients`', () => {
    const model = tiny(roberta)
    const { baseGradients } = objective(model.config, model.settings, model.base, { baseGradients: true })(
      model.parameters,
      model.batch,
      model.noise,
      control,
    )
    expect(Object.keys(baseGradients).sort()).toEqual(Object.keys(model.base).sort())
    expect(evaluate(model, 'sampled').baseGradients).toEqual({})
  })
})

const tensorsOf = (adapters: Adapters): readonly (readonly [string, Adapter])[] => Object.entries(adapters)

describe(`a training step (seed ${SEED})`, () => {
  it('moves W, Θ and λ at once, each at its own rate: the first step of Adam is η·sign of the gradient', () => {
    const model = tiny(roberta)
    const settings = { ...model.settings, weightDecay: 0 }
    const [next] = step(model, {}, startFrom(model.parameters), settings)
    const { gradients } = evaluate(model, 'sampled')
    const moved = (name: string, before: Tensor, after: Tensor, slope: Tensor, rate: number) =>
      assertClose(
        after.data,
        before.data.map((x, i) => x - (rate * slope.data[i]!) / (Math.abs(slope.data[i]!) + 1e-8)),
        { relative: 0, absolute: 1e-12, name },
      )
    tensorsOf(model.parameters.adapters).forEach(([name, before]) => {
      moved(`${name}.A`, before.A, next.adapters[name]!.A, gradients.adapters[name]!.A, 0.01)
      moved(`${name}.B`, before.B, next.adapters[name]!.B, gradients.adapters[name]!.B, 0.01)
      moved(`${name}.logTheta`, before.logTheta, next.adapters[name]!.logTheta, gradients.adapters[name]!.logTheta, 0.02)
    })
    Object.entries(model.parameters.head).forEach(([name, before]) =>
      moved(name, before, named(next.head, name), named(gradients.head, name), 0.01),
    )
    assertClose([next.lambda], [0.73], { relative: 1e-6, name: 'λ ascends' })
    expect([next.step, next.gatedStep]).toEqual([1, 1])
  })

  it('moves B, and B alone, at a multiple of the rate of A with LoRA+, and its decay with it', () => {
    const model = tiny(roberta)
    const nextOf = (loraPlusRatio: number) =>
      step(model, {}, startFrom(model.parameters), { ...model.settings, weightDecay: 0.5, loraPlusRatio })[0]
    const [plain, plus] = [nextOf(1), nextOf(4)]
    tensorsOf(model.parameters.adapters).forEach(([name, { B: before }]) => {
      const [once, fourTimes] = [plain.adapters[name]!, plus.adapters[name]!]
      assertClose(
        fourTimes.B.data,
        before.data.map((x, i) => x + 4 * (once.B.data[i]! - x)),
        { relative: 1e-12, name: `${name}.B` },
      )
      expect([fourTimes.A, fourTimes.logTheta]).toEqual([once.A, once.logTheta])
    })
    expect([plus.head, plus.lambda]).toEqual([plain.head, plain.lambda])
  })

  it('never lowers λ, with either ascent, at any density', () => {
    const model = tiny(roberta)
    ;(['ramp', 'adam', 'descent'] as const).forEach((rule) =>
      [0.01, 0.3, 0.9, 1].forEach((targetDensity) => {
        const once = step(model, { targetDensity }, startFrom(model.parameters), { ...model.settings, control: rule })[0]
        const twice = step(model, { targetDensity }, once, { ...model.settings, control: rule })[0]
        expect(once.lambda).toBeGreaterThanOrEqual(0.7)
        expect(twice.lambda).toBeGreaterThanOrEqual(once.lambda)
      }),
    )
  })

  it('moves Θ by −η ∇L and λ by η (C − b)² in every step of Algorithm 1 to the letter', () => {
    const model = tiny(roberta)
    const paper = { ...model.settings, control: 'descent' } as const
    const once = step(model, {}, startFrom(model.parameters), paper)[0]
    const [twice, { density, gradients }] = step(model, {}, once, paper)
    assertClose([twice.lambda], [once.lambda + 0.03 * (density - 0.5) ** 2], { relative: 1e-14, name: 'λ' })
    tensorsOf(once.adapters).forEach(([name, { logTheta }]) =>
      assertClose(
        twice.adapters[name]!.logTheta.data,
        logTheta.data.map((x, j) => x - 0.02 * gradients.adapters[name]!.logTheta.data[j]!),
        { relative: 1e-14, name: `${name}.logTheta` },
      ),
    )
    // W is AdamW's as ever, and Θ and λ have no moments.
    expect(twice.adapters).not.toEqual(once.adapters)
    expect([twice.m.lambda, twice.v.lambda]).toEqual([0, 0])
    Object.values(twice.v.adapters).forEach(({ logTheta }) => expect(logTheta.data.every((x) => x === 0)).toBe(true))
  })

  it('moves Θ and λ with `adam` as PyTorch would: by the means of all gradients so far, the last one weighing most', () => {
    const model = tiny(roberta)
    const settings = { ...model.settings, control: 'adam', gateAdam: { beta1: 0.5, beta2: 0.99, epsilon: 1e-8 } } as const
    const states = [startFrom(model.parameters)]
    const reports: Parameters[] = []
    for (let t = 0; t < 3; t++) {
      const [next, { gradients }] = step(model, {}, states[t]!, settings)
      states.push(next)
      reports.push(gradients)
    }
    /** Without a recursion: m̂ = Σ β₁ᵗ⁻ⁱ gᵢ / Σ β₁ᵗ⁻ⁱ, and v̂ of g² by β₂; the sum of the three steps. */
    const moved = (gradients: readonly number[], beta1: number, beta2: number): number => {
      const mean = (values: readonly number[], beta: number): number => {
        const weights = values.map((_, i) => beta ** (values.length - 1 - i))
        return values.reduce((total, x, i) => total + x * weights[i]!, 0) / weights.reduce((a, b) => a + b, 0)
      }
      return gradients.reduce((total, _, i) => {
        const soFar = gradients.slice(0, i + 1)
        return (
          total +
          mean(soFar, beta1) /
            (Math.sqrt(
              mean(
                soFar.map((x) => x * x),
                beta2,
              ),
            ) +
              1e-8)
        )
      }, 0)
    }
    tensorsOf(states[3]!.adapters).forEach(([name, { logTheta }]) =>
      logTheta.data.forEach((x, j) => {
        const gradients = reports.map(({ adapters }) => adapters[name]!.logTheta.data[j]!)
        const expected = model.parameters.adapters[name]!.logTheta.data[j]! - 0.02 * moved(gradients, 0.5, 0.99)
        assertClose([x], [expected], { relative: 1e-12, absolute: 1e-13, name: `${name}.logTheta` })
      }),
    )
    const ofLambda = reports.map(({ lambda }) => lambda)
    assertClose([states[3]!.lambda], [0.7 + 0.03 * moved(ofLambda, 0.9, 0.999)], { relative: 1e-12, name: 'λ' })
  })

  it('penalizes λ Σ P(g > 0) with a constant λ, equation (10), whatever b is, and leaves λ alone at a rate of 0', () => {
    const model = tiny(roberta)
    const { tau, gamma, zeta } = model.settings
    const settings = { ...model.settings, control: 'constant' } as const
    const start = startFrom(model.parameters)
    const run = (lambda: number, targetDensity: number) =>
      step(model, { targetDensity, multiplierLearningRate: 0 }, { ...start, lambda }, settings)
    const [[next, penalized], [, free], [, elsewhere]] = [run(0.7, 0.5), run(0, 0.5), run(0.7, 0.1)]
    const probabilities = tensorsOf(start.adapters).map(([name, { logTheta }]): [string, readonly number[]] => [
      name,
      [...logTheta.data].map((x) => 1 / (1 + Math.exp(tau * Math.log(-gamma / zeta) - x))),
    ])
    const expected = 0.7 * probabilities.flatMap(([, values]) => values).reduce((a, b) => a + b, 0)
    assertClose([penalized.loss - free.loss, penalized.penalty], [expected, expected], { relative: 1e-12, name: 'λ Σ P' })
    probabilities.forEach(([name, values]) =>
      values.forEach((p, j) => {
        const [withIt, without] = [penalized, free].map(({ gradients }) => gradients.adapters[name]!.logTheta.data[j]!)
        assertClose([withIt! - without!], [0.7 * p * (1 - p)], { relative: 1e-10, name: `slope of ${name}` })
      }),
    )
    expect([next.lambda, elsewhere.loss]).toEqual([0.7, penalized.loss])
  })

  it('updates only W when gates are not sampled', () => {
    const model = tiny(roberta)
    const start = step(model)[0]
    const [next] = step(model, { gating: 'open' }, start)
    expect([next.step, next.gatedStep, next.lambda, next.m.lambda, next.v.lambda]).toEqual([
      2,
      1,
      start.lambda,
      start.m.lambda,
      start.v.lambda,
    ])
    tensorsOf(start.adapters).forEach(([name, { A, logTheta }]) => {
      expect(next.adapters[name]!.logTheta).toEqual(logTheta)
      expect(next.m.adapters[name]!.logTheta).toEqual(start.m.adapters[name]!.logTheta)
      expect(next.adapters[name]!.A).not.toEqual(A)
    })
  })

  it('counts gated steps separately: after plain steps, the first gated step moves Θ by η_c and λ by its rate', () => {
    const model = tiny(roberta)
    const plain = step(model, { gating: 'open' }, step(model, { gating: 'open' })[0])[0]
    const [next, { gradients }] = step(model, {}, plain)
    assertClose([next.lambda - plain.lambda], [0.03], { relative: 1e-6, name: 'λ' })
    const [name, { logTheta }] = tensorsOf(plain.adapters)[0]!
    const expected = logTheta.data.map((x, i) => x - 0.02 * Math.sign(gradients.adapters[name]!.logTheta.data[i]!))
    assertClose(next.adapters[name]!.logTheta.data, expected, { relative: 1e-5, name: 'log θ' })
  })

  it("decays A, B and the head's matrices, but no bias, Θ or λ", () => {
    const model = tiny(roberta)
    const [plain, decayed] = [0, 0.5].map(
      (weightDecay) => step(model, {}, startFrom(model.parameters), { ...model.settings, weightDecay })[0],
    )
    const shrunk = (before: Tensor, without: Tensor, after: Tensor, factor: number) =>
      assertClose(
        after.data,
        without.data.map((x, i) => x - factor * before.data[i]!),
        { relative: 1e-13 },
      )
    tensorsOf(model.parameters.adapters).forEach(([name, before]) =>
      (['A', 'B', 'logTheta'] as const).forEach((part) =>
        shrunk(before[part], plain!.adapters[name]![part], decayed!.adapters[name]![part], part === 'logTheta' ? 0 : 0.005),
      ),
    )
    Object.entries(model.parameters.head).forEach(([name, before]) =>
      shrunk(before, named(plain!.head, name), named(decayed!.head, name), name.endsWith('.bias') ? 0 : 0.005),
    )
    expect(decayed!.lambda).toBe(plain!.lambda)
  })

  it('clips the global gradient norm of W, and reports the norm before clipping', () => {
    const model = tiny(roberta)
    const [free, { gradientNorm, gradients }] = step(model)
    const weights = [...Object.values(gradients.adapters).flatMap(({ A, B }) => [A, B]), ...Object.values(gradients.head)]
    assertClose([gradientNorm], [Math.hypot(...weights.flatMap((x) => [...x.data]))], { relative: 1e-12, name: 'norm' })
    const [clipped] = step(model, {}, startFrom(model.parameters), { ...model.settings, clip: gradientNorm / 4 })
    const [name, { A }] = tensorsOf(free.m.adapters)[0]!
    assertClose(
      clipped.m.adapters[name]!.A.data,
      A.data.map((x) => x / 4),
      { relative: 1e-6, name: 'm of A' },
    )
    expect(clipped.m.adapters[name]!.logTheta).toEqual(free.m.adapters[name]!.logTheta)
    expect(step(model, {}, startFrom(model.parameters), { ...model.settings, clip: 2 * gradientNorm })[0]).toEqual(free)
  })

  it('does not modify its inputs', () => {
    const model = tiny(roberta)
    const copy = JSON.stringify(model)
    step(model)
    expect(JSON.stringify(model)).toBe(copy)
    expect(step(model)).toEqual(step(model))
  })

  it('refuses missing noise and noise of another rank', () => {
    const model = tiny(roberta)
    const run = (gates: Record<string, Tensor>) => () =>
      trainingStep(model.config, model.settings, model.base)(startFrom(model.parameters), model.batch, { gates, dropout: {} }, control)
    expect(run({})).toThrow('expected a tensor called encoder.layer.0')
    const mapped = Object.fromEntries(Object.keys(model.noise.gates).map((name) => [name, filled([5], 0.5)]))
    expect(run(mapped)).toThrow('expected shape [2], got [5]')
    expect(mapAdapter(zerosLike)(Object.values(model.parameters.adapters)[0]!).A.data.every((x) => x === 0)).toBe(true)
  })
})
