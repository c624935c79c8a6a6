/**
 * ONNX Runtime, loaded when it is first needed and with its telemetry off. On Linux and macOS its library otherwise writes a device id and a
 * database of events below the home folder and sends them to its maker. It reads the switch once, as it loads, from the process itself: a
 * thread has only a copy of that environment, so the main thread sets it when this file is imported.
 */
import { isMainThread } from 'node:worker_threads'
import type * as binding from 'onnxruntime-node'
import { reason } from '../errors/inputError.js'
import { DeviceError } from '../errors/deviceError.js'
import { guardNativeCall } from './nativeCallGuard.js'

export type OnnxRuntime = typeof binding

const off = 'ORT_DISABLE_TELEMETRY'

if (isMainThread) process.env[off] = '1'

/** @throws DeviceError where it does not load here, or would phone home */
export const onnxRuntime = async (): Promise<OnnxRuntime> => {
  if (process.env[off] !== '1') {
    const found = process.env[off] === undefined ? 'nothing' : JSON.stringify(process.env[off])
    throw new DeviceError(`${off}: expected 1 in the environment of this thread (import salora in the main thread first), got ${found}`)
  }
  try {
    return await guardNativeCall(() => import('onnxruntime-node'))
  } catch (thrown) {
    throw new DeviceError(
      `onnxruntime-node: expected ONNX Runtime's library for ${process.platform} ${process.arch}, got ${reason(thrown)}`,
    )
  }
}
