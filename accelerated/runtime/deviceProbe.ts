/** Which devices work on this machine: each runs one small product, and says what is missing where it cannot. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import * as ort from 'onnxruntime-node'
import { input, matMul } from '../graph/operators.js'
import type { Device } from './devices.js'
import { devices } from './devices.js'
import { openSession } from './session.js'

export type DeviceReport = { readonly device: Device; readonly works: boolean; readonly detail: string; readonly remedy: string | null }

const remedies: Readonly<Record<Device, string>> = {
  cpu: 'reinstall onnxruntime-node for this platform: npm ci',
  webgpu:
    "install a Vulkan driver (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers for a software one), or on a GPU machine the vendor's driver",
  cuda: 'onnxruntime-node comes without its CUDA provider; with an NVIDIA GPU, CUDA 12 and cuDNN 9 installed, fetch it with: npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12',
}

/** ONNX Runtime lists CUDA whether or not its library is there, and complains on standard error when it is not. */
const cudaLibrary = join(
  dirname(createRequire(import.meta.url).resolve('onnxruntime-node')),
  '../bin/napi-v6',
  process.platform,
  process.arch,
  process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so',
)

/** Runs [1 2] · [3 4]ᵀ = 11 on the device. */
export const probeDevice = async (device: Device): Promise<DeviceReport> => {
  const bundled = ort
    .listSupportedBackends()
    .map(({ name }) => name)
    .filter((name) => name !== 'cuda' || existsSync(cudaLibrary))
  if (!bundled.includes(device))
    return { device, works: false, detail: `not in this build of ONNX Runtime (it has ${bundled.join(', ')})`, remedy: remedies[device] }
  try {
    const session = await openSession(
      { y: matMul(input('a', [1, 2], 'float32'), input('b', [2, 1], 'float32')) },
      { device, threads: 1, weightFiles: [] },
    )
    const { y } = await session.run({
      a: { data: Float32Array.of(1, 2), shape: [1, 2] },
      b: { data: Float32Array.of(3, 4), shape: [2, 1] },
    })
    await session.release()
    return y?.[0] === 11
      ? { device, works: true, detail: 'ran a product', remedy: null }
      : { device, works: false, detail: `computed ${y?.[0]} where 11 is right`, remedy: remedies[device] }
  } catch (error) {
    return { device, works: false, detail: firstLine(error), remedy: remedies[device] }
  }
}

export const probeDevices = async (): Promise<ReadonlyArray<DeviceReport>> => {
  const reports: DeviceReport[] = []
  for (const device of devices) reports.push(await probeDevice(device))
  return reports
}

/**
 * The device of a run. `auto` is CUDA where it works and otherwise the CPU: WebGPU also runs on software drivers, where it is the slowest
 * choice, so it must be asked for. A device asked for that does not work is an error, never another device.
 */
export const chooseDevice = async (wanted: Device | 'auto'): Promise<Device> => {
  if (wanted === 'auto') return (await probeDevice('cuda')).works ? 'cuda' : 'cpu'
  const report = await probeDevice(wanted)
  if (!report.works)
    throw new DeviceError(`device ${wanted}: expected one that works here, found: ${report.detail}. To get it: ${report.remedy ?? ''}`)
  return wanted
}

export class DeviceError extends Error {}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
