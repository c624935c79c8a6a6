/** Numbers for readers: six digits and separated thousands. Tooltips and CSV files have all digits. Page scripts import this file too. */

export const formatNumber = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(6)))

/** `1 run`, `2 runs`, `1,000 runs` */
export const plural = (count: number, noun: string): string => `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
