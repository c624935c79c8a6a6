/** The environment variables of the hub, validated. An empty one counts as unset, as in Python's tools. No message shows a secret. */
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { inputError, quoted } from '../../errors/inputError.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** A variable without the white space around it; an empty one counts as unset. */
export const given = (environment: Environment, name: string): string | undefined => {
  const value = environment[name]?.trim()
  return value === '' ? undefined : value
}

/** The hub's address, without a slash at its end. @throws InputError */
export const endpointOf = (environment: Environment): string =>
  webAddress('HF_ENDPOINT', given(environment, 'HF_ENDPOINT') ?? 'https://huggingface.co', 'a token goes into HF_TOKEN')

/** The address in an environment variable, without a slash at its end. @param secrets where secrets belong. @throws InputError */
export const webAddress = (name: string, text: string, secrets: string): string => {
  const address = text.replace(/\/+$/, '')
  const url = URL.canParse(address) ? new URL(address) : null
  if (url === null || !/^https?:$/.test(url.protocol))
    throw inputError(
      name,
      'an http or https address',
      address.includes('@') ? 'another (not shown, for it may hold a password)' : quoted(address),
    )
  if (url.username !== '' || url.password !== '')
    throw inputError(name, `an address without user and password (${secrets})`, 'one with them')
  if (/[?#]/.test(address)) throw inputError(name, 'an address without "?" and "#"', 'one with them')
  return address
}

/** The token, without the white space around it. @throws InputError that does not show it */
export const tokenOf = (environment: Environment): string | undefined => secretOf(environment, 'HF_TOKEN')

/** A secret in an environment variable. @throws InputError that does not show it */
export const secretOf = (environment: Environment, name: string): string | undefined => {
  const token = given(environment, name)
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw inputError(name, 'one word of printable ASCII characters', 'something else (not shown, for it may be a secret)')
  return token
}

/** The cache that Python's tools use too, so that each finds the other's downloads. */
export const cacheOf = (environment: Environment): string => {
  const explicit = given(environment, 'SALORA_CACHE') ?? given(environment, 'HF_HUB_CACHE')
  if (explicit !== undefined) return explicit
  const caches = given(environment, 'XDG_CACHE_HOME') ?? join(homedir() || userInfo().homedir, '.cache')
  return join(given(environment, 'HF_HOME') ?? join(caches, 'huggingface'), 'hub')
}

export const isOffline = (environment: Environment): boolean =>
  ['1', 'true', 'yes', 'on'].includes(given(environment, 'HF_HUB_OFFLINE')?.toLowerCase() ?? '')
