/** A run's folder: config.json, metrics.jsonl, result.json, adapter/, checkpoints/ (the layout is a contract; see README). */
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { versions } from './versions.js'
import { writeFileAtomically } from '../accelerated/checkpoint/atomicFile.js'
import { fileError, reason } from '../accelerated/checkpoint/fileError.js'
import type { Device } from '../accelerated/runtime/devices.js'
import type { FinetuneOptions, RunResult } from './run.js'

export type RunFolder = {
  readonly adapter: string
  readonly checkpoints: string
  /** metrics.jsonl, without lines of steps after `step` that an interrupted run may have left */
  readonly openMetrics: (step: number) => Promise<MetricsLog>
  readonly writeResult: (result: RunResult) => Promise<void>
}

/** Lines are appended in groups, so that a step never waits for the disk. */
export type MetricsLog = { readonly append: (event: { readonly kind: string; readonly step: number }) => void; readonly flush: () => Promise<void> }

/** config.json: every setting as resolved, what the run reads, versions, seed and device. */
export type RunConfig = {
  readonly model: string
  readonly task: FinetuneOptions['task']
  readonly settings: FinetuneOptions['settings']
  readonly device: Device
  readonly versions: Readonly<Record<string, string>>
}

/** Creates the folder, or with `resume` opens it. Throws FileError: it cannot be written, holds another run, or one with other settings. */
export const openRunFolder = async (options: FinetuneOptions, device: Device): Promise<RunFolder> => {
  const { output, resume, model, task, settings } = options
  const [adapter, checkpoints, configFile] = [join(output, 'adapter'), join(output, 'checkpoints'), join(output, 'config.json')]
  try {
    for (const folder of [output, adapter, checkpoints]) await mkdir(folder, { recursive: true })
  } catch (error) {
    throw fileError(`--output ${output}`, 'a folder that can be written', reason(error))
  }
  const config: RunConfig = { model, task, settings, device, versions }
  const earlier = await readRunConfig(output)
  if (earlier !== null && !resume) throw fileError(`--output ${output}`, 'a new folder (or --resume to go on with the run that is there)', 'config.json of an earlier run')
  if (earlier !== null) {
    const different = differences(earlier, config)
    if (different.length > 0) throw fileError(configFile, 'the settings that the run began with', different.join('; '))
  }
  await writeFileAtomically(configFile, `${JSON.stringify(config, null, 2)}\n`)
  const [metrics, result] = [join(output, 'metrics.jsonl'), join(output, 'result.json')]
  await rm(result, { force: true })
  return {
    adapter, checkpoints,
    openMetrics: async (step) => {
      const lines = (await readFile(metrics, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '' && stepOfLine(line) <= step)
      await writeFileAtomically(metrics, lines.map((line) => `${line}\n`).join(''))
      let waiting: string[] = []
      let writing: Promise<void> = Promise.resolve()
      const flush = (): Promise<void> => {
        const text = waiting.join('')
        waiting = []
        writing = writing.then(() => (text === '' ? undefined : appendFile(metrics, text))).catch((error: unknown) => { throw fileError(metrics, 'a file that can be appended to', reason(error)) })
        return writing
      }
      return {
        append: (event) => {
          waiting.push(`${JSON.stringify(event)}\n`)
          if (waiting.length >= 20) flush().catch(() => undefined) // the next awaited flush reports it
        },
        flush,
      }
    },
    writeResult: (value) => writeFileAtomically(result, `${JSON.stringify(value, null, 2)}\n`),
  }
}

/** config.json of a run, or null where the folder has none. Throws FileError where it is not one. */
export const readRunConfig = async (output: string): Promise<RunConfig | null> => {
  const file = join(output, 'config.json')
  const text = await readFile(file, 'utf8').catch(() => null)
  if (text === null) return null
  try {
    const config = JSON.parse(text) as RunConfig
    if (typeof config.settings === 'object' && typeof config.task === 'object') return config
  } catch { /* told below */ }
  throw fileError(file, 'the config.json of a run', 'another content')
}

/** A line that a crash cut short is dropped with those of later steps. */
const stepOfLine = (line: string): number => {
  try {
    return (JSON.parse(line) as { readonly step?: number }).step ?? Infinity
  } catch {
    return Infinity
  }
}

const differences = (before: RunConfig, after: RunConfig): ReadonlyArray<string> => {
  const flat = ({ model, task, settings, device }: RunConfig): Readonly<Record<string, unknown>> => ({ model, ...task, ...settings, device })
  const [a, b] = [flat(before), flat(after)]
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]))
    .map((key) => `${key} was ${JSON.stringify(a[key])} and is ${JSON.stringify(b[key])}`)
}
