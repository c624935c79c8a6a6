/**
 * TF32: NVIDIA's libraries then multiply float32 numbers by their first 10 bits. ONNX Runtime leaves it on and its binding for Node has no option for
 * it, so the variable of these libraries switches it off. They read it from the environment of the process, which only the main thread changes: one
 * process trains with it or without it.
 */
import { isMainThread } from 'node:worker_threads'
import { DeviceError } from '../errors/expectedErrors.js'

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
