/** Quantities in units that people read: 578 MB, 3 min 20 s, 94.7 %, 1.2 M. Page scripts import this file too. */
import { formatNumber } from '../../evaluation/tables/tableText.js'

const digits = (value: number, significant: number): string =>
  value >= 10 ** significant ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(significant)))

/** Powers of 1000, as disks and transfers are counted. */
export const bytesText = (bytes: number): string => {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const shown = bytes < 1000 ? bytes : Number(bytes.toPrecision(3)) // 999,999 bytes are 1 MB
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(shown) / 3))
  return `${digits(bytes / 1000 ** power, 3)} ${units[power]}`
}

/** Two units at most: `8.4 s`, `37 s`, `3 min 20 s`, `2 h 5 min`. */
export const durationText = (seconds: number): string => {
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`
  const whole = Math.round(seconds)
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor((whole % 86_400) / 3600), Math.floor((whole % 3600) / 60)]
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`
}

/** A count of up to six digits in full, then in millions or billions. */
export const countText = (count: number): string => {
  if (count < 1e6) return count.toLocaleString('en-US')
  return count < 1e9 ? `${digits(count / 1e6, 3)} M` : `${digits(count / 1e9, 3)} G`
}

export const percentText = (share: number): string => `${(100 * share).toFixed(1)} %`

/** Metrics that are shares of examples or of classes. Correlations and losses are not percentages. */
export const isShare = (metric: string): boolean => /accuracy|f1$/i.test(metric)

/** A score as people say it: accuracy and F1 in percent, others with four digits. */
export const scoreText = (metric: string, score: number): string =>
  isShare(metric) ? percentText(score) : String(Number(score.toPrecision(4)))

/** The distance of two scores: percentage points of shares. */
export const differenceText = (metric: string, difference: number): string => {
  const sign = difference < 0 ? '−' : '+'
  const size = Math.abs(difference)
  return isShare(metric) ? `${sign}${(100 * size).toFixed(1)} points` : `${sign}${Number(size.toPrecision(3))}`
}

/** 2026-11-28T01:02:03Z → 28 November 2026, 01:02 UTC */
export const dateText = (iso: string): string => {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return ''
  const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
  return `${day}, ${date.toISOString().slice(11, 16)} UTC`
}

/** `1 run`, `2 runs`, `1,000 runs` */
export const plural = (count: number, noun: string): string => `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
