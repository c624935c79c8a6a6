/** How far a share of rows may be from the share that many more rows would have. */

/** Wilson's interval of 95 % for `successes` of `rows` (Wilson, 1927). rows ≥ 1 → [from, to] in [0, 1] */
export const wilsonInterval = (successes: number, rows: number): readonly [from: number, to: number] => {
  const z = 1.959963984540054
  const [share, part] = [successes / rows, (z * z) / rows]
  const center = (share + part / 2) / (1 + part)
  const half = (z / (1 + part)) * Math.sqrt((share * (1 - share)) / rows + part / (4 * rows))
  return [Math.max(0, center - half), Math.min(1, center + half)]
}

/** `17 of 20 rows; 64 to 95 % with more rows`; for a share that is no count of rows, null. */
export const shareInWords = (share: number, rows: number): string | null => {
  const successes = Math.round(share * rows)
  if (rows < 1 || Math.abs(successes / rows - share) > 1e-9) return null
  const [from, to] = wilsonInterval(successes, rows).map((end) => Math.round(end * 100))
  return `${successes.toLocaleString('en-US')} of ${rows.toLocaleString('en-US')} rows (95 % interval: ${from} to ${to} %)`
}
