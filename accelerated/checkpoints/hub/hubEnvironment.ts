/** The environment variables of the hub, validated. An empty one counts as unset, as in Python's tools. No message shows a secret. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { inputError, quoted } from '../../errors/inputError.js'
import { isAbsent, systemInputError } from '../../errors/systemError.js'
import { given, homeOf, type Environment } from '../../storage/nodeFiles.js'

export { cacheOf, given, type Environment } from '../../storage/nodeFiles.js'

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

/** The token: HF_TOKEN, or else the one that `hf auth login` stored, as Python's tools choose. @throws InputError that does not show it */
export const tokenOf = (environment: Environment): string | undefined => {
  const file = tokenFileOf(environment)
  return secretOf(environment, 'HF_TOKEN') ?? checkedToken(file, storedToken(file))
}

/** Where Python's tools store the token. */
export const tokenFileOf = (environment: Environment): string => given(environment, 'HF_TOKEN_PATH') ?? join(homeOf(environment), 'token')

/** A secret in an environment variable. @throws InputError that does not show it */
export const secretOf = (environment: Environment, name: string): string | undefined => checkedToken(name, given(environment, name))

const checkedToken = (where: string, token: string | undefined): string | undefined => {
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw inputError(where, 'one word of printable ASCII characters', 'something else (not shown, for it may be a secret)')
  return token
}

/** No token is longer, by far. */
const longestToken = 10_000

const storedToken = (file: string): string | undefined => {
  try {
    const stats = statSync(file)
    if (!stats.isFile() || stats.size > longestToken) throw inputError(file, 'a file with one token', 'something else')
    return readFileSync(file, 'utf8').trim() || undefined
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined
    throw systemInputError(file, 'a readable file with a token', thrown)
  }
}

export const isOffline = (environment: Environment): boolean =>
  ['1', 'true', 'yes', 'on'].includes(given(environment, 'HF_HUB_OFFLINE')?.toLowerCase() ?? '')
