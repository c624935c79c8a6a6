/** What a run's numbers follow from, as config.json and every checkpoint have it: settings, device, the model's files, the rows and their classes. */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { numericallyNeutralSettings } from '../../accelerated/settings/commonSettings.js'
import { fileSha256 } from '../../accelerated/storage/sha256.js'
import { modelDigests } from '../../accelerated/checkpoints/modelDigests.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { methodOf, settingsOfMethod, type Settings } from '../../accelerated/training/settings.js'
import { differing, without, type Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import type { Task } from '../tasks/index.js'
import { rowsDigest } from './runRows.js'

/** Files and rows by their digests. A path is none of them: what is the same in another place is the same. */
export type RunInputs = Readonly<Record<string, string>>

/** @param adapter the folder of the adapter that the run begins with */
export const runInputs = async (base: ModelFolder, data: Task, adapter: string | undefined): Promise<RunInputs> => ({
  'training rows': rowsDigest(data.train),
  'evaluation rows': rowsDigest(data.evaluation),
  ...(data.labelNames === null ? {} : { classes: classesOf(data.labelNames) }),
  ...(await modelFiles(base)),
  ...(adapter === undefined ? {} : await adapterFiles(adapter)),
})

/** Names where they can be read at a glance, else their digest. */
const classesOf = (names: ReadonlyArray<string>): string => {
  const text = names.join(', ')
  return text.length <= 200 ? text : `${names.length} of sha256 ${createHash('sha256').update(JSON.stringify(names)).digest('hex')}`
}

const ofModel = "the model's "

const modelFiles = async (base: ModelFolder): Promise<RunInputs> =>
  Object.fromEntries(Object.entries(await modelDigests(base)).map(([name, digest]) => [ofModel + name, digest]))

/** What an adapter's numbers and their meaning lie in, in every layout. */
export const adapterFiles = async (folder: string): Promise<RunInputs> => {
  const names = (await readdir(folder)).filter((name) => /\.(json|safetensors)$/.test(name)).sort()
  const digests = await Promise.all(names.map(async (name) => [`the adapter's ${name}`, await fileSha256(join(folder, name))] as const))
  return Object.fromEntries(digests)
}

export const fingerprintOf = (settings: Settings, device: string, inputs: RunInputs): Fingerprint => ({
  ...decisiveSettings(settings),
  device,
  ...inputs,
})

/** The settings that a run's numbers follow from. */
export const decisiveSettings = (settings: Settings): Fingerprint => without(numericallyNeutralSettings, settings)

/** What a setting is that an earlier version did not have. */
export const defaultsOf = ({ method }: Settings): Fingerprint =>
  Object.fromEntries(Object.entries(settingsOfMethod(methodOf(method))).map(([name, { schema }]) => [name, schema.parse(undefined)]))

/** Throws Mistake where the model has come to have other files than those that `run` was trained on. */
export const checkModelFiles = async (base: ModelFolder, inputs: RunInputs, run: string): Promise<void> => {
  const before = Object.fromEntries(Object.entries(inputs).filter(([name]) => name.startsWith(ofModel)))
  if (Object.keys(before).length === 0) return // a run of a version that kept none
  const different = differing(before, await modelFiles(base))
  if (different.length > 0)
    throw inputError(base.folder, `the model that ${run} was trained on (--model and --adapter take any)`, different.join('; '))
}
