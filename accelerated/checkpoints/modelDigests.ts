/** The SHA-256 digests of a model's files: its configuration, tokenizer and weights, from which a run's numbers follow. */
import { cacheOf, nodeFiles } from '../storage/nodeFiles.js'
import { fileInFolder, joinPath, nameOf } from '../storage/paths.js'
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
    digests[file.endsWith(poolingFile) ? poolingFile : nameOf(file)] = await cachedDigest(file, storage)
  return digests
}

/** A run and its int8 weights both ask, and 13 GB take 10 seconds. Keyed by the file's attributes, because a program may set back its time stamps. */
const caches = new WeakMap<Storage, Map<string, Promise<string>>>()

const cachedDigest = async (file: string, storage: Storage): Promise<string> => {
  const cache = caches.get(storage) ?? new Map<string, Promise<string>>()
  caches.set(storage, cache)
  const key = `${file} ${(await storage.stat(file))?.attributesVersion}`
  const digest = cache.get(key) ?? digestOf(file, storage)
  cache.set(key, digest)
  digest.catch(() => cache.delete(key))
  return digest
}

const digestOf = (file: string, storage: Storage): Promise<string> =>
  storage === nodeFiles ? storedSha256(file, joinPath(cacheOf(), 'salora-digests')) : fileSha256(file, storage)
