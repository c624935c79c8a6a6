/** Loads onnxruntime-web at its first use, with the place of its files and its threads, which it reads once. */
import type { WebRuntime } from './onnxRuntimeWeb.js'

export type WebRuntimeFiles = {
  /** the address of a folder with the runtime's .mjs and .wasm files, with a slash at its end */
  readonly folder: string
  /** more than one needs a page with the headers COOP and COEP */
  readonly threads: number
}

const placed = (ort: WebRuntime, { folder, threads }: WebRuntimeFiles, name: string): WebRuntime => {
  ort.env.wasm.wasmPaths = { mjs: `${folder}${name}.mjs`, wasm: `${folder}${name}.wasm` }
  ort.env.wasm.numThreads = threads
  return ort
}

/** The runtime of the processor. Its files are ort-wasm-simd-threaded.mjs and .wasm. */
export const wasmRuntime = (files: WebRuntimeFiles) => async (): Promise<WebRuntime> =>
  placed(await import('onnxruntime-web/wasm'), files, 'ort-wasm-simd-threaded')

/**
 * The runtime of the graphics card: `/jspi` where WebAssembly can wait for promises, else `/webgpu`, which is 10 MB larger. Its files are
 * ort-wasm-simd-threaded.jspi.* or ort-wasm-simd-threaded.asyncify.*.
 */
export const gpuRuntime = (files: WebRuntimeFiles) => async (): Promise<WebRuntime> =>
  waitsForPromises()
    ? placed(await import('onnxruntime-web/jspi'), files, 'ort-wasm-simd-threaded.jspi')
    : placed(await import('onnxruntime-web/webgpu'), files, 'ort-wasm-simd-threaded.asyncify')

const waitsForPromises = (): boolean => 'Suspending' in ((globalThis as { readonly WebAssembly?: object }).WebAssembly ?? {})
