/** Numbers and durations as people read them. */

/** 1327104 → 1,327,104 */
export const counted = (n: number): string => Math.round(n).toLocaleString('en-US')

/** 0.5 → 50.0 % */
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

export const megabytes = (bytes: number): string => `${counted(bytes / 1e6)} MB`

/** 1234 → 2 kB; from a megabyte on, 12 MB */
export const bytesText = (bytes: number): string => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : megabytes(bytes))

/** 83.2 → 1 min 23 s */
export const duration = (seconds: number): string => {
  const whole = Math.round(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)]
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${seconds < 9.95 ? seconds.toFixed(1) : whole} s`
}

/** Losses and multipliers: four significant digits. */
export const short = (x: number): string =>
  Math.abs(x) >= 1000 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(2) : Number(x.toPrecision(4)).toString()

/** 1 model, 2 models */
export const plural = (n: number, noun: string): string => `${counted(n)} ${noun}${n === 1 ? '' : 's'}`
