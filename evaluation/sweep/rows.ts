/** Rows by the names of --methods: a method, perhaps with a rank, as `lora-4`, whose alpha is twice the rank so that the scale stays. */
import { methods } from '../../accelerated/methods/index.js'
import { mistake, quoted } from '../../accelerated/files/mistake.js'
import type { SettingsInput } from '../../accelerated/settings.js'
import type { Row } from './sweep.js'

const names: ReadonlyArray<string> = methods.map(({ name }) => name)

/** @throws Mistake for a name that no method has, or a rank for a method without one */
export const rowOf = (name: string): Row => {
  if (names.includes(name)) return { name, settings: { method: name } }
  const [, method = '', rank = ''] = /^([a-z]+)-([1-9]\d{0,3})$/.exec(name) ?? []
  const found = methods.find((one) => one.name === method)
  if (found === undefined || !Object.hasOwn(found.settings, 'rank'))
    throw mistake('--methods', `some of ${names.join(', ')}, and of those with a rank also such as lora-4`, quoted(name))
  return { name, settings: withRank(method, Number(rank)) }
}

/** α = 2r, as r = 8 has it. */
export const withRank = (method: string, rank: number): SettingsInput => ({ method, rank, alpha: 2 * rank })
