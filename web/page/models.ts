/** The files of the chosen model: those beside the page, of a folder, or of the hub by the Cache API. */
import { InputError } from 'salora/web'
import type { ModelChoice } from './messages.js'

export type ModelFiles = {
  /** the model's folder in the page's storage */
  readonly path: string
  readonly baseModelName: string
  readonly files: ReadonlyMap<string, Blob>
}

const needed = ['config.json', 'tokenizer.json', 'tokenizer_config.json']
const optional = ['special_tokens_map.json', 'model.safetensors.index.json']
const weights = 'model.safetensors'

/** WebAssembly has 4 GiB; a step holds the weights, a copy for the session, and what it computes. */
export const largestModel = 1.5e9

/** @throws InputError for a model that is not there, not whole or too large */
export const modelFiles = async (choice: ModelChoice, report: (what: string) => void): Promise<ModelFiles> => {
  if (choice.kind === 'embedded') return { path: 'models/embedded', baseModelName: 'embedded', files: await embedded() }
  const { name, files } =
    choice.kind === 'folder'
      ? { name: choice.name, files: filesOf(choice.files) }
      : { name: choice.id, files: await fromHub(choice.id, report) }
  if (!files.has('config.json')) throw new InputError(name, 'config.json in the folder', 'none')
  checkSize(
    name,
    [...files.values()].reduce((sum, { size }) => sum + size, 0),
  )
  return { path: `models/${name.replaceAll('/', '--')}`, baseModelName: name, files }
}

/** @throws InputError for more bytes than a browser can train */
const checkSize = (name: string, bytes: number): void => {
  if (bytes > largestModel)
    throw new InputError(
      name,
      `at most ${largestModel / 1e9} GB of weights (WebAssembly has 4 GB of memory)`,
      `${(bytes / 1e9).toFixed(1)} GB; train it with Node`,
    )
}

const embedded = async (): Promise<ReadonlyMap<string, Blob>> => {
  const names = [...needed, 'special_tokens_map.json', weights]
  return new Map(await Promise.all(names.map(async (name) => [name, await bodyOf(await fetch(`model/${name}`), name)] as const)))
}

const bodyOf = async (response: Response, name: string): Promise<Blob> => {
  if (!response.ok) throw new InputError(name, 'a file that can be downloaded', `status ${response.status}`)
  return response.blob()
}

/** The files of a folder without those of folders in it. */
const filesOf = (files: ReadonlyArray<File>): ReadonlyMap<string, Blob> =>
  new Map(files.filter(({ webkitRelativePath }) => webkitRelativePath.split('/').length <= 2).map((file) => [file.name, file] as const))

/** transformers.js' cache, so that each finds the other's downloads. */
const cacheName = 'transformers-cache'

const fromHub = async (id: string, report: (what: string) => void): Promise<ReadonlyMap<string, Blob>> => {
  if (!/^[\w.-]+\/[\w.-]+$/.test(id)) throw new InputError('model', 'OWNER/NAME of the hub', JSON.stringify(id))
  const cache = await caches.open(cacheName)
  const addressOf = (file: string): string => `https://huggingface.co/${id}/resolve/main/${file}`
  const get = async (file: string, isNeeded: boolean): Promise<Blob | null> => {
    const cached = await cache.match(addressOf(file))
    if (cached !== undefined) return cached.blob()
    report(`downloading ${id}/${file}`)
    const response = await fetch(addressOf(file)).catch(() => {
      throw new InputError(id, "an answer of the hub (or a model's folder from this computer)", 'none: no connection')
    })
    if (!response.ok && !isNeeded) return null
    if (!response.ok) throw new InputError(`${id}/${file}`, 'a file on the hub', `status ${response.status}`)
    checkSize(id, Number(response.headers.get('content-length') ?? 0))
    await cache.put(addressOf(file), response.clone()).catch(() => undefined) // a full storage only costs the next download
    return response.blob()
  }
  const files = new Map<string, Blob>()
  const add = async (file: string, isNeeded: boolean): Promise<void> => {
    const body = await get(file, isNeeded)
    if (body !== null) files.set(file, body)
  }
  for (const file of needed) await add(file, true)
  for (const file of optional) await add(file, false)
  for (const file of await weightNames(files.get('model.safetensors.index.json'))) await add(file, true)
  return files
}

/** The names of the weight files: those of the index, or the only one. */
const weightNames = async (index: Blob | undefined): Promise<ReadonlyArray<string>> => {
  if (index === undefined) return [weights]
  const { weight_map: map = {} } = JSON.parse(await index.text()) as { readonly weight_map?: Readonly<Record<string, string>> }
  return [...new Set(Object.values(map))].filter((name) => /^[\w.-]+$/.test(name))
}
