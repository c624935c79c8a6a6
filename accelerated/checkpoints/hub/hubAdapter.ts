/** The folder of an adapter: a folder of this disk, or the adapter of a hub id, from the hub's cache or downloaded into it. */
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { readText } from '../../storage/text.js'
import { makeFolder } from '../../storage/folders.js'
import { nodeFiles, isFile } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import { inputError } from '../../errors/inputError.js'
import { systemInputError } from '../../errors/systemError.js'
import { remoteOf, type HubOptions } from './hub.js'
import { isHubId, isRevision } from './hubId.js'
import { commitOf, download, fileUrl } from './hubDownload.js'
import { cacheOf, isOffline } from './hubEnvironment.js'
import { optionalFiles } from './optionalFiles.js'

const config = 'adapter_config.json'

/** PEFT's weights, or those of the adapters library. One of them is needed; what follows describes the head, the classes and added tokens. */
const weights = ['adapter_model.safetensors', 'adapter.safetensors']
const optional = ['salora.json', 'head_config.json', 'model_head.safetensors', 'tokenizer.json', ...optionalFiles]

/** A name that is neither a folder nor OWNER/NAME is returned as it is. Environment variables: those of resolveModel. @throws InputError */
export const resolveAdapter = async (adapter: string, options: HubOptions = {}): Promise<string> => {
  const { revision = 'main', environment = process.env } = options
  const isHere = (await nodeFiles.stat(adapter).catch(() => null)) !== null
  if (isHere || !isHubId(adapter) || !adapter.includes('/') || !isRevision(revision)) return adapter
  const cache = joinPath(cacheOf(environment), `models--${adapter.replace('/', '--')}`)
  const commit = await readText(joinPath(cache, 'refs', revision), 1_000).then(
    (text) => text.trim(),
    () => revision,
  )
  const cached = joinPath(cache, 'snapshots', commit)
  if (isRevision(commit) && (await isComplete(cached))) return cached
  if (isOffline(environment))
    throw inputError(
      adapter,
      `the adapter in ${cache} (offline, by --offline or HF_HUB_OFFLINE)`,
      `no complete copy there, and no folder ${adapter} here`,
    )
  return downloadAdapter(adapter, revision, cache, { ...options, environment })
}

const isComplete = async (folder: string): Promise<boolean> =>
  (await isFile(joinPath(folder, config))) && (await Promise.all(weights.map((name) => isFile(joinPath(folder, name))))).some(Boolean)

/** Weights last, so that a folder with weights is complete. */
const downloadAdapter = async (adapter: string, revision: string, cache: string, options: HubOptions): Promise<string> => {
  const remote = remoteOf(adapter, revision, options)
  const commit = (await commitOf(remote, config)) ?? revision
  const pinned = { ...remote, revision: commit }
  const folder = joinPath(cache, 'snapshots', commit)
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(folder, 'to create the cache folder', thrown)
  })
  const get = (name: string) => download(pinned, name, joinPath(folder, name), joinPath(cache, 'blobs'))
  if (!(await get(config)))
    throw inputError(
      fileUrl(pinned, config),
      `an adapter's ${config}`,
      `none (no such repository or revision?), and no folder ${adapter} here`,
    )
  for (const name of optional) await get(name)
  if (!(await get(weights[0]!)) && !(await get(weights[1]!)))
    throw inputError(fileUrl(pinned, weights[0]!), "the adapter's weights in safetensors", 'none (pickled weights are not read)')
  if (commit !== revision) {
    await makeFolder(joinPath(cache, 'refs'))
    await writeFileAtomically(joinPath(cache, 'refs', revision), commit)
  }
  return folder
}
