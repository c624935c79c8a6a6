/** Student's t distribution for a whole number of degrees of freedom, in closed form. */

/** P(T ≤ t) of Student's distribution with n degrees of freedom. Abramowitz & Stegun 1964, 26.7.3 (odd n) and 26.7.4 (even n). */
export const tCumulative = (t: number, n: number): number => {
  const theta = Math.atan(t / Math.sqrt(n))
  const [sine, squared] = [Math.sin(theta), Math.cos(theta) ** 2]
  const isOdd = n % 2 === 1
  // terms are 1, (1/2)cos²θ, (1·3)/(2·4)cos⁴θ, … (even n) or cosθ, (2/3)cos³θ, … (odd n)
  let term = isOdd ? Math.cos(theta) : 1
  let sum = n === 1 ? 0 : term
  for (let k = isOdd ? 2 : 1; k <= n - 3; k += 2) {
    term *= (k / (k + 1)) * squared
    sum += term
  }
  const central = isOdd ? (2 / Math.PI) * (theta + sine * sum) : sine * sum // P(|T| ≤ t), with t's sign
  return 0.5 + central / 2
}

/** The t with P(T ≤ t) = p, for n = 1, 2, … degrees of freedom: t₂ of 0.975 is 4.303. Bisection, since the distribution is monotone. */
export const tQuantile = (p: number, n: number): number => {
  let [low, high] = [-1, 1]
  while (tCumulative(low, n) > p) low *= 2
  while (tCumulative(high, n) < p) high *= 2
  for (let i = 0; i < 200 && low < high; i++) {
    const middle = (low + high) / 2
    if (middle === low || middle === high) break
    if (tCumulative(middle, n) < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}
