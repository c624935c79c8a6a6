/** Node as the place of a run: a folder on the disk, models of the hub, devices of this machine, and others through Redis. */
import { resolveModel } from '../accelerated/checkpoints/hub/hub.js'
import { findHubId } from '../accelerated/checkpoints/hub/hubRules.js'
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import { findDevice } from '../accelerated/engines/devices/findDevice.js'
import { chooseDevice } from '../accelerated/engines/deviceProbe.js'
import { InputError } from '../accelerated/errors/inputError.js'
import { isBare } from '../accelerated/models/modelOutputs.js'
import { adapterSettings, findFormat } from '../accelerated/formats/index.js'
import { joinPath } from '../accelerated/storage/paths.js'
import { checkPositions } from '../accelerated/training/runLength.js'
import { findMethod } from '../accelerated/training/resolveSettings.js'
import { runRecipe, type Machine, type RunRequest } from './recipe.js'
import { checkExchange } from './run/checkSpreads.js'
import { buildEstimate, estimateOnCard } from './run/estimateRun.js'
import { cardFile, modelCard } from './run/modelCard.js'
import { examineFolder, openRunFolder } from './run/nodeFolder.js'
import { resolveRunOptions, type FinetuneEvent, type FinetuneOptions, type RunConfig, type RunOptions, type RunResult } from './run/run.js'
import { checkStorable } from './run/runFiles.js'
import { storedMetric, withMetricModule } from './metrics/metricModule.js'
import { checkSamplePrompts } from './run/samplePrompts.js'
import { withTokenFiles } from './run/runTokens.js'
import { checkTask, leavesPromptTemplate, loadTask, takesPromptTemplate, withModelTemplate, withEarlierTemplate } from './tasks/index.js'

/** Runs a fine-tuning job in this thread. The events are those of `finetune`; it returns the result. @throws as `finetune` */
export const finetuneJob = (options: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> =>
  runRecipe(options, nodeMachine, signal)

async function* readRequest(input: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunRequest> {
  const { settings = {}, adapter, resume = false } = input
  const ofAdapter = adapter === undefined || resume ? {} : await adapterSettings(adapter, settings)
  const parsed = resolveRunOptions({ ...input, settings: await withTokenFiles({ ...ofAdapter, ...settings }) })
  checkStorable(parsed)
  checkExchange(parsed)
  const { options, metric } = await withMetricModule(parsed)
  if (options.samplePrompts !== undefined) checkSamplePrompts(options.samplePrompts)
  const content = await examineFolder(options)
  if (!options.resume) {
    checkTask(options.task)
    await checkLength(options)
  }
  const resumed = content.earlier === null ? options : withEarlierChoices(options, content.earlier)
  return { options: yield* withPromptTemplate(resumed, content.earlier, signal), metric, content }
}

/** A resumed run opens the commit that it began with, and keeps its sample prompts unless others are given. */
const withEarlierChoices = (options: RunOptions, { revision, samplePrompts }: RunConfig): RunOptions => ({
  ...options,
  ...(revision == null ? {} : { revision }),
  ...(options.samplePrompts === undefined && samplePrompts !== undefined ? { samplePrompts } : {}),
})

/** The options with the prompt template of the model and its truncation, which config.json stores. A resumed run keeps those that it began with. */
async function* withPromptTemplate(
  options: RunOptions,
  earlier: RunConfig | null,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, RunOptions> {
  const { task, model } = options
  if (!takesPromptTemplate(task.task)) return options
  if (earlier !== null) return { ...options, task: withEarlierTemplate(earlier.task, task) }
  const { folder } = await resolveModel(model, { signal })
  const resolved = await withModelTemplate(task, folder)
  if (leavesPromptTemplate(task) && resolved.promptTemplate !== undefined)
    yield { kind: 'preparing', what: "framing instructions in the model's chat template (--prompt-template names another)" }
  return { ...options, task: resolved }
}

/**
 * Compares the length of texts with the model's positions before the data is read, which may take minutes. A model that is not on this disk is
 * checked after its download.
 * @throws SettingsError; InputError for a model that cannot be read
 */
const checkLength = async ({ model, settings }: Pick<RunOptions, 'model' | 'settings'>): Promise<void> => {
  const resolved = await resolveModel(model, { environment: { ...process.env, HF_HUB_OFFLINE: '1' } }).catch((thrown: unknown) => {
    if (thrown instanceof InputError) return null // opening it says what is wrong
    throw thrown
  })
  if (resolved === null) return
  const opened = await openModelFolder(resolved.folder, { memory: Infinity })
  checkPositions(findMethod(settings.method), settings, opened.model)
}

export const nodeMachine: Machine = {
  readRequest,
  chooseDevice: ({ device }) => chooseDevice(device),
  loadTask,
  openModel: async ({ model, revision }, signal) => {
    const resolved = await resolveModel(model, { signal, ...(revision === undefined ? {} : { revision }) })
    const opened = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
    return { model: opened, revision: resolved.revision }
  },
  openFolder: ({ options, metric, content }, sources) =>
    openRunFolder(options, metric === null ? sources : { ...sources, metric: storedMetric(metric) }, content),
  openSampler: async ({ samplePrompts, task }, run) => {
    if (samplePrompts === undefined) return null
    const { openSampler } = await import('./run/sampler.js')
    return openSampler({ ...run, task }, samplePrompts)
  },
  estimate: async ({ task, plan, facts, sampleMemory: samples }) => {
    const data = { ...task, ...(samples === undefined ? {} : { samples }) }
    const { device } = task.settings
    const card = (await findDevice(device === 'auto' ? facts.device : device).card?.()) ?? null
    return card === null ? buildEstimate(task, data, plan.steps, process.memoryUsage.rss()) : estimateOnCard(task, data, plan.steps, card)
  },
  openLeader: async (run, signal) => {
    const { redis } = run.options
    if (redis === undefined) return null
    const { openRunLeader } = await import('./run/openRunLeader.js')
    return openRunLeader({ ...run.options, redis }, run, signal)
  },
  writeCard: async ({ options, base, outputs, task, card }, folder, result) => {
    const hubId = (await findHubId(base.folder)) ?? null
    const readsEmbeddings = outputs.head === 'sequence' && isBare(base.model, outputs)
    const text = modelCard({ options, hubId, library: findFormat(task.method).library, data: card, readsEmbeddings, result })
    await base.storage.write(joinPath(folder.adapter, cardFile), text)
  },
}
