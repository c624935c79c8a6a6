/** Versions of the software that affects a run's numbers, as config.json records them. */
import { createRequire } from 'node:module'
import { packageFile } from '../../accelerated/storage/packages.js'

const require = createRequire(import.meta.url)
const manifest = require(packageFile('package.json')) as {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}

/** package.json pins exact versions, so it names the installed ones. */
export const versions: Readonly<Record<string, string>> = {
  salora: manifest.version,
  node: process.versions.node,
  'onnxruntime-node': manifest.optionalDependencies['onnxruntime-node'] ?? '',
  '@huggingface/tokenizers': manifest.dependencies['@huggingface/tokenizers'] ?? '',
}
