/** One step of every method and of every loss: its loss and its gradients, against the reference or, where that has none, central differences. */
import type { Feeds } from '../../accelerated/engines/feeds.js'
import { noWeights, type Results } from '../../accelerated/engines/engine.js'
import { buildLayout, type Assembly } from '../../accelerated/training/assembly.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { controlFeeds, noiseFeeds } from '../../accelerated/training/microBatchFeeds.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { Ia3Phase } from '../../accelerated/methods/ia3.js'
import { flatten, viewTensor, zeros, type Vector } from '../../accelerated/parameters/vectors.js'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { buildModel, normal, tensor, type Tensors } from '../../reference/index.js'
import { buildAssembly, matrixNames, withLevels, boundIn, findDtype, openRuntime, type Target } from './acceleratedSide.js'
import { namedNumbers, namedParts } from './convert.js'
import { normals } from './drawModel.js'
import { follow, levelRows } from './int8Rounding.js'
import { compare, type Numbers, type Row } from './rows.js'
import type { LossCase, MethodCase } from './methodCases.js'

/** The production graph of a step that accumulates gradients, for a method and a loss. */
type Side = { readonly assembly: Assembly; readonly phase: unknown; readonly layout: ParameterLayout }

const progress = { step: 0, steps: 100 }

const buildSide = (loss: LossCase, { settings: given }: MethodCase, precision: string): Side => {
  const plain = buildAssembly(loss.model, precision)
  const settings = resolveSettings(given)
  const method = findMethod(settings.method)
  const assembly: Assembly = { ...plain, method, settings, objective: loss.objective(plain.model, method) }
  const phase = method.phases.start(plain.model.spec, settings)
  return { assembly, phase, layout: buildLayout(assembly, phase) }
}

/** Trained numbers by name: the drawn model's where it has them, others drawn by their name. */
const drawNumbers = ({ model }: LossCase, { entries }: ParameterLayout): ReadonlyMap<string, Numbers> => {
  const drawn = new Map([
    ...Object.entries(model.base).map(([name, { data }]) => [name, data] as const),
    ...namedNumbers(model.parameters, false),
  ])
  return new Map(
    entries.map(({ name, shape, size }) => {
      const known = drawn.get(name)
      return [name, known?.length === size ? known : normals(shape, 0.5, 7, name).data]
    }),
  )
}

type Step = { readonly loss: number; readonly gradient: Vector; readonly results: Results }

const openStep = async (loss: LossCase, side: Side, target: Target) => {
  const { assembly, phase, layout } = side
  const dtype = findDtype(target)
  const session = await openRuntime(target).engine.open(withLevels(assembly, stepGraph(assembly, phase, 'add').outputs), noWeights)
  const objective = loss.objective(assembly.model, assembly.method)
  const prepared = objective.prepare(loss.examples as readonly never[], { seed: 0, step: 0 })
  const { feeds: batch, packed } = batchFeeds(assembly, prepared, prepared.weight)
  const noise = noiseFeeds(assembly, packed, 0)
  const run = async (parameters: Vector): Promise<Step> => {
    const gradient = zeros(layout.size, dtype)
    const moments = { firstMoment: zeros(layout.size, dtype), secondMoment: zeros(layout.size, dtype) }
    const feeds = {
      ...controlFeeds(assembly, phase, progress),
      ...stateFeeds(layout, { parameters, ...moments, memory: {} }, dtype),
      ...batch,
      ...noise,
      ...blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype),
    }
    const results = await session.run(feeds, resultsInto(layout, { gradientSum: gradient }))
    collect(layout, { gradientSum: gradient }, results)
    return { loss: Number(results['loss']?.[0]), gradient, results }
  }
  return { run, release: session.release, noise: noise['embeddingNoise'] }
}

/** Loss and gradient by the hand-derived rules. AdaLoRA's E is a gate that may have any value. */
const derive = (
  loss: LossCase,
  { scale = 1, settings }: MethodCase,
  numbers: ReadonlyMap<string, Numbers>,
  followed: ReturnType<typeof follow>,
  { vectors: scaled = [] }: Partial<Ia3Phase>,
  noise: Feeds[string] | undefined,
) => {
  const { config, base, parameters, batch } = loss.model
  const part = (name: string, like: { readonly shape: readonly number[] }) => tensor(like.shape, Array.from(numbers.get(name) ?? []))
  const isAdapted = ([module]: readonly [string, unknown]): boolean => numbers.has(`${module}.A`)
  const modules = Object.entries(parameters.adapters).filter(isAdapted)
  const adapters = Object.fromEntries(
    modules.map(([module, { A, B }]) => [module, { A: part(`${module}.A`, A), B: part(`${module}.B`, B) }]),
  )
  const gates: Tensors = Object.fromEntries(
    modules.flatMap(([module, { logTheta }]) => (numbers.has(`${module}.E`) ? [[module, part(`${module}.E`, logTheta)]] : [])),
  )
  const vectors = Object.fromEntries(
    scaled.map(({ name, size, scales }) => [name, { l: part(`${name}.l`, { shape: [size] }), scales }] as const),
  )
  const head = loss.head ?? parameters.head
  const noisy = noise === undefined ? {} : { embeddingNoise: tensor(noise.shape, Array.from(noise.data, Number)) }
  const run = buildModel(config, { ...followed, ...noisy, scale, baseGradients: settings.method === 'full' })
  const runBase = buildModel(config, { ...followed.base, scale })
  const traced = run({ base, adapters, gates, vectors, head }, batch)
  const { value, bar } = loss.ofOutputs(traced.logits, () => runBase({ base, adapters: {}, gates: {}, head }, batch).logits)
  const pulled = traced.pullback(bar())
  const gradients = new Map<string, Numbers>([
    ...Object.entries({ ...pulled.base, ...pulled.head }).map(([name, { data }]) => [name, data] as const),
    ...Object.entries(pulled.adapters).flatMap(([module, { A, B }]) => [
      [`${module}.A`, A.data] as const,
      [`${module}.B`, B.data] as const,
    ]),
    ...Object.entries(pulled.vectors).map(([module, { data }]) => [`${module}.l`, data] as const),
    ...Object.entries(pulled.gates).map(([module, { data }]) => [`${module}.E`, data] as const),
  ])
  return { value, gradients }
}

/** The loss, and the gradient of every trained tensor, by the reference. */
export const compareDerived = async (loss: LossCase, method: MethodCase, target: Target, number: number): Promise<readonly Row[]> => {
  const side = buildSide(loss, method, target.precision)
  const numbers = drawNumbers(loss, side.layout)
  const { run, release, noise } = await openStep(loss, side, target)
  const step = await run(flatten(side.layout, ({ name }) => numbers.get(name), findDtype(target))).finally(release)
  const bound = boundIn(target)
  const followed = follow(side.assembly.frozen, matrixNames(side.assembly), [step.results], bound)
  const expected = derive(loss, method, numbers, followed, side.phase as Partial<Ia3Phase>, noise)
  const actual = namedParts(side.layout, step.gradient)
  return [
    compare('values', bound, number)('loss', [expected.value], [step.loss]),
    ...gradientRows(expected.gradients, actual, bound, number),
    ...levelRows('values', bound, number, followed.levels()),
  ]
}

/**
 * A row for each trained tensor. The gradient of a key's bias is 0 but for rounding, since a softmax ignores what is added to all its scores: it is
 * compared beside the largest gradient.
 */
const gradientRows = (expected: ReadonlyMap<string, Numbers>, actual: ReadonlyMap<string, Numbers>, bound: number, number: number) => {
  const largest = (numbers: Numbers): number => Array.from(numbers).reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  const scale = Math.max(...[...expected.values()].map(largest))
  return [...actual].map(([name, gradient]) => {
    const own = expected.get(name) ?? []
    const row = compare('gradients', bound, number)
    return own.length > 0 && largest(own) < 1e-12 * scale
      ? row(`gradient of ${name} beside the largest`, [scale], [scale + largest(gradient)])
      : row(`gradient of ${name}`, own, gradient)
  })
}

/** The step of central differences along a direction of length 1: the rule's error is about its fourth power, rounding 1e-16 over it. */
const h = 2e-3

/** How far central differences may lie from a float64 gradient. */
const differenceBound = 1e-8

/** The loss of the float64 graph, and its slope along random directions by central differences of fourth order (float32 and float64 only). */
export const compareDifferences = async (loss: LossCase, method: MethodCase, target: Target, number: number): Promise<readonly Row[]> => {
  const exact = { device: 'cpu', precision: 'float64' }
  const [side, exactSide] = [target.precision, exact.precision].map((precision) => buildSide(loss, method, precision)) as [Side, Side]
  const numbers = drawNumbers(loss, side.layout)
  const start = flatten(exactSide.layout, ({ name }) => numbers.get(name), 'float64')
  const isFree = (name: string): boolean => method.along?.test(name) ?? true
  const [tested, reference] = [await openStep(loss, side, target), await openStep(loss, exactSide, exact)]
  try {
    const { loss: value, gradient } = await tested.run(flatten(side.layout, ({ name }) => numbers.get(name), findDtype(target)))
    const slopes: (readonly [expected: number, actual: number])[] = []
    for (let i = 0; i < 3; i++) {
      const [drawn] = normal([side.layout.size], 1)(i + 1)
      const along = side.layout.entries.flatMap(({ name }) =>
        Array.from(viewTensor(side.layout, drawn.data, name), (x) => (isFree(name) ? x : 0)),
      )
      const length = Math.sqrt(along.reduce((sum, x) => sum + x * x, 0))
      const computeLoss = async (distance: number) =>
        (await reference.run(start.map((x, j) => x + (distance * along[j]!) / length) as Float64Array)).loss
      const [near, far] = [(await computeLoss(h)) - (await computeLoss(-h)), (await computeLoss(2 * h)) - (await computeLoss(-2 * h))]
      slopes.push([(8 * near - far) / (12 * h), Array.from(gradient).reduce((sum, x, j) => sum + (x * along[j]!) / length, 0)])
    }
    return [
      compare('values', boundIn(target), number)('loss', [(await reference.run(start)).loss], [value]),
      compare('gradients', Math.max(boundIn(target), differenceBound), number)(
        'slopes along random directions',
        slopes.map(([expected]) => expected),
        slopes.map(([, actual]) => actual),
      ),
    ]
  } finally {
    await tested.release()
    await reference.release()
  }
}

/** Whether the precision computes in its own dtype. Where it rounds, the reference follows the levels of one forward pass over frozen matrices. */
export const isExact = (precision: string): boolean => findPrecision(precision).dtype === precision

/** A precision that rounds frozen matrices has none to round where every weight is trained. */
export const canFollow = ({ settings }: MethodCase, precision: string): boolean => isExact(precision) || settings.method !== 'full'
