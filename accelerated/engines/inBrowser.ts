/** In place of files of this folder that ask Node or the system for something ("browser" in package.json): what a browser has instead. */
import { DeviceError } from '../errors/expectedErrors.js'

/** In bytes: WebAssembly counts its memory in 32 bits. */
export const memoryLimit = (): number => 2 ** 32

/** Unknown: a page cannot ask how much memory WebAssembly took. */
export const peakMemory = (): number => 0

/** WebAssembly's kernels widen bytes to 16 bits before they multiply, so no product saturates on any processor. */
export const productsSaturate = async (): Promise<boolean> => false

/** Nothing can stop a regular expression here: those of untrusted files are refused. */
export const matchInTime = (): never => {
  throw new Error('a browser reads plain names of modules only')
}

const refused = (): never => {
  throw new DeviceError('onnxruntime-node: expected Node, got a browser (its engine is onnxruntime-web)')
}

export const nodeEngine = refused
export const openModelFile = refused
export const containsProvider = refused
export const runtimeFolder = refused
export const nvidiaCard = refused
export const vulkanRemedy = refused
