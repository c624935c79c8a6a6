/** A run's folder in a storage: the public layout of Node's, without a lock and without event files. */
import { joinPath } from '../accelerated/storage/paths.js'
import { withFile, type Storage } from '../accelerated/storage/storage.js'
import type { MetricsLog } from '../finetuning/runs/metricsLog.js'
import type { RunOptions } from '../finetuning/runs/run.js'
import { readRunConfig } from '../finetuning/runs/runFiles.js'
import { finishedResult, planFolder, type FolderContent, type RunFolder, type RunSources } from '../finetuning/runs/runFolder.js'
import { writeRunRows } from '../finetuning/runs/runRows.js'
import { version } from './version.js'

/** The folder before the data is read. */
export const examineFolderIn = async (storage: Storage, { output, resume }: RunOptions): Promise<FolderContent> => {
  const earlier = await readRunConfig(output, storage)
  const finished = earlier !== null && resume ? await finishedResult(output, storage) : null
  return { earlier, finished, hasAdapter: false }
}

/**
 * Opens or creates the folder; nothing in it changes before `begin`. The caller keeps other tabs away.
 * @throws InputError if it has another run, or one with other settings, model or data
 */
export const openFolderIn = async (
  storage: Storage,
  options: RunOptions,
  sources: RunSources,
  content: FolderContent,
  runtimeVersion = '',
): Promise<RunFolder> => {
  const { output } = options
  const plan = planFolder(options, sources, content, { salora: version, 'onnxruntime-web': runtimeVersion })
  const [adapter, checkpoints, result] = [joinPath(output, 'adapter'), joinPath(output, 'checkpoints'), joinPath(output, 'result.json')]
  for (const folder of [output, adapter, checkpoints]) await storage.makeFolder(folder, { recursive: true })
  return {
    ...plan,
    ...{ adapter, checkpoints },
    begin: async (lines) => {
      await storage.remove(result)
      await storage.write(joinPath(output, 'config.json'), plan.config)
      await writeRunRows(output, sources.rows, storage)
      return metricsLogIn(storage, joinPath(output, 'metrics.jsonl'), lines)
    },
    check: async () => undefined,
    writeResult: (value) => storage.write(result, `${JSON.stringify(value, null, 2)}\n`),
    release: async () => undefined,
  }
}

/** metrics.jsonl with its first `kept` lines. A storage cannot append, so each `flush` writes the file anew: 3 MB after ten thousand steps. */
const metricsLogIn = async (storage: Storage, file: string, kept: number): Promise<MetricsLog> => {
  const lines = kept === 0 ? [] : (await textOf(storage, file)).split('\n').slice(0, -1).slice(0, kept)
  const missing = kept - lines.length
  return {
    append: (event) => void lines.push(JSON.stringify(event)),
    flush: () => storage.write(file, lines.map((line) => `${line}\n`).join('')),
    lines: () => lines.length,
    missing,
  }
}

const textOf = async (storage: Storage, file: string): Promise<string> =>
  (await storage.stat(file)) === null
    ? ''
    : withFile(storage, file, async ({ size, read }) => new TextDecoder().decode(await read(0, size)))
