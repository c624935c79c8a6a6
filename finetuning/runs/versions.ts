/** Versions of what a run's numbers depend on, as written into its config.json. */
import { createRequire } from 'node:module'
import { packageFile } from '../data/packageFile.js'

const require = createRequire(import.meta.url)
const own = require(packageFile('package.json')) as {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
}

/** Dependencies are pinned exactly, so package.json says what is installed. */
export const versions: Readonly<Record<string, string>> = {
  salora: own.version,
  node: process.versions.node,
  'onnxruntime-node': own.dependencies['onnxruntime-node'] ?? '',
  '@huggingface/tokenizers': own.dependencies['@huggingface/tokenizers'] ?? '',
}
