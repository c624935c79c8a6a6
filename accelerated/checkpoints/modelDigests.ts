/** The files of a model that a run's numbers follow from, each by its SHA-256: configuration, tokenizer and weights. */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileSha256 } from '../storage/sha256.js'
import type { ModelFolder } from './modelFolder.js'
import { fileInFolder } from './safetensors/weightFiles.js'

/** By name. Each file is read once, whole. Throws Mistake. */
export const modelDigests = async ({ folder, tensors, others }: ModelFolder): Promise<Readonly<Record<string, string>>> => {
  const small = await Promise.all(['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((name) => fileInFolder(folder, name)))
  const weights = new Set([...tensors.values(), ...others.values()].map(({ file }) => file))
  const digests: Record<string, string> = {}
  for (const file of [...small.filter((path) => path !== undefined), ...weights]) digests[basename(file)] = await knownDigest(file)
  return digests
}

/** A run and its int8 base both ask, and 13 GB take 10 seconds. A file that was written to since is another by its times, whatever it says. */
const known = new Map<string, Promise<string>>()

const knownDigest = async (file: string): Promise<string> => {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true }).catch(() => nothing)
  const key = [file, dev, ino, size, mtimeNs, ctimeNs].join(' ')
  const digest = known.get(key) ?? fileSha256(file)
  known.set(key, digest)
  digest.catch(() => known.delete(key))
  return digest
}

const nothing = { dev: 0n, ino: 0n, size: 0n, mtimeNs: 0n, ctimeNs: 0n }
