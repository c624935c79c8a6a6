/** The date that chat templates write, as Python's strftime formats it. It is an input of a run: its texts are the same on any other day. */
import { inputError, quoted } from '../../errors/inputError.js'
import { option } from '../../errors/words.js'

const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const day = 24 * 60 * 60 * 1_000

/** Today in this place, such as 2026-03-07. */
export const localDate = (now: Date = new Date()): string =>
  [String(now.getFullYear()).padStart(4, '0'), ...[now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, '0'))].join(
    '-',
  )

/** @throws InputError for what is no date of a calendar, written as 2026-03-07 */
export const parseDate = (text: string): string => {
  const date = /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T00:00:00Z`) : new Date(NaN)
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text)
    throw inputError(option('templateDate'), 'a date such as 2026-03-07', quoted(text))
  return text
}

/** Directives by their letter, of a date in UTC; `-` before the letter leaves out leading zeros. */
const directives: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => (days[date.getUTCDay()] ?? '').slice(0, 3),
  A: (date) => days[date.getUTCDay()] ?? '',
  b: (date) => (months[date.getUTCMonth()] ?? '').slice(0, 3),
  B: (date) => months[date.getUTCMonth()] ?? '',
  d: (date) => padded(date.getUTCDate(), 2),
  F: (date) => date.toISOString().slice(0, 10),
  j: (date) => padded(1 + (date.getTime() - Date.UTC(date.getUTCFullYear(), 0)) / day, 3),
  m: (date) => padded(date.getUTCMonth() + 1, 2),
  w: (date) => String(date.getUTCDay()),
  y: (date) => padded(date.getUTCFullYear() % 100, 2),
  Y: (date) => String(date.getUTCFullYear()),
  '%': () => '%',
}

const padded = (value: number, width: number): string => String(value).padStart(width, '0')

/** Python's strftime in English. @param date such as 2026-03-07 @throws Error for a directive that is no part of a date, such as the hour */
export const formatDate = (format: string, date: string): string =>
  format.replace(/%(-?)(.?)/gs, (directive, bare: string, letter: string) => {
    const write = Object.hasOwn(directives, letter) ? directives[letter] : undefined
    if (write === undefined) throw new Error(`strftime_now: expected a date, got ${directive}`)
    const text = write(new Date(`${date}T00:00:00Z`))
    return bare === '' ? text : text.replace(/^0+(?=\d)/, '')
  })
