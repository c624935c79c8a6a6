/** Loads ONNX Runtime at its first use, and only with its telemetry off. */
import type * as binding from 'onnxruntime-node'
import { reason } from '../errors/inputError.js'
import { DeviceError } from '../errors/expectedErrors.js'
import { isInstalled } from '../storage/packages.js'
import { guardNativeCall } from './nativeCallGuard.js'
import './tf32.js' // switches TF32 off, which a thread cannot
import { isMainThread } from 'node:worker_threads'

export type OnnxRuntime = typeof binding

/** @throws DeviceError in a thread that cannot switch the telemetry off: ONNX Runtime must not load there */
export const checkTelemetryOff = (): void => {
  const value = process.env[telemetrySwitch]
  if (value === '1') return
  const expected = '1 in the environment of this thread (import salora in the main thread first)'
  throw new DeviceError(`${telemetrySwitch}: expected ${expected}, got ${value === undefined ? 'nothing' : JSON.stringify(value)}`)
}

/** npm leaves an optional dependency out, silently, if its install script fails: this one's downloads CUDA on Linux. */
const absent = 'onnxruntime-node is not installed: run npm install --ignore-scripts'

/** @throws DeviceError if it is not installed, it does not load here or its telemetry is on */
export const onnxRuntime = async (): Promise<OnnxRuntime> => {
  checkTelemetryOff()
  try {
    return await guardNativeCall(() => import('onnxruntime-node'))
  } catch (thrown) {
    if (!isInstalled('onnxruntime-node')) throw new DeviceError(absent)
    throw new DeviceError(
      `onnxruntime-node: expected ONNX Runtime's library for ${process.platform} ${process.arch}, got ${reason(thrown)}`,
    )
  }
}

/**
 * Switches ONNX Runtime's telemetry off. On Linux and macOS its library otherwise writes a device id and an event database below the home folder
 * and sends them to its maker. It reads the switch once, as it loads, from the environment of the process. A thread has only a copy of that
 * environment, so the main thread sets the switch when it imports this file.
 */
const telemetrySwitch = 'ORT_DISABLE_TELEMETRY'

if (isMainThread) process.env[telemetrySwitch] = '1'
