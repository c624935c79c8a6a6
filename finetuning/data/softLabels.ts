/** Soft labels: the probability of each class instead of one label, such as the answers of a larger model (Hinton et al., 2015). */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { Shares } from '../../accelerated/probe/linearModel.js'
import { atRow } from './dataset.js'
import { isObject } from './rows.js'

/** How far probabilities may be from a sum of 1, as rounding to two digits leaves them; they are then divided by their sum. */
const tolerance = 0.01

/** Classes at most: a row with a million would make a head of a million outputs. */
export const mostSoftClasses = 1_000

/** Temperatures at most: softmax(z / T) of larger ones is even. */
export const largestTemperature = 1_000

const example = '{"positive": 0.8, "negative": 0.2}'

export type SoftLabelReader = {
  /** The probabilities that a cell writes as a JSON object, by class; null: it writes a label. @throws InputError */
  readonly read: (written: string, row: number) => readonly (readonly [name: string, share: number])[] | null
  /** After the last row. @throws InputError if all that was read as logits are probabilities */
  readonly finish: () => void
}

/** @param areLogits whether the numbers are logits of a teacher, and not probabilities */
export const softLabelReader = (file: string, areLogits: boolean): SoftLabelReader => {
  let [rows, probabilities] = [0, 0]
  return {
    read: (written, row) => {
      const object = written.startsWith('{') ? parseObject(written) : null
      if (object === null) return null
      const numbers = Object.entries(object).map(([name, value]) => [name.trim(), readNumber(value, atRow(file, row))] as const)
      if (numbers.length === 0 || numbers.length > mostSoftClasses || numbers.some(([name]) => name === ''))
        throw inputError(atRow(file, row), `1 to ${mostSoftClasses} classes by name, such as ${example}`, quoted(written, 80))
      rows++
      const mistake = findMistake(numbers.map(([, value]) => value))
      if (mistake === null) probabilities++
      if (areLogits) return softmax(numbers)
      if (mistake !== null)
        throw inputError(
          atRow(file, row),
          words`probabilities from 0 on whose sum is 1 within ${tolerance} (for logits: ${option('teacherTemperature')}=1)`,
          mistake,
        )
      const total = numbers.reduce((sum, [, share]) => sum + share, 0)
      return numbers.map(([name, share]) => [name, share / total])
    },
    finish: () => {
      if (areLogits && rows > 0 && probabilities === rows)
        throw inputError(option('teacherTemperature'), 'logits as labels', `probabilities in each row of ${file}: leave the setting out`)
    },
  }
}

const parseObject = (written: string): Readonly<Record<string, unknown>> | null => {
  try {
    const value: unknown = JSON.parse(written)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

const readNumber = (value: unknown, where: string): number => {
  if (typeof value === 'number' && Math.abs(value) <= largestLogit) return value
  throw inputError(where, `a number for each class, such as ${example}`, quoted(JSON.stringify(value), 80))
}

/** float32 ends there. */
const largestLogit = 3e38

/** What keeps numbers from being probabilities; null: nothing. */
const findMistake = (numbers: readonly number[]): string | null => {
  const negative = numbers.find((value) => value < 0)
  if (negative !== undefined) return String(negative)
  const sum = numbers.reduce((a, b) => a + b, 0)
  return Math.abs(sum - 1) <= tolerance + 1e-9 ? null : `a sum of ${Number(sum.toPrecision(6))}`
}

const softmax = (logits: readonly (readonly [string, number])[]): readonly (readonly [string, number])[] => {
  const most = logits.reduce((largest, [, z]) => Math.max(largest, z), -Infinity)
  const powers = logits.map(([name, z]) => [name, Math.exp(z - most)] as const)
  const total = powers.reduce((sum, [, power]) => sum + power, 0)
  return powers.map(([name, power]) => [name, power / total])
}

/** Shares by class, each class once and none of 0. */
export const gatherShares = (shares: Shares): Shares => {
  const sums = new Map<number, number>()
  for (const [label, share] of shares) sums.set(label, (sums.get(label) ?? 0) + share)
  return [...sums].filter(([, share]) => share > 0)
}

/** The class of the largest share; of equal ones the first. */
export const mostProbable = (shares: Shares): number =>
  shares.reduce((best, one) => (one[1] > best[1] || (one[1] === best[1] && one[0] < best[0]) ? one : best), [NaN, -1] as const)[0]
