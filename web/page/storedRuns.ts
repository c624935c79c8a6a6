/** The runs in the page's storage. */
import { readRunConfig, readRunResult, type Storage } from 'salora/web'
import type { StoredRun } from './messages.js'
import { zipSync } from 'fflate'

/** @returns the newest last; a folder that is no run is left out */
export const storedRuns = async (storage: Storage): Promise<readonly StoredRun[]> => {
  const runs: StoredRun[] = []
  for (const name of [...(await storage.list('runs'))].sort()) {
    const run = await storedRun(storage, name).catch(() => null)
    if (run !== null) runs.push(run)
  }
  return runs
}

const storedRun = async (storage: Storage, name: string): Promise<StoredRun | null> => {
  const output = `runs/${name}`
  const config = await readRunConfig(output, storage)
  if (config === null) return null
  const steps = (await storage.list(`${output}/checkpoints`)).flatMap((file) => Number(/^step-(\d+)\.safetensors$/.exec(file)?.[1] ?? 0))
  const { task, settings, model } = config
  const { text, textPair, label } = task
  return {
    name,
    model,
    dataFile: task.task,
    settings,
    task: {
      ...(text === undefined ? {} : { text }),
      ...(textPair === undefined ? {} : { textPair }),
      ...(label === undefined ? {} : { label }),
    },
    step: Math.max(0, ...steps),
    finished: (await readRunResult(output, storage))?.interrupted === false,
  }
}

/** The path of the data file that a run began with. */
export const findDataFile = async (storage: Storage, name: string): Promise<string> =>
  (await readRunConfig(`runs/${name}`, storage))?.task.task ?? `data/${name}`

/** The files below a folder by their paths in it, without checkpoints: a download is for other tools. */
export const filesBelow = async (storage: Storage, folder: string): Promise<ReadonlyMap<string, Uint8Array>> => {
  const files = new Map<string, Uint8Array>()
  const visit = async (path: string): Promise<void> => {
    for (const name of await storage.list(path)) {
      const below = `${path}/${name}`
      const info = await storage.stat(below)
      if (info?.kind === 'folder' && name !== 'checkpoints') await visit(below)
      if (info?.kind !== 'file') continue
      const file = await storage.open(below)
      files.set(below.slice(folder.length + 1), await file.read(0, file.size))
    }
  }
  await visit(folder)
  return files
}

/** Removes a run and its data. @param root null: the storage is in memory */
export const removeRun = async (name: string, storage: Storage, root: FileSystemDirectoryHandle | null): Promise<void> => {
  for (const place of ['runs', 'data']) {
    if (root === null)
      for (const path of (await filesBelow(storage, `${place}/${name}`)).keys()) await storage.remove(`${place}/${name}/${path}`)
    else {
      const folder = await root.getDirectoryHandle(place, { create: true })
      await folder.removeEntry(name, { recursive: true }).catch(() => undefined)
    }
  }
}

// Files as one zip file.
/** Weights do not get smaller, so nothing is compressed. */
export const makeZip = (files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> =>
  zipSync(Object.fromEntries(files), { level: 0 }) as Uint8Array<ArrayBuffer>
