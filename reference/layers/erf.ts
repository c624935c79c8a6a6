/** The error function to float64's accuracy: a series near 0, a continued fraction in the tails. */

const counting = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

// At the border the series' terms fall below 2⁻⁵³ of the sum before the 30th, and the fraction settles before the 100th. Left of it
// erfc = 1 − erf loses at most a digit and a half, as erfc(1.5) = 0.034.
const border = 1.5
const seriesTerms = counting(30)
const fractionTerms = counting(100)

/** erf x = 2/√π · x e^(−x²) Σₙ (2x²)ⁿ / (1·3·5···(2n + 1)): every term has one sign, so nothing cancels. */
const series = (x: number): number =>
  (2 / Math.sqrt(Math.PI)) * x * Math.exp(-x * x) * seriesTerms.reduceRight((rest, n) => 1 + (rest * 2 * x * x) / (2 * n + 3), 1)

/** erfc x = e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ···)))), for x > 0 */
const fraction = (x: number): number =>
  Math.exp(-x * x) / Math.sqrt(Math.PI) / fractionTerms.reduceRight((rest, n) => x + (n + 1) / 2 / rest, x)

/** erfc x = 1 − erf x, accurate relative to itself in the right tail. */
export const erfc = (x: number): number => (x > border ? fraction(x) : x < -border ? 2 - fraction(-x) : 1 - series(x))

/** erf x = 2/√π ∫₀ˣ e^(−t²) dt */
export const erf = (x: number): number => (Math.abs(x) <= border ? series(x) : x > 0 ? 1 - fraction(x) : fraction(-x) - 1)
