/** A run's fingerprint: everything that its numbers follow from, by name, the digests of its model's files among it. */
import { locateCache, nodeFiles } from '../storage/nodeFiles.js'
import { fileInFolder, joinPath, baseName } from '../storage/paths.js'
import { fileSha256, storedSha256 } from '../storage/digests.js'
import type { Storage } from '../storage/storage.js'
import { poolingFile } from './hub/hubRules.js'
import type { ModelFolder } from './modelFolder.js'

/** By file name. Each file is read once, whole. @throws InputError */
export const modelDigests = async ({ folder, tensors, others, ...base }: ModelFolder): Promise<Readonly<Record<string, string>>> => {
  const { storage } = base.added?.plain ?? base
  const small = await Promise.all(
    ['config.json', 'tokenizer.json', 'tokenizer_config.json', poolingFile].map((name) => fileInFolder(folder, name, storage)),
  )
  const weights = new Set([...tensors.values(), ...others.values()].map(({ file }) => file))
  const digests: Record<string, string> = {}
  for (const file of [...small.filter((path) => path !== undefined), ...weights])
    digests[file.endsWith(poolingFile) ? poolingFile : baseName(file)] = await cachedDigest(file, storage)
  return digests
}

/** A run and its int8 weights both ask, and 13 GB take 10 seconds. Keyed by the file's attributes, because a program may set back its time stamps. */
const caches = new WeakMap<Storage, Map<string, Promise<string>>>()

const cachedDigest = async (file: string, storage: Storage): Promise<string> => {
  const cache = caches.get(storage) ?? new Map<string, Promise<string>>()
  caches.set(storage, cache)
  const key = `${file} ${(await storage.stat(file))?.attributesVersion}`
  const digest = cache.get(key) ?? hashFile(file, storage)
  cache.set(key, digest)
  digest.catch(() => cache.delete(key))
  return digest
}

const hashFile = (file: string, storage: Storage): Promise<string> =>
  storage === nodeFiles ? storedSha256(file, joinPath(locateCache(), 'salora-digests')) : fileSha256(file, storage)

/** JSON values. Files and lists of rows have their digests here. */
export type Fingerprint = Readonly<Record<string, unknown>>

/** A fingerprint without some names. */
export const without = (names: readonly string[], fingerprint: Fingerprint): Fingerprint =>
  Object.fromEntries(Object.entries(fingerprint).filter(([name]) => !names.includes(name)))

/**
 * The differences of two fingerprints, in words. A name that `before` lacks is no difference if it has its default now: a later version added
 * that setting.
 */
export const differing = (before: Fingerprint, after: Fingerprint, defaults: Fingerprint = {}): readonly string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => !same(before[key], after[key]) && !isNewDefault(key, before, after, defaults))
    .map((key) => `${key} was ${showValue(before[key])} and is ${showValue(after[key])}`)

/** The names that `before` lacks and that have their default now. */
export const newDefaults = (before: Fingerprint, after: Fingerprint, defaults: Fingerprint): readonly string[] =>
  Object.keys(after).filter((key) => isNewDefault(key, before, after, defaults))

const isNewDefault = (key: string, before: Fingerprint, after: Fingerprint, defaults: Fingerprint): boolean =>
  before[key] === undefined && Object.hasOwn(defaults, key) && same(after[key], defaults[key])

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Shows the first twelve digits of a digest. */
const showValue = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').replaceAll(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, '$1…')
