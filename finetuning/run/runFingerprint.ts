/** The fingerprint of a run, which config.json and every checkpoint hold: settings, device, digests of the model's files, the rows and the classes. */
import { beforeTheSetting } from '../../accelerated/settings/defaults.js'
import { numericallyNeutralSettings } from '../../accelerated/settings/commonSettings.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import { fileSha256 } from '../../accelerated/storage/digests.js'
import { sha256 } from '../../accelerated/storage/native.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { modelDigests, differing, without, type Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { findMethod, buildSettingTable, type Settings } from '../../accelerated/training/resolveSettings.js'
import { comparableNames } from '../data/labels.js'
import type { LoadedTask } from '../tasks/index.js'
import { rowsDigest } from './runRows.js'

/** Digests of files and rows, without paths: a moved file is the same input. */
export type RunInputs = Readonly<Record<string, string>>

/** @param adapter the folder of the adapter that the run starts from */
export const runInputs = async (base: ModelFolder, data: LoadedTask, adapter: string | undefined): Promise<RunInputs> => ({
  'training rows': rowsDigest(data.train),
  'evaluation rows': rowsDigest(data.evaluation),
  ...(data.test === undefined ? {} : { 'test rows': rowsDigest(data.test) }),
  ...(data.scalesScores === true ? { 'scale of scores': 'mean 0, deviation 1' } : {}),
  ...(data.labelNames === null ? {} : { classes: summarizeClasses(comparableNames(data.labelNames)) }),
  ...(await modelFiles(base)),
  ...(adapter === undefined ? {} : await adapterFiles(adapter, base.storage)),
})

/** The class names if they are short, otherwise their digest. */
const summarizeClasses = (names: readonly string[]): string => {
  const text = names.join(', ')
  if (text.length <= 200) return text
  const digest = sha256()
  digest.update(JSON.stringify(names))
  return `${names.length} of sha256 ${digest.hex()}`
}

const ofModel = "the model's "

const modelFiles = async (base: ModelFolder): Promise<RunInputs> =>
  Object.fromEntries(Object.entries(await modelDigests(base)).map(([name, digest]) => [ofModel + name, digest]))

/** Digests of an adapter's files: its .json and .safetensors files, in every layout. */
export const adapterFiles = async (folder: string, storage: Storage = nodeFiles): Promise<RunInputs> => {
  const names = (await storage.list(folder)).filter((name) => /\.(json|safetensors)$/.test(name)).sort()
  const digests = await Promise.all(
    names.map(async (name) => [`the adapter's ${name}`, await fileSha256(joinPath(folder, name), storage)] as const),
  )
  return Object.fromEntries(digests)
}

export const buildFingerprint = (settings: Settings, device: string, inputs: RunInputs): Fingerprint => ({
  ...decisiveSettings(settings),
  device,
  ...inputs,
})

/** The settings that affect a run's numbers. */
export const decisiveSettings = (settings: Settings): Fingerprint => without(numericallyNeutralSettings, settings)

/** What a run of an earlier version did where it did not have a setting: its default, unless the setting changed what had been done before. */
export const earlierDefaults = ({ method }: Settings): Fingerprint => ({
  ...Object.fromEntries(Object.entries(buildSettingTable(findMethod(method))).map(([name, { schema }]) => [name, schema.parse(undefined)])),
  ...beforeTheSetting,
})

/** @throws InputError if the model's files differ from those that `run` was trained on */
export const checkModelFiles = async (base: ModelFolder, inputs: RunInputs, run: string): Promise<void> => {
  const before = Object.fromEntries(Object.entries(inputs).filter(([name]) => name.startsWith(ofModel)))
  if (Object.keys(before).length === 0) return // a run of a version that recorded none
  const different = differing(before, await modelFiles(base))
  if (different.length > 0)
    throw inputError(
      base.folder,
      words`the model that ${run} was trained on (${option('model')} and ${option('adapter')} take any)`,
      different.join('; '),
    )
}
