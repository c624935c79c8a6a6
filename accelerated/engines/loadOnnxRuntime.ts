/** Loads ONNX Runtime at its first use, and only with its telemetry off. */
import type * as binding from 'onnxruntime-node'
import { reason } from '../errors/inputError.js'
import { DeviceError } from '../errors/expectedErrors.js'
import { isInstalled } from '../storage/packages.js'
import { guardNativeCall } from './nativeCallGuard.js'
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

// TF32: NVIDIA's libraries then multiply float32 numbers by their first 10 bits. ONNX Runtime leaves it on and its binding for Node has no option for
// it, so the variable of these libraries switches it off. They read it from the environment of the process, which only the main thread changes: one
// process trains with it or without it.
export const tf32Switch = 'NVIDIA_TF32_OVERRIDE'

const off = '0'

if (isMainThread) process.env[tf32Switch] = off

let chosen: boolean | null = null

/**
 * Switches TF32 before CUDA is used. The main thread does so before it starts a thread that trains; that thread only checks its environment.
 * @throws DeviceError if an earlier run of this process chose otherwise, or if this thread cannot choose
 */
export const useTf32 = (on: boolean): void => {
  if (isMainThread) choose(on)
  const value = process.env[tf32Switch]
  if ((value !== off) === on) return
  const expected = `${on ? 'nothing' : off} in the environment of this thread (import salora in the main thread first)`
  throw new DeviceError(`${tf32Switch}: expected ${expected}, got ${value === undefined ? 'nothing' : JSON.stringify(value)}`)
}

const choose = (on: boolean): void => {
  if (chosen !== null && chosen !== on)
    throw new DeviceError(
      `tf32: expected ${chosen}, as an earlier run of this process has it, got ${on}; start another process for this run`,
    )
  chosen = on
  if (on) delete process.env[tf32Switch]
  else process.env[tf32Switch] = off
}
