/** ONNX Runtime of this page: WebAssembly with as many threads as the page may have. */
import { wasm, wasmRuntime } from 'salora/web'

/** More threads gain little on small models. */
const mostThreads = 8

/** Without COOP and COEP a page has no shared memory, and so one thread. */
export const threadsHere = (): number =>
  crossOriginIsolated ? Math.max(1, Math.min(mostThreads, Math.floor(navigator.hardwareConcurrency / 2))) : 1

const folder = new URL('runtime/', self.location.href).href

/** `threads` counts for the first session of the page: WebAssembly then has its threads. */
export const deviceOf = (threads: number) => wasm(wasmRuntime({ folder, threads }))

export const runtimeVersion = async (): Promise<string> => (await wasmRuntime({ folder, threads: 1 })()).env.versions.web ?? ''
