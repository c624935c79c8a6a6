/** In place of onnxRuntimeNode.ts and other files of engines/ in a browser: no library of the system is there. */
import { DeviceError } from '../errors/expectedErrors.js'

const refused = (): never => {
  throw new DeviceError('onnxruntime-node: expected Node, got a browser (its engine is onnxruntime-web)')
}

export const nodeEngine = refused
export const openModelFile = refused
export const containsProvider = refused
export const runtimeFolder = refused
export const nvidiaCard = refused
export const vulkanRemedy = refused
