/** What only Node can ask of this machine: its build of ONNX Runtime, an NVIDIA card, and how to get a Vulkan driver. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { onnxRuntime } from './loadOnnxRuntime.js'
import { execFile } from 'node:child_process'

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

/** A card with memory of its own. */
export type Card = { readonly name: string; readonly memoryBytes: number; readonly driver: string }

/** Milliseconds; where nvidia-smi wakes the card, it takes one second. */
const timeout = 2_000

/** The card of this number, as CUDA_VISIBLE_DEVICES numbers them; null where nvidia-smi is absent, slow, or does not know it. */
export const nvidiaCard = async (deviceId: number): Promise<Card | null> =>
  parseCard(await queried(deviceId, 'name,memory.total,driver_version'))

/** CUDA numbers the cards of that list from 0; nvidia-smi takes numbers and names. */
export const visibleCard = (deviceId: number, visible: string | undefined): string => {
  const name = visible?.split(',')[deviceId]?.trim() ?? ''
  return name === '' ? String(deviceId) : name
}

/** A line `NVIDIA H100, 81559, 550.54.15`, the memory in MiB; null for another text. */
export const parseCard = (line: string): Card | null => {
  const [, name = '', memory = '', driver = ''] = /^\s*([^,\n]{1,100}),\s*(\d{1,9}),\s*([\w.]{1,40})\s*$/.exec(line) ?? []
  return memory === '' ? null : { name, memoryBytes: Number(memory) * 2 ** 20, driver }
}

/** One line about one card; empty where it cannot be had. */
const queried = (deviceId: number, fields: string): Promise<string> =>
  new Promise((resolve) => {
    const card = visibleCard(deviceId, process.env['CUDA_VISIBLE_DEVICES'])
    const given = [`--id=${card}`, `--query-gpu=${fields}`, '--format=csv,noheader,nounits']
    execFile('nvidia-smi', given, { timeout, maxBuffer: 65_536, killSignal: 'SIGKILL' }, (error, stdout) =>
      resolve(error === null ? stdout : ''),
    )
  })

/** Where packages of Chromium and Chrome put its description. */
const places: readonly string[] = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'].flatMap((name) =>
  ['/usr/lib', '/usr/lib64', '/opt/google', '/opt', '/snap/chromium/current/usr/lib'].map(
    (folder) => `${folder}/${name}/vk_swiftshader_icd.json`,
  ),
)

const driver =
  "install a Vulkan driver: on a GPU machine the vendor's, elsewhere a software driver (Debian and Ubuntu: apt-get install mesa-vulkan-drivers)"

/** @param isThere whether a file exists */
export const vulkanRemedy = (isThere: (file: string) => boolean = existsSync): string => {
  const found = places.find(isThere)
  return found === undefined
    ? `${driver}; where Mesa is too old, the one in Chromium works (apt-get install chromium)`
    : `${driver}; where Mesa is too old, the one in Chromium works: VK_ICD_FILENAMES=${found}`
}
