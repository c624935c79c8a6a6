/** The files of the chosen model: those beside the page, of a folder, or of the hub. */
import {
  checkModelSize,
  findHubModel,
  hubCacheName,
  hubFiles,
  InputError,
  type HubModel,
  type HubPlace,
  type HubProgress,
} from 'salora/web'
import { filesInside, readFile } from './files.js'
import type { ModelChoice } from './messages.js'

export type ModelFiles = {
  /** the model's folder in the page's storage */
  readonly path: string
  readonly baseModelName: string
  readonly files: ReadonlyMap<string, Blob>
}

const ofEmbedded = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'model.safetensors']

/** What a download says, and an end to it. */
export type Download = {
  readonly report: (id: string, progress: HubProgress) => void
  readonly onWait: NonNullable<HubPlace['onWait']>
  readonly signal: AbortSignal
}

/** @throws InputError for a model that is not there, not whole or too large */
export const modelFiles = async (choice: ModelChoice, { report, onWait, signal }: Download): Promise<ModelFiles> => {
  if (choice.kind === 'embedded') return { path: 'models/embedded', baseModelName: 'embedded', files: await embedded() }
  if (choice.kind === 'hub') {
    const { id } = choice
    const packed = filesInside(toPath(id)) // of a run that the page was saved with
    if (packed.size > 0) return { path: toPath(id), baseModelName: id, files: packed }
    const place = { ...(await hubPlace()), onWait, signal }
    const files = await hubFiles(await findHubModel(id, place), place, (progress) => report(id, progress))
    return { path: toPath(id), baseModelName: id, files }
  }
  const { name } = choice
  const files = pickTopLevelFiles(choice.files)
  if (!files.has('config.json')) throw new InputError(name, 'config.json in the folder', 'none')
  checkModelSize(
    name,
    [...files.values()].reduce((sum, { size }) => sum + size, 0),
  )
  return { path: toPath(name), baseModelName: name, files }
}

const toPath = (name: string): string => `models/${name.replaceAll('/', '--')}`

/** A model of the hub in one line: its family, and how much of it is to download. @throws InputError */
export const modelLine = async (id: string): Promise<string> => {
  const { family, weights } = await findHubModel(id, await hubPlace())
  return `${family}, ${sizeText(weights)}`
}

const sizeText = (weights: HubModel['weights']): string => {
  const missing = weights.filter(({ cached }) => !cached)
  if (missing.length === 0) return `${megabytes(weights.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0))}, in this browser`
  if (missing.some(({ bytes }) => bytes === null)) return 'of unknown size'
  return `${megabytes(missing.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0))} to download`
}

/** `90.9 MB` */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`

/** A page without https has no Cache API. */
const hubPlace = async (): Promise<HubPlace> => ({ cache: 'caches' in self ? await caches.open(hubCacheName).catch(() => null) : null })

const embedded = async (): Promise<ReadonlyMap<string, Blob>> =>
  new Map(await Promise.all(ofEmbedded.map(async (name) => [name, await readFile(`model/${name}`)] as const)))

/** The files of a folder without those of folders in it. */
const pickTopLevelFiles = (files: readonly File[]): ReadonlyMap<string, Blob> =>
  new Map(files.filter(({ webkitRelativePath }) => webkitRelativePath.split('/').length <= 2).map((file) => [file.name, file] as const))
