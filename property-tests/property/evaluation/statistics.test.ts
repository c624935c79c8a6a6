/** Statistics over runs: Student's t distribution, intervals, and differences with errors clustered by task, compared with SciPy and statsmodels. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  clusteredDifference,
  standardError,
  summarizeValues,
  tInterval,
  tCumulative,
  tQuantile,
} from '../../../evaluation/glue/statistics.js'
import { SEED } from '../../support/seed.js'

const degrees = [1, 2, 3, 4, 5, 7, 10, 23, 30, 100] as const
/** scipy.stats.t.ppf (SciPy 1.17.1), by p, for these degrees of freedom. */
const quantiles: Readonly<Record<string, readonly number[]>> = {
  0.6: [
    0.32491969623290634, 0.2886751345948128, 0.2766706623326898, 0.2707222947075976, 0.2671808657041451, 0.2631668613520229,
    0.2601848294920803, 0.25629705991468515, 0.2556053649519128, 0.25402218245822766,
  ],
  0.975: [
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146, 2.364624251592784, 2.228138851986274,
    2.0686576104190486, 2.0422724563012378, 1.9839715185235518,
  ],
  0.9995: [
    636.6192487687897, 31.599054576445365, 12.923978636687961, 8.610301581379522, 6.868826625881276, 5.407882520861828, 4.586893858702708,
    3.7676268043118246, 3.6459586350420627, 3.390491311164263,
  ],
}
/** scipy.stats.t.cdf, by t, for 1, 2, 3, 4, 5, 10 and 23 degrees of freedom. */
const cumulatives: Readonly<Record<string, readonly number[]>> = {
  0.3: [
    0.5927735790777423, 0.6037571695799112, 0.6081183539800405, 0.6104392858612702, 0.6118754788683627, 0.6148396962171008,
    0.6165641000103552,
  ],
  1: [0.75, 0.7886751345948129, 0.8044988905221148, 0.8130495168499705, 0.8183912661754386, 0.8295534338489701, 0.8361420969285708],
  10: [
    0.9682744825694465, 0.9950737714883372, 0.9989358004707929, 0.999718998188642, 0.9999145262121285, 0.9999992052234122,
    0.9999999996177689,
  ],
}

const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 6 })

describe("Student's t distribution", () => {
  it('has the quantiles of SciPy', () => {
    for (const [p, row] of Object.entries(quantiles))
      for (const [i, expected] of row.entries())
        expect(tQuantile(Number(p), degrees[i]!) / expected, `${p}, ${degrees[i]}`).toBeCloseTo(1, 9)
  })

  it('has the cumulative probabilities of SciPy', () => {
    for (const [t, row] of Object.entries(cumulatives))
      for (const [i, expected] of row.entries()) expect(tCumulative(Number(t), [1, 2, 3, 4, 5, 10, 23][i]!)).toBeCloseTo(expected, 12)
  })

  it('is symmetric around zero, and its quantile inverts its cumulative probability', () =>
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 0.999, noNaN: true }), fc.integer({ min: 1, max: 60 }), (p, n) => {
        const t = tQuantile(p, n)
        expect(tCumulative(t, n)).toBeCloseTo(p, 12)
        expect(tCumulative(-t, n)).toBeCloseTo(1 - p, 12)
      }),
      { seed: SEED, numRuns: 200 },
    ))
})

describe('a summary of runs', () => {
  it('has the mean, the largest deviation from it, and the median', () =>
    fc.assert(
      fc.property(values, (drawn) => {
        const { mean, maximumDeviation, median, count } = summarizeValues(drawn)!
        expect(count).toBe(drawn.length)
        expect(mean).toBeCloseTo(drawn.reduce((a, b) => a + b, 0) / drawn.length, 9)
        expect(maximumDeviation).toBeCloseTo(Math.max(Math.max(...drawn) - mean, mean - Math.min(...drawn)), 9)
        const sorted = [...drawn].sort((a, b) => a - b)
        expect(median).toBeCloseTo(((sorted[(drawn.length - 1) >> 1] ?? NaN) + (sorted[drawn.length >> 1] ?? NaN)) / 2, 9)
      }),
      { seed: SEED, numRuns: 25 },
    ))

  it('has the t interval of SciPy for three seeds, which is wider than their range suggests', () => {
    // scipy.stats.t.interval(0.95, 2, loc=mean, scale=sem)
    const [low, high] = tInterval([5.6, 1.2, 8.9])!
    expect(low).toBeCloseTo(-4.363072095315306, 9)
    expect(high).toBeCloseTo(14.829738761981972, 9)
    expect((high - low) / 2 / standardError([5.6, 1.2, 8.9])!).toBeCloseTo(4.302652729749462, 9)
  })

  it('has no interval for a single run, and there is no summary of no run', () => {
    expect(summarizeValues([3])?.interval).toBeNull()
    expect(standardError([3])).toBeNull()
    expect(summarizeValues([])).toBeNull()
  })
})

describe('a difference clustered by task', () => {
  const tasks = [
    [5.6, 1.2, 8.9],
    [1.8, -0.2, 2.4],
    [0.5, 0.9, 0.1],
    [-0.5, -1.0, 0.3],
  ]

  it("has the error and the interval of statsmodels' cluster-robust regression on a constant", () => {
    // OLS(y, ones).fit(cov_type='cluster', cov_kwds={'groups': task}, use_t=True), statsmodels 0.15.0
    const { effects, mean, standardError: error, interval, pairs } = clusteredDifference(tasks)!
    expect(effects.map((effect) => Number(effect.toFixed(9)))).toEqual([5.233333333, 1.333333333, 0.5, -0.4])
    expect(pairs).toBe(12)
    expect(mean).toBeCloseTo(1.66666667, 8)
    expect(error).toBeCloseTo(1.24044496, 8)
    expect(interval![0]).toBeCloseTo(-2.28098282, 8)
    expect(interval![1]).toBeCloseTo(5.61431615, 8)
  })

  it('does not shrink if every pair of a task is repeated: more pairs of the same tasks are no new tasks', () =>
    fc.assert(
      fc.property(fc.array(values, { minLength: 2, maxLength: 5 }), fc.integer({ min: 2, max: 4 }), (byTask, times) => {
        const once = clusteredDifference(byTask)!
        const repeated = clusteredDifference(byTask.map((pairs) => Array.from({ length: times }, () => pairs).flat()))!
        expect(repeated.standardError).toBeCloseTo(once.standardError!, 9)
        expect(repeated.mean).toBeCloseTo(once.mean, 9)
      }),
      { seed: SEED, numRuns: 25 },
    ))

  it('counts each task the same, leaves out tasks without pairs, and has no error for a single task', () => {
    expect(clusteredDifference([[1], [], [3, 3, 3]])).toMatchObject({ mean: 2, effects: [1, 3], pairs: 4 })
    expect(clusteredDifference([[1, 2], []])).toMatchObject({ mean: 1.5, standardError: null, interval: null })
    expect(clusteredDifference([[], []])).toBeNull()
  })
})
