/** The files of a model that a run's numbers follow from, each by its SHA-256: configuration, tokenizer and weights. */
import { basename } from 'node:path'
import { fileDigest } from './digest.js'
import type { ModelFolder } from './modelFolder.js'
import { fileInFolder } from './safetensors/weightFiles.js'

/** By name. Each file is read once, whole. Throws Mistake. */
export const modelDigests = async ({ folder, tensors, others }: ModelFolder): Promise<Readonly<Record<string, string>>> => {
  const small = await Promise.all(['config.json', 'tokenizer.json', 'tokenizer_config.json'].map((name) => fileInFolder(folder, name)))
  const weights = new Set([...tensors.values(), ...others.values()].map(({ file }) => file))
  const digests: Record<string, string> = {}
  for (const file of [...small.filter((path) => path !== undefined), ...weights]) digests[basename(file)] = await fileDigest(file)
  return digests
}
