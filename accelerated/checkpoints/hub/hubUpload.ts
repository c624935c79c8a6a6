/**
 * Uploads files as one commit of a model repository on the hub. Creates the repository, and sends only what differs from it. The optional package
 * @huggingface/hub knows the hub's storage protocols (LFS and Xet). It neither waits, nor retries, nor times out, so its requests go through our
 * `fetch`.
 */
import { pathToFileURL } from 'node:url'
import { InputError, inputError, oneLine, quoted } from '../../errors/inputError.js'
import { systemInputError } from '../../errors/systemError.js'
import { option } from '../../errors/words.js'
import type { Environment } from '../../storage/nodeFiles.js'
import { loadOptional } from '../../storage/packages.js'
import { hashFile, hubHash } from './hubContent.js'
import { readEndpoint, isOffline, proxiedFetch, findProxy, locateTokenFile, readToken } from './hubEnvironment.js'
import { uploadFetch } from './hubRequest.js'
import { isHubId, isRevision } from './hubRules.js'

/** A file to upload: its bytes are in a file of this disk, or are given. */
export type UploadFile = {
  /** in the repository, with slashes */
  readonly path: string
  readonly bytes: number
  readonly content: { readonly file: string } | { readonly text: string }
}

type UploadOptions = {
  /** OWNER/NAME, or NAME in the account of the token */
  readonly repository: string
  /** a branch; created from the main one if it is new */
  readonly revision?: string
  /** the title of the commit */
  readonly message: string
  /** a new repository is private; an existing one stays as it is */
  readonly isPrivate: boolean
  readonly environment?: Environment
  readonly signal?: AbortSignal
  readonly onEvent?: (event: UploadEvent) => void
  /** milliseconds without a byte after which a request fails */
  readonly timeout?: number
  /** milliseconds before the first retry */
  readonly firstDelay?: number
}

export type UploadEvent =
  | { readonly kind: 'created'; readonly repository: string }
  /** the files that differ from those of the repository, which are sent now */
  | { readonly kind: 'begin'; readonly files: readonly UploadFile[]; readonly unchanged: readonly string[] }
  | { readonly kind: 'sent'; readonly bytes: number }
  | { readonly kind: 'waiting'; readonly reason: string; readonly seconds: number }

export type UploadResult = {
  readonly repository: string
  readonly revision: string
  readonly url: string
  readonly uploaded: readonly string[]
  /** files that the repository had already, with the same bytes */
  readonly unchanged: readonly string[]
  /** null: nothing differed, so there is no new commit */
  readonly commit: string | null
}

/** Milliseconds: storage may answer only after it has checked a large file. */
const defaultTimeout = 120_000

/** @throws InputError with one line; an upload that failed can be repeated, and then sends only what is missing */
export const uploadFiles = async (files: readonly UploadFile[], options: UploadOptions): Promise<UploadResult> => {
  const { repository, revision = 'main', environment = process.env, signal, onEvent = () => undefined } = options
  checkRepository(repository, revision)
  const { endpoint, token } = readAccess(environment)
  findProxy(environment, new URL(endpoint)) // a malformed one fails here, and not after retries
  const library = await loadOptional({ feature: 'salora push', names: ['@huggingface/hub'] }, () => import('@huggingface/hub'))
  const fetch = uploadFetch({
    fetch: proxiedFetch(environment),
    ...{ endpoint, token, timeout: options.timeout ?? defaultTimeout, firstDelay: options.firstDelay ?? 1_000 },
    ...(signal === undefined ? {} : { signal }),
    onSent: (bytes) => onEvent({ kind: 'sent', bytes }),
    onWait: (reason, seconds) => onEvent({ kind: 'waiting', reason, seconds }),
  })
  const access = { hubUrl: endpoint, fetch } as Access
  let name = repository
  try {
    if (!name.includes('/')) name = `${readAccount(endpoint, await library.whoAmI(access))}/${name}`
    const target: Target = { ...access, repo: { type: 'model', name } }
    if (await createMissing(library, target, revision, options.isPrivate)) onEvent({ kind: 'created', repository: name })
    const { changed, unchanged } = await compare(library, target, revision, files)
    onEvent({ kind: 'begin', files: changed, unchanged })
    const id = changed.length === 0 ? null : await commit(library, target, revision, changed, options)
    const url = `${endpoint}/${name}${revision === 'main' ? '' : `/tree/${encodeURIComponent(revision)}`}`
    return { repository: name, revision, url, uploaded: changed.map(({ path }) => path), unchanged, commit: id }
  } catch (thrown) {
    throw explained(thrown, endpoint, name, revision)
  }
}

type HubLibrary = typeof import('@huggingface/hub')

/** How the library reaches the hub. Its types ask for the token, which our `fetch` adds. */
type Access = { readonly hubUrl: string; readonly fetch: typeof fetch; readonly accessToken: string }
type Target = Access & { readonly repo: { readonly type: 'model'; readonly name: string } }

/** @throws InputError unless the hub allows names like these */
export const checkRepository = (repository: string, revision: string): void => {
  if (!isHubId(repository)) throw inputError('NAME', 'the name of a repository, as OWNER/NAME or NAME', quoted(repository))
  if (!isRevision(revision)) throw inputError(option('revision'), 'a branch of letters, digits, ".", "_" and "-"', quoted(revision))
}

/** @throws InputError without a network or a token */
const readAccess = (environment: Environment): { readonly endpoint: string; readonly token: string } => {
  if (isOffline(environment)) throw inputError('HF_HUB_OFFLINE', 'it unset, to reach the hub', 'it set')
  const token = readToken(environment)
  if (token === undefined)
    throw inputError(
      'HF_TOKEN',
      `a token with write access, there or in ${locateTokenFile(environment)} (make one at https://huggingface.co/settings/tokens)`,
      'none',
    )
  return { endpoint: readEndpoint(environment), token }
}

/** The account of the token, which a server that is no hub does not name. @throws InputError */
const readAccount = (endpoint: string, { name }: { readonly name?: unknown }): string => {
  if (typeof name === 'string' && isHubId(name)) return name
  throw notAHub(endpoint, 'no name of an account')
}

/** The error for the answers of another server, such as the login page of a network. */
const notAHub = (endpoint: string, got: string): InputError =>
  inputError(endpoint, 'the answers of a Hugging Face hub (check HF_ENDPOINT and the network)', got)

/** Creates repository and branch where they are missing. → whether the repository is new */
const createMissing = async (library: HubLibrary, target: Target, revision: string, isPrivate: boolean): Promise<boolean> => {
  const isMissing = await library.checkRepoAccess(target).then(
    () => false,
    (thrown: unknown) => {
      if (readStatus(thrown) === 404) return true
      throw thrown
    },
  )
  if (isMissing) await library.createRepo({ ...target, ...(isPrivate ? { visibility: 'private' } : {}) }).catch(ignoreConflict) // made meanwhile
  if (revision !== 'main') await library.createBranch({ ...target, branch: revision }).catch(ignoreConflict)
  return isMissing
}

const ignoreConflict = (thrown: unknown): void => {
  if (readStatus(thrown) !== 409) throw thrown
}

/** Files of a repository: the hub itself advises against more. Its answer comes in pages, which may never end. */
const listedLimit = 100_000

/** Which files the repository has already, by their hashes. */
const compare = async (
  library: HubLibrary,
  target: Target,
  revision: string,
  files: readonly UploadFile[],
): Promise<{ readonly changed: readonly UploadFile[]; readonly unchanged: readonly string[] }> => {
  const there = new Map<string, { readonly type: string; readonly oid?: string; readonly lfs?: { readonly oid: string } }>()
  let listed = 0
  for await (const file of library.listFiles({ ...target, revision, recursive: true })) {
    if (++listed > listedLimit) throw inputError(target.repo.name, `at most ${listedLimit} files in the repository`, 'more')
    there.set(file.path, file)
  }
  const same = new Set<string>()
  for (const file of files) {
    const remote = there.get(file.path)
    if (remote?.type !== 'file') continue
    const [kind, expected] = remote.lfs === undefined ? ['git' as const, remote.oid] : ['sha256' as const, remote.lfs.oid]
    if ((await uploadHash(file, kind)) === expected) same.add(file.path)
  }
  return { changed: files.filter(({ path }) => !same.has(path)), unchanged: [...same] }
}

const uploadHash = async ({ bytes, content }: UploadFile, kind: 'git' | 'sha256'): Promise<string> => {
  if ('text' in content) return hubHash(kind, bytes).update(content.text).digest('hex')
  return hashFile(content.file, kind, bytes).catch((thrown: unknown) => {
    throw systemInputError(content.file, 'a readable file', thrown)
  })
}

/** → the id of the new commit */
const commit = async (
  library: HubLibrary,
  target: Target,
  branch: string,
  files: readonly UploadFile[],
  { message, signal }: UploadOptions,
): Promise<string | null> => {
  const operations = files.map(({ path, content }) => ({
    operation: 'addOrUpdate' as const,
    path,
    content: 'text' in content ? new Blob([content.text]) : pathToFileURL(content.file), // a file is read in pieces
  }))
  const abort = signal === undefined ? {} : { abortSignal: signal }
  const result = await library.commit({ ...target, title: message, branch, operations, ...abort })
  return result?.commit.oid ?? null
}

/** Statuses in words: the expected state, and the meaning of the status. */
const statuses: Readonly<Record<number, readonly [expected: string, got: string]>> = {
  401: ['a token that the hub accepts (in HF_TOKEN, or by hf auth login)', 'one that it refuses'],
  403: ['a token with write access to it (https://huggingface.co/settings/tokens)', 'one without'],
  404: ['a repository and a branch that the token may see', 'none'],
  409: ['nobody else to change it at the same time (run the command again)', 'a conflict'],
  412: ['nobody else to change it at the same time (run the command again)', 'a conflict'],
  413: ['files that the hub accepts', 'one that is too large'],
  429: ['to send requests (wait a few minutes, and run the command again)', 'too many requests'],
}

/** The status of an error that the library throws for a response; null for any other error. */
const readStatus = (thrown: unknown): number | null =>
  thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number' ? thrown.statusCode : null

/** An error of the library as one line; the token is in none of them. */
const explained = (thrown: unknown, endpoint: string, repository: string, revision: string): unknown => {
  if (thrown instanceof InputError) return thrown
  // the library reads answers without checking them
  if (thrown instanceof SyntaxError || thrown instanceof TypeError) return notAHub(endpoint, thrown.message)
  const status = readStatus(thrown)
  const where = revision === 'main' ? repository : `${repository}@${revision}`
  if (status === null)
    return thrown instanceof Error && thrown.name === 'AbortError'
      ? thrown
      : inputError(where, 'the hub to accept the files', String(thrown))
  const [expected, got] = statuses[status] ?? [
    'the hub to accept the files (run the command again: it sends only what is missing)',
    'an error',
  ]
  return inputError(where, expected, `${got} (status ${status}${serverText(thrown)})`)
}

/** What the server itself says, without the library's address and request id. */
const serverText = (thrown: unknown): string => {
  const text = oneLine(thrown instanceof Error ? thrown.message : '').replace(/\.? ?(?:URL|Request ID): .*$/, '')
  return text === '' || text.startsWith('Api error with status') ? '' : `: ${text.slice(0, 200)}`
}
