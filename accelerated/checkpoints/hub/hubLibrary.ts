/**
 * The part of @huggingface/hub that uploads, an optional package. It knows the hub's storage protocols (LFS and Xet) and its commits.
 * Its requests go through a `fetch` of ours (uploadRequest.ts): the library neither waits, nor retries, nor times out.
 */
import { loadOptional } from '../../storage/packages.js'

type Access = { readonly hubUrl: string; readonly fetch: typeof fetch }
type Repository = Access & { readonly repo: { readonly type: 'model'; readonly name: string } }

/** A file of a repository. `oid` is git's SHA-1; a large file has SHA-256 in `lfs`. */
export type RemoteFile = { readonly path: string; readonly type: string; readonly oid?: string; readonly lfs?: { readonly oid: string } }

/** A file to upload: a Blob, or the URL of a file on this disk, which is read in pieces. */
export type Addition = { readonly operation: 'addOrUpdate'; readonly path: string; readonly content: Blob | URL }

type CommitParameters = Repository & {
  readonly title: string
  readonly branch: string
  readonly operations: ReadonlyArray<Addition>
  readonly abortSignal?: AbortSignal
}

/** The functions that we call, in our words: the package may be absent where the code is compiled. */
export type HubLibrary = {
  readonly whoAmI: (parameters: Access) => Promise<{ readonly name: string }>
  readonly checkRepoAccess: (parameters: Repository) => Promise<void>
  readonly createRepo: (parameters: Repository & { readonly visibility?: 'public' | 'private' }) => Promise<unknown>
  readonly createBranch: (parameters: Repository & { readonly branch: string }) => Promise<unknown>
  readonly listFiles: (parameters: Repository & { readonly revision: string; readonly recursive: true }) => AsyncIterable<RemoteFile>
  readonly commit: (parameters: CommitParameters) => Promise<{ readonly commit: { readonly oid: string } } | undefined>
}

const name: string = '@huggingface/hub'

/** @throws MissingPackageError */
export const loadHubLibrary = (): Promise<HubLibrary> =>
  loadOptional({ feature: 'salora push', names: [name] }, () => import(name) as Promise<HubLibrary>)

/** The status of an error that the library throws for a response; null for any other error. */
export const statusOf = (thrown: unknown): number | null =>
  thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number' ? thrown.statusCode : null
