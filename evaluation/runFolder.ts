/** A run's folder: config.json, metrics.jsonl, result.json, adapter/, checkpoints/ (the layout is a contract; see README). */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { versions } from './versions.js'
import { removeTemporaries, writeFileAtomically } from '../accelerated/files/atomicFile.js'
import { mistake, reason } from '../accelerated/files/mistake.js'
import { lastCheckpoint } from '../accelerated/training/checkpointFile.js'
import type { MetricsLog } from './metricsLog.js'
import { openMetricsLog } from './metricsLog.js'
import type { FinetuneOptions, RunConfig, RunResult } from './run.js'
import { readRunConfig } from './storedRun.js'

export type RunFolder = {
  readonly adapter: string
  readonly checkpoints: string
  /** what the run began with and this process has in another version: the same bits are then not promised */
  readonly otherVersions: ReadonlyArray<string>
  /** also evaluate before the first step: the run's own choice where it is resumed */
  readonly evaluateStart: boolean
  /**
   * The first change of what is there: config.json is written, half-written files and the result of an earlier end are removed. Gives
   * metrics.jsonl with its first `lines` lines: what an interrupted run left after its checkpoint is done again.
   */
  readonly begin: (lines: number) => Promise<MetricsLog>
  readonly writeResult: (result: RunResult) => Promise<void>
}

/** Creates the folder, or with `resume` opens it; nothing in it is changed before `begin`. Throws Mistake: it cannot be written, holds another run, or one with other settings. */
export const openRunFolder = async (options: FinetuneOptions, device: string, revision: string | null): Promise<RunFolder> => {
  const { output, resume, model, task, settings } = options
  const [adapter, checkpoints, configFile] = [join(output, 'adapter'), join(output, 'checkpoints'), join(output, 'config.json')]
  const folders = [output, adapter, checkpoints]
  try {
    for (const folder of folders) await mkdir(folder, { recursive: true })
  } catch (error) {
    throw mistake(`--output ${output}`, 'a folder that can be written', reason(error))
  }
  const earlier = await readRunConfig(output)
  const evaluateStart = earlier?.evaluateStart ?? options.evaluateStart ?? false
  const begun = options.adapter === undefined ? {} : { adapter: options.adapter }
  const config: RunConfig = { model, revision, ...begun, task, settings, device, ...(evaluateStart ? { evaluateStart } : {}), versions }
  if (earlier !== null && !resume)
    throw mistake(`--output ${output}`, 'a new folder (or --resume to go on with the run that is there)', 'config.json of an earlier run')
  if (earlier === null && (await lastCheckpoint(checkpoints)) !== null)
    throw mistake(`--output ${output}`, 'a new folder, or a run with its config.json', 'checkpoints without one')
  if (earlier !== null) {
    const different = differences({ revision, ...earlier }, config)
    if (different.length > 0) throw mistake(configFile, 'the settings that the run began with', different.join('; '))
  }
  const result = join(output, 'result.json')
  return {
    adapter,
    checkpoints,
    evaluateStart,
    otherVersions: earlier === null ? [] : differing(earlier.versions, versions),
    begin: async (lines) => {
      for (const folder of folders) await removeTemporaries(folder)
      await writeFileAtomically(configFile, `${JSON.stringify(config, null, 2)}\n`)
      await rm(result, { force: true })
      return openMetricsLog(output, lines)
    },
    writeResult: (value) => writeFileAtomically(result, `${JSON.stringify(value, null, 2)}\n`),
  }
}

const differences = (before: RunConfig, after: RunConfig): ReadonlyArray<string> => {
  const flat = ({ model, revision, adapter, task, settings, device }: RunConfig): Readonly<Record<string, unknown>> => ({
    model,
    revision: revision ?? null,
    adapter,
    ...task,
    ...settings,
    device,
  })
  return differing(flat(before), flat(after))
}

const differing = (a: Readonly<Record<string, unknown>> = {}, b: Readonly<Record<string, unknown>> = {}): ReadonlyArray<string> =>
  [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]))
    .map((key) => `${key} was ${JSON.stringify(a[key])} and is ${JSON.stringify(b[key])}`)
