/** The folder of downloads and of numbers that are computed once for all runs, from the environment. */
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'

export type Environment = Readonly<Record<string, string | undefined>>

/** A variable without the white space around it; an empty one counts as unset. */
export const given = (environment: Environment, name: string): string | undefined => {
  const value = environment[name]?.trim()
  return value === '' ? undefined : value
}

/** The cache that Python's tools use too, so that each finds the other's downloads. */
export const cacheOf = (environment: Environment = process.env): string => {
  const explicit = given(environment, 'SALORA_CACHE') ?? given(environment, 'HF_HUB_CACHE')
  if (explicit !== undefined) return explicit
  return join(homeOf(environment), 'hub')
}

/** The folder of Python's tools. */
export const homeOf = (environment: Environment): string =>
  given(environment, 'HF_HOME') ??
  join(given(environment, 'XDG_CACHE_HOME') ?? join(homedir() || userInfo().homedir, '.cache'), 'huggingface')
