/** The installed onnxruntime-node: its folder, and the execution providers that it contains. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { onnxRuntime } from './loadOnnxRuntime.js'

/** Beside this package, or below it if this package is installed as a dependency. */
export const runtimeFolder = (): string => {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')))
  } catch {
    return 'node_modules/onnxruntime-node' // it is not installed, which the attempt to load it reports
  }
}

/**
 * Whether this build contains the execution provider.
 * @param library a file, without prefix and suffix, that the provider needs: the build lists some providers even if their file is absent
 */
export const containsProvider = async (provider: string, library?: string): Promise<boolean> => {
  const listed = (await onnxRuntime()).listSupportedBackends().some(({ name }) => name === provider)
  return listed && (library === undefined || existsSync(libraryFile(library)))
}

const libraryFile = (library: string): string =>
  join(runtimeFolder(), 'bin/napi-v6', process.platform, process.arch, process.platform === 'win32' ? `${library}.dll` : `lib${library}.so`)
