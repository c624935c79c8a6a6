/** ONNX Runtime of this page: WebAssembly with as many threads as the page may have, or WebGPU. */
import { wasm, wasmRuntime, webgpuOfBrowser, webgpuRuntime } from 'salora/web'
import type { DeviceChoice } from './messages.js'

/** More threads gain little on small models. */
const mostThreads = 8

/** Without COOP and COEP a page has no shared memory, and so one thread. */
export const threadsHere = (): number =>
  crossOriginIsolated ? Math.max(1, Math.min(mostThreads, Math.floor(navigator.hardwareConcurrency / 2))) : 1

export const hasWebGpu = async (): Promise<boolean> => {
  const { gpu } = navigator as { readonly gpu?: { readonly requestAdapter: () => Promise<object | null> } }
  return (await gpu?.requestAdapter().catch(() => null)) != null
}

const folder = new URL('runtime/', self.location.href).href

/** `threads` counts for the first session of the page: WebAssembly then has its threads. */
export const deviceOf = (choice: DeviceChoice, threads: number) =>
  choice === 'webgpu' ? webgpuOfBrowser(webgpuRuntime({ folder, threads: 1 })) : wasm(wasmRuntime({ folder, threads }))

export const runtimeVersion = async (): Promise<string> => (await wasmRuntime({ folder, threads: 1 })()).env.versions.web ?? ''
