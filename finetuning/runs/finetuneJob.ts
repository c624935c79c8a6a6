/** A fine-tuning run, from a model's and a task's name to a folder on disk: prepare, train, save. It works in any thread. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { hubIdOf } from '../../accelerated/checkpoints/hub/snapshot.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { formatOf } from '../../accelerated/formats/index.js'
import { lazyImport } from '../../accelerated/errors/lazyImport.js'
import type { Leader } from '../distributed/leader.js'
import { checkTask, leavesPromptTemplate, takesPromptTemplate, withModelTemplate, withTemplateOf } from '../tasks/index.js'
import { estimateOf, estimateOnCard } from './estimate.js'
import { cardFile, modelCard } from './modelCard.js'
import { prepareRun, type PreparedRun } from './prepareRun.js'
import { resolveRunOptions, type FinetuneEvent, type FinetuneOptions, type RunOptions, type RunResult } from './run.js'
import { checkLength } from './checkLength.js'
import { checkExchange, checkSpreads } from './checkSpreads.js'
import { checkStorable, readRunConfig } from './runFiles.js'
import { runJob, type Job } from './runJob.js'
import { storedMetric, withMetricModule } from './runMetric.js'
import { checkSamplePrompts } from './samplePrompts.js'
import { refuseUsedFolder } from './planRun.js'
import { openRunFolder } from './runFolder.js'
import { withTokenFiles } from './tokenFiles.js'

/** Runs a fine-tuning job in this thread. The events are those of `finetune`; it returns the result. @throws as `finetune` */
export async function* finetuneJob(input: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  const given = resolveRunOptions(await withTokens(input))
  const began = performance.now()
  checkStorable(given)
  checkExchange(given)
  const { options: chosen, metric } = await withMetricModule(given)
  const prompted = await withSamplePrompts(chosen)
  if (!given.resume) {
    await refuseUsedFolder(given.output)
    checkTask(given.task)
    await checkLength(given)
  }
  const options = yield* withPromptTemplate(prompted, signal)
  const prepared = yield* prepareRun(options, signal, metric)
  const { facts } = prepared
  checkSpreads(options, prepared)
  const ofMetric = metric === null ? {} : { metric: storedMetric(metric) }
  const folder = await openRunFolder(options, { ...facts, ...prepared, ...ofMetric, steps: prepared.plan.steps }) // last: errors above leave no folder
  let leader: Leader | null = null
  try {
    leader = await leaderOf(options, prepared, signal)
    const machines = leader === null ? {} : { machines: leader }
    return yield* runJob({ options, prepared, folder, began, ...machines, estimate, cardOf: cardOfRun(options, prepared) }, signal)
  } finally {
    await leader?.close()
    await folder.release()
  }
}

const withTokens = async (options: FinetuneOptions): Promise<FinetuneOptions> =>
  options.settings === undefined ? options : { ...options, settings: await withTokenFiles(options.settings) }

/** The leader is loaded where a run has other machines. */
const leaderOf = async (options: RunOptions, prepared: PreparedRun, signal: AbortSignal): Promise<Leader | null> => {
  if (options.redis === undefined) return null
  const { openRunLeader } = await lazyImport(import('./openRunLeader.js'))
  return openRunLeader({ ...options, redis: options.redis }, prepared, signal)
}

/** Memory in this process, or on the card of its device. */
const estimate: NonNullable<Job['estimate']> = async ({ task, examples, plan, facts, sampleMemory: samples }) => {
  const data = { ...examples, ...(samples === undefined ? {} : { samples }) }
  const card = (await deviceOf(facts.device).card?.(task.settings.deviceId)) ?? null
  if (card !== null) return estimateOnCard(task, data, plan.steps, card)
  return estimateOf(task, data, plan.steps, process.memoryUsage.rss())
}

const cardOfRun =
  (options: RunOptions, { base, task, data }: PreparedRun): NonNullable<Job['cardOf']> =>
  async (result) => ({
    name: cardFile,
    text: modelCard({ options, hubId: (await hubIdOf(base.folder)) ?? null, library: formatOf(task.method).library, data, result }),
  })

/** The options with the prompt template of the model and its truncation, which config.json stores. A resumed run keeps those that it began with. */
async function* withPromptTemplate(options: RunOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunOptions> {
  const { task, model, output, resume } = options
  if (!takesPromptTemplate(task.task)) return options
  const earlier = resume ? await readRunConfig(output) : null
  if (earlier !== null) return { ...options, task: withTemplateOf(earlier.task, task) }
  const { folder } = await resolveModel(model, { signal })
  const resolved = await withModelTemplate(task, folder)
  if (leavesPromptTemplate(task) && resolved.promptTemplate !== undefined)
    yield { kind: 'preparing', what: "framing instructions in the model's chat template (--prompt-template names another)" }
  return { ...options, task: resolved }
}

/** The options with the sample prompts that a resumed run began with, unless others are given. @throws InputError for prompts of another form */
const withSamplePrompts = async (options: RunOptions): Promise<RunOptions> => {
  const { samplePrompts, resume, output } = options
  if (samplePrompts !== undefined) checkSamplePrompts(samplePrompts)
  if (samplePrompts !== undefined || !resume) return options
  const earlier = (await readRunConfig(output))?.samplePrompts
  return earlier === undefined ? options : { ...options, samplePrompts: earlier }
}
