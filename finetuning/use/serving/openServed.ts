/** What the serving thread opens: runs, each on its own model, or one base with its adapters. */
import { chooseDevice } from '../../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../../accelerated/engines/devices/device.js'
import { withSharedSessions } from '../../../accelerated/engines/sharedSessions.js'
import { withAdapter, type Decoder } from '../../../accelerated/generation/decoder.js'
import { toRowAdapter } from '../../../accelerated/generation/stackedAdapters.js'
import { chooseMaxRank, usualRank } from '../../../accelerated/formats/adapterInputs.js'
import { nameOutputs } from '../../../accelerated/formats/modelConfig.js'
import { adapterFiles } from '../../../accelerated/formats/peft/peft.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { fileInFolder } from '../../../accelerated/storage/paths.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { parseTemplate } from '../../data/promptTemplates.js'
import type { PlacementReport } from '../../run/devicePlacement.js'
import { readRunResult } from '../../run/runFiles.js'
import { findTaskType, findTaskTypeByName } from '../../tasks/findTaskType.js'
import { type Generator, generatorOn } from '../generator.js'
import { openPredictions, openSharedTextDecoder, openTextDecoder, type OpenTextDecoder } from '../modelSessions.js'
import { type OpenAdapter, type OpenedModel, openModel, type TrainedAdapterOptions, watchedDevice } from '../openModel.js'
import { type MachineChoice, machineIn, type RunColumns, runSource, type RunSource } from '../runSource.js'
import { openSharedBase, type ReadAdapter } from '../sharedBase.js'
import { generationQueue, type GenerationQueue } from './generationQueue.js'
import type { AdapterSource, BaseOptions, Reply, RunInfo } from './protocol.js'

export type Opened = { readonly info: RunInfo; readonly release: () => Promise<void> } & (
  | { readonly adapter: OpenAdapter }
  | { readonly generations: GenerationQueue; readonly generator: Generator }
)

/** A base that is open: `attach` opens another adapter of it, and `release` comes after all others. */
export type OpenBase = { readonly attach: (source: AdapterSource) => Promise<Opened>; readonly release: () => Promise<void> }

type Send = (reply: Reply) => void

type OpenDevice = (name: string) => Promise<Device>

/** Devices by the names of settings, each opened once, so that runs over one base can share its session. */
export const sharedDevices = (onPlacement: PlacementReport): OpenDevice => {
  const devices = new Map<string, Promise<Device>>()
  return (name) => {
    const device = devices.get(name) ?? chooseDevice(name).then((plain) => withSharedSessions(watchedDevice(plain, onPlacement)))
    devices.set(name, device)
    return device
  }
}

/** A run on a model of its own. */
export const openFolder = async (send: Send, run: string, source: RunSource, deviceOf: OpenDevice): Promise<Opened> => {
  const result = await readRunResult(run) // a run that was interrupted has none, but the best adapter so far
  const writesText = result === null ? undefined : findTaskTypeByName(result.taskType)?.command === 'generate'
  const { adapter: options, ...trained } = source
  const writing: Writing = {
    openDecoder: openTextDecoder,
    queueFor: (generator) => generationQueue(generator.batch(), send),
    release: async (queue, generator) => queue.idle().then(generator.release),
  }
  return openOne(writing, { folder: run, options, ...trained }, await openModel(options, { deviceOf, writesText }))
}

/** How what writes text opens its decoder and its queue, and gives them back. */
type Writing = {
  readonly openDecoder: OpenTextDecoder
  readonly queueFor: (generator: Generator) => GenerationQueue
  readonly release: (queue: GenerationQueue, generator: Generator) => Promise<void>
}

/** The adapters of a base share a decoder and a queue, so that their texts share batches. Both stay until the base is released. */
const sharedWriting = (send: Send): { readonly writing: Writing; readonly release: () => Promise<void> } => {
  let [decoder, queue]: [Promise<Decoder> | null, GenerationQueue | null] = [null, null]
  return {
    writing: {
      openDecoder: async (...given) => {
        decoder ??= openSharedTextDecoder(...given).catch((thrown: unknown) => {
          decoder = null
          throw thrown
        })
        const shared = await decoder
        return withAdapter(shared, toRowAdapter(given[0].adapter, shared.assembly.precision.dtype))
      },
      queueFor: (generator) => (queue ??= generationQueue(generator.batch(), send)),
      release: async () => undefined,
    },
    release: async () => {
      await queue?.idle()
      await (await decoder)?.release()
    },
  }
}

/**
 * Opens the base and its adapters, which share sessions.
 * @param onOpen receives the base first (null if it answers nothing without an adapter), then each adapter
 */
export const openBase = async (
  send: Send,
  { model, adapters, maxRank }: BaseOptions,
  given: MachineChoice,
  deviceOf: OpenDevice,
  onOpen: (one: Opened | null) => void,
): Promise<OpenBase> => {
  const machine = machineIn(resolveSettings(given as SettingsInput))
  const shared = await openSharedBase(model)
  const read = async (folder: string) => {
    const { config, adapter, columns } = await adapterSource(folder)
    const { maxLength, templateDate } = adapter
    const source = { folder, config, columns, options: { model, ...machine, maxLength, templateDate } }
    return { source, read: await shared.read({ folder: adapter.adapter, trainedBy: adapter.trainedBy }) }
  }
  const first: { readonly source: Source; readonly read: ReadAdapter; readonly scale: number }[] = []
  for (const { path, scale } of adapters) first.push({ ...(await read(path)), scale })
  const rank = Math.max(...first.map(({ read: { lora } }) => chooseMaxRank(lora, maxRank)), maxRank ?? usualRank)
  const device = await deviceOf(machine.device)
  const { writing, release } = sharedWriting(send)
  const open = async ({ source, read: adapter, scale }: (typeof first)[number]): Promise<Opened> =>
    openOne(writing, source, { trained: await shared.attach(adapter, rank, scale), device })
  const alone = await shared.alone(rank)
  const options = { model, ...machine, maxLength: null }
  const plain = { folder: shared.base.folder, config: null, columns: anyColumns, options }
  try {
    onOpen(alone === null ? null : await openOne(writing, plain, { trained: alone, device }))
    for (const adapter of first) onOpen(await open(adapter))
  } catch (thrown) {
    await release()
    throw thrown
  }
  return { attach: async ({ path, scale }) => open({ ...(await read(path)), scale }), release }
}

/** An adapter, or one of a model on its own, has no run that names columns. */
const anyColumns: RunColumns = { text: 'text' }

/** What a folder says of its adapter: a run's, or an adapter's. @throws InputError */
const adapterSource = async (
  folder: string,
): Promise<Pick<RunSource, 'columns'> & { readonly config: RunSource['config'] | null; readonly adapter: AdapterOptions }> =>
  (await fileInFolder(folder, adapterFiles.config)) === undefined
    ? runSource(folder)
    : { config: null, columns: anyColumns, adapter: { adapter: folder, maxLength: null } }

type AdapterOptions = Pick<TrainedAdapterOptions, 'maxLength' | 'templateDate' | 'trainedBy'> & { readonly adapter: string }

type Source = {
  readonly folder: string
  readonly columns: RunColumns
  /** null: no run */
  readonly config: RunSource['config'] | null
  readonly options: Pick<
    TrainedAdapterOptions,
    'model' | 'precision' | 'threads' | 'batchSize' | 'maxLength' | 'templateDate' | 'trainedBy'
  >
}

const openOne = async (writing: Writing, { folder, config, columns, options }: Source, opened: OpenedModel): Promise<Opened> => {
  const { model, batchSize } = options
  const { adapter: trained, base } = opened.trained
  const method = config?.settings.method ?? trained.method.name
  const common = { folder, model, method, columns, batchSize, ...(config === null ? { takesAny: true as const } : {}) }
  if (trained.outputs.head === 'causal') {
    const generator = await generatorOn(opened, options, writing.openDecoder)
    const generations = writing.queueFor(generator)
    const maxLength = options.maxLength ?? base.model.spec.maxPositions
    const info: RunInfo = {
      ...common,
      ...{ taskType: 'causal', device: generator.device, maxLength, labelNames: null, answers: 'generate' },
      promptTemplate: config === null ? 'chat' : config.task.task === 'text' ? null : parseTemplate(config.task),
    }
    return { info, generator, generations, release: () => writing.release(generations, generator) }
  }
  const adapter = await openPredictions(opened.trained, options, opened.device)
  const taskType = findTaskType(adapter.outputs, folder)
  const info: RunInfo = {
    ...common,
    ...{ taskType: taskType.name, device: adapter.device, maxLength: adapter.maxLength, answers: 'predict', promptTemplate: null },
    labelNames: taskType.refuses.labelNames === undefined ? nameOutputs(adapter.outputs, adapter.labelNames) : null,
  }
  return { info, adapter, release: adapter.release }
}
