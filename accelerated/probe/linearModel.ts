/**
 * The linear probe: a regularized linear model on frozen features (Alain and Bengio, 2017), which becomes the head at step 0. Training then goes on
 * from it, so it does not distort good features to please a random head (Kumar et al., 2022).
 *
 * With rows xᵢ of features, z = W x + b and the squared norm of the centered rows 1 in the mean, it is the minimum of
 *   C Σ wᵢ loss(zᵢ, yᵢ) + ‖W‖² / 2
 * as in scikit-learn's LogisticRegression. The minimum is unique, so how it is found does not matter: here by L-BFGS (Nocedal and Wright, 7.2).
 * C is chosen by cross-validation: the rows that score a strength never helped to fit it.
 */

/** The probabilities of some classes, each times its weight if classes have weights; the others have 0. */
export type Shares = readonly (readonly [label: number, share: number])[]

/** single: a class, or with `shares` its most probable one · multi: some of the classes · score: a number, with ½(z − y)² */
export type Targets =
  | { readonly kind: 'single'; readonly classes: number; readonly labels: ArrayLike<number>; readonly shares?: readonly Shares[] }
  | { readonly kind: 'multi'; readonly classes: number; readonly labels: readonly (readonly number[])[] }
  | { readonly kind: 'score'; readonly classes: 1; readonly labels: ArrayLike<number> }

/** rows: their numbers, each [width]. weights: of the rows (default: 1). hasBias: whether there is a b */
type ProbeData = {
  readonly rows: readonly ArrayLike<number>[]
  readonly targets: Targets
  readonly weights?: readonly number[]
  readonly hasBias: boolean
}

/** W [classes, width], row-major, and b [classes], zeros without a bias. */
type LinearModel = { readonly weight: Float64Array; readonly bias: Float64Array }

/** z = W x + b: [classes] */
export const computeLogits = ({ weight, bias }: LinearModel, row: ArrayLike<number>): number[] => {
  const width = row.length
  return Array.from(bias, (b, c) => {
    let sum = b
    for (let j = 0; j < width; j++) sum += (weight[c * width + j] ?? 0) * (row[j] ?? 0)
    return sum
  })
}

/** The loss of one row, and its slope by z, which replaces z. */
const lossAndSlope = (targets: Targets, row: number, z: number[]): number => {
  const { kind, labels } = targets
  if (kind === 'single') {
    const shares = targets.shares?.[row] ?? [[labels[row] ?? 0, 1] as const]
    const mass = shares.reduce((sum, [, share]) => sum + share, 0)
    const most = z.reduce((a, b) => Math.max(a, b), -Infinity)
    const total = z.reduce((sum, x) => sum + Math.exp(x - most), 0)
    const loss = shares.reduce((sum, [label, share]) => sum + share * (Math.log(total) + most - (z[label] ?? 0)), 0)
    z.forEach((x, c) => (z[c] = (mass * Math.exp(x - most)) / total))
    for (const [label, share] of shares) z[label] = (z[label] ?? 0) - share
    return loss
  }
  if (kind === 'score') {
    const error = (z[0] ?? 0) - (labels[row] ?? 0)
    z[0] = error
    return (error * error) / 2
  }
  const holds = new Set(labels[row])
  return z.reduce((sum, x, c) => {
    const y = holds.has(c) ? 1 : 0
    z[c] = 1 / (1 + Math.exp(-x)) - y
    return sum + Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) - x * y
  }, 0)
}

/** The mean loss of rows that the model was not fitted on. */
export const meanLoss = (model: LinearModel, { rows, targets, weights }: ProbeData, of: readonly number[]): number => {
  const total = of.reduce((sum, row) => sum + (weights?.[row] ?? 1), 0)
  return of.reduce((sum, row) => sum + (weights?.[row] ?? 1) * lossAndSlope(targets, row, computeLogits(model, rows[row] ?? [])), 0) / total
}

/** How rows are centered and scaled: x' = (x − mean) / scale. Without a bias nothing is subtracted. */
type Frame = { readonly mean: Float64Array; readonly scale: number }

const fitFrame = ({ rows, hasBias }: ProbeData, of: readonly number[]): Frame => {
  const width = rows[0]?.length ?? 0
  const mean = new Float64Array(width)
  if (hasBias) for (const row of of) for (let j = 0; j < width; j++) mean[j] = (mean[j] ?? 0) + (rows[row]?.[j] ?? 0) / of.length
  let squares = 0
  for (const row of of) for (let j = 0; j < width; j++) squares += ((rows[row]?.[j] ?? 0) - (mean[j] ?? 0)) ** 2 / of.length
  return { mean, scale: squares > 0 ? Math.sqrt(squares) : 1 }
}

/** The probe of these rows. @param strength C @param start the model of another strength, from which the search begins */
export const fitLinearModel = (
  data: ProbeData,
  strength: number,
  of: readonly number[] = data.rows.map((_, row) => row),
  start?: LinearModel,
): LinearModel => {
  const { targets, weights, hasBias } = data
  const width = data.rows[0]?.length ?? 0
  const { classes } = targets
  const { mean, scale } = fitFrame(data, of)
  const rows = of.map((row) => Float64Array.from({ length: width }, (_, j) => ((data.rows[row]?.[j] ?? 0) - (mean[j] ?? 0)) / scale))
  const size = classes * width
  /** The slope at W' and b', which are one vector, into `slope`. → the value */
  const evaluate = (at: Float64Array, slope: Float64Array): number => {
    slope.fill(0)
    let value = 0
    for (let j = 0; j < size; j++) {
      value += (at[j] ?? 0) ** 2 / 2
      slope[j] = at[j] ?? 0
    }
    rows.forEach((x, i) => {
      const row = of[i] ?? 0
      const share = strength * (weights?.[row] ?? 1)
      const z = computeLogits({ weight: at, bias: at.subarray(size) }, x)
      value += share * lossAndSlope(targets, row, z)
      for (let c = 0; c < classes; c++) {
        const g = share * (z[c] ?? 0)
        for (let j = 0; j < width; j++) slope[c * width + j] = (slope[c * width + j] ?? 0) + g * (x[j] ?? 0)
        if (hasBias) slope[size + c] = (slope[size + c] ?? 0) + g
      }
    })
    return value
  }
  const at = minimize(evaluate, start === undefined ? new Float64Array(size + classes) : framed(start, { mean, scale }, width))
  const weight = at.slice(0, size).map((w) => w / scale)
  const bias = at.slice(size).map((b, c) => b - dot(weight.subarray(c * width, (c + 1) * width), mean))
  return { weight, bias }
}

/** A model's W' and b' in a frame. */
const framed = ({ weight, bias }: LinearModel, { mean, scale }: Frame, width: number): Float64Array =>
  Float64Array.from([...weight.map((w) => w * scale), ...bias.map((b, c) => b + dot(weight.subarray(c * width, (c + 1) * width), mean))])

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/** Steps at most: a fit of 2,000 rows takes about 50. */
const mostSteps = 500
/** The largest slope at a minimum, as a share of the value's size. */
const tolerance = 1e-7
/** Pairs of changes that L-BFGS remembers. */
const memory = 10

/** The minimum of a convex function. @param evaluate writes the slope into its second argument and returns the value */
const minimize = (evaluate: (at: Float64Array, slope: Float64Array) => number, start: Float64Array): Float64Array => {
  let [at, slope] = [start, new Float64Array(start.length)]
  let value = evaluate(at, slope)
  const pairs: { readonly s: Float64Array; readonly y: Float64Array; readonly rho: number }[] = []
  for (let step = 0; step < mostSteps; step++) {
    if (slope.every((g) => Math.abs(g) <= tolerance * Math.max(1, Math.abs(value)))) return at
    const direction = descent(slope, pairs)
    const along = dot(direction, slope)
    let length = pairs.length === 0 ? 1 / Math.max(1, Math.sqrt(dot(slope, slope))) : 1
    const next = { at, slope: new Float64Array(at.length), value: Infinity }
    for (; length > 1e-16; length /= 2) {
      next.at = at.map((x, i) => x + length * (direction[i] ?? 0))
      next.value = evaluate(next.at, next.slope)
      if (next.value <= value + 1e-4 * length * along) break
    }
    if (!(next.value < value)) return at // no step of this precision descends
    const s = next.at.map((x, i) => x - (at[i] ?? 0))
    const y = next.slope.map((g, i) => g - (slope[i] ?? 0))
    const curvature = dot(s, y)
    if (curvature > 0) pairs.push({ s, y, rho: 1 / curvature })
    if (pairs.length > memory) pairs.shift()
    ;[at, slope, value] = [next.at, next.slope, next.value]
  }
  return at
}

/** −H g, with the inverse Hessian H that the pairs of changes show. */
const descent = (
  slope: Float64Array,
  pairs: readonly { readonly s: Float64Array; readonly y: Float64Array; readonly rho: number }[],
): Float64Array => {
  const q = slope.slice()
  const add = (factor: number, v: Float64Array): void => v.forEach((x, i) => (q[i] = (q[i] ?? 0) + factor * x))
  const alphas = pairs.toReversed().map(({ s, y, rho }) => {
    const alpha = rho * dot(s, q)
    add(-alpha, y)
    return alpha
  })
  const last = pairs.at(-1)
  if (last !== undefined) {
    const first = dot(last.s, last.y) / dot(last.y, last.y)
    q.forEach((x, i) => (q[i] = first * x))
  }
  pairs.forEach(({ s, y, rho }, i) => add((alphas[pairs.length - 1 - i] ?? 0) - rho * dot(y, q), s))
  return q.map((x) => -x)
}

/** C of the probe, from strong regularization to weak. */
export const strengths: readonly number[] = [0.1, 1, 10, 100, 1_000]

const parts = 5
/** Rows above which one part is held out instead of each in turn: its loss is precise enough, and fits take a second each. */
const mostCrossValidated = 500

/** A probe with the strength that it was fitted with, and the mean loss of held-out rows; null where there are too few rows to hold any out. */
type ChosenProbe = { readonly model: LinearModel; readonly strength: number; readonly heldOutLoss: number | null }

/**
 * The probe of all rows, with the strength of the least held-out loss. The loss falls, then rises, as a model fits its rows more closely, so the search ends
 * at the first strength that is worse than the one before: the weakest regularization takes most steps.
 */
export const chooseProbe = (data: ProbeData): ChosenProbe => {
  const all = data.rows.map((_, row) => row)
  const folds = splitFolds(data.targets, all.length)
  const used = (all.length > mostCrossValidated ? folds.slice(0, 1) : folds).map((held) => {
    const isHeld = new Set(held)
    return { held, others: all.filter((row) => !isHeld.has(row)) }
  })
  if (used.length === 0) return { model: fitLinearModel(data, 1), strength: 1, heldOutLoss: null }
  let best: { readonly strength: number; readonly loss: number; readonly models: readonly LinearModel[] } | undefined
  for (const strength of strengths) {
    const models = used.map(({ others }, i) => fitLinearModel(data, strength, others, best?.models[i]))
    const loss = used.reduce((sum, { held }, i) => sum + meanLoss(models[i] as LinearModel, data, held) / used.length, 0)
    if (best !== undefined && !(loss < best.loss)) break
    best = { strength, loss, models }
  }
  const { strength, loss, models } = best as NonNullable<typeof best>
  return { model: fitLinearModel(data, strength, all, models[0]), strength, heldOutLoss: loss }
}

/** Rows in parts, with each class spread over them in the order of the rows; scores by size. Empty where a part would have none. */
const splitFolds = ({ kind, labels }: Targets, count: number): readonly (readonly number[])[] => {
  const sortKey = (row: number): number => (kind === 'multi' ? (labels[row]?.[0] ?? -1) : (labels[row] ?? 0))
  const sorted = Array.from({ length: count }, (_, row) => row).sort((a, b) => sortKey(a) - sortKey(b) || a - b)
  const folds = Array.from({ length: parts }, (_, part) => sorted.filter((__, i) => i % parts === part))
  return folds.some((fold) => fold.length === 0) ? [] : folds
}
