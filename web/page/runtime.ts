/** ONNX Runtime of this page: WebAssembly with as many threads as the page may have, or the graphics card by WebGPU. */
import { gpuRuntime, InputError, wasm, wasmRuntime, webGpu } from 'salora/web'
import { fileAddress, isOneFile } from './files.js'
import type { Gpu, RunRequest } from './messages.js'

/** More threads gain little on small models. */
const mostThreads = 8

/** Without COOP and COEP a page has no shared memory, and so one thread. */
export const threadsHere = (): number =>
  crossOriginIsolated ? Math.max(1, Math.min(mostThreads, Math.floor(navigator.hardwareConcurrency / 2))) : 1

const folder = (name: string): string => fileAddress(`runtime/${name}`)

/** The part of WebGPU that is needed: TypeScript's own types have none. */
type Adapter = {
  readonly features: ReadonlySet<string>
  readonly info?: Readonly<Partial<Record<'description' | 'vendor' | 'architecture', string>>> & { readonly isFallbackAdapter?: boolean }
}
type WithGpu = { readonly gpu?: { readonly requestAdapter: () => Promise<Adapter | null> } }

const adapterHere = async (): Promise<Adapter | null> => (await (navigator as WithGpu).gpu?.requestAdapter().catch(() => null)) ?? null

/** The graphics card that the browser offers; null: none. */
export const gpuHere = async (): Promise<Gpu | null> => {
  const adapter = isOneFile() ? null : await adapterHere()
  if (adapter === null) return null
  const { description = '', vendor = '', architecture = '', isFallbackAdapter = false } = adapter.info ?? {}
  return { name: description || [vendor, architecture].filter((part) => part !== '').join(' ') || 'unnamed', isSoftware: isFallbackAdapter }
}

/**
 * Where WebAssembly can wait for promises, the build for the graphics card serves the processor too, and a page downloads one. Else each has its own.
 * A page in one file has that of the processor, which runs everywhere.
 */
const chooseRuntime = (threads: number) => ('Suspending' in WebAssembly && !isOneFile() ? gpuRuntime : wasmRuntime)({ folder, threads })

/** `threads` counts for the first session of the page: WebAssembly then has its threads. @throws InputError without the graphics card asked for */
export const openDevice = async ({
  name,
  settings: { device = 'cpu', threads = threadsHere() },
  resume,
}: Pick<RunRequest, 'name' | 'settings' | 'resume'>) => {
  if (device !== 'webgpu') return wasm(chooseRuntime(threads))
  const adapter = await adapterHere()
  const expected = 'a browser with WebGPU and a graphics card'
  if (adapter === null && resume)
    throw new InputError(name, `${expected}, on which this run began (a new run may train on the processor)`, 'none')
  if (adapter === null) throw new InputError('device', expected, 'none (the processor trains everywhere)')
  return webGpu(gpuRuntime({ folder, threads: 1 }), { halves: adapter.features.has('shader-f16') })
}

export const runtimeVersion = async (): Promise<string> => (await chooseRuntime(1)()).env.versions.web ?? ''
