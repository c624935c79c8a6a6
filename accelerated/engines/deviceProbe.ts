/** Which devices work on this machine: each runs one small product, and says what is missing where it cannot. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { input, matMul } from '../graph/operators.js'
import { DeviceError } from '../errors/deviceError.js'
import type { Device } from './devices/device.js'
import { devices } from './devices/index.js'
import { noWeights } from './engine.js'
import { bundledProviders, nodeEngine } from './onnxRuntimeNode.js'

export type DeviceReport = { readonly device: string; readonly works: boolean; readonly detail: string; readonly remedy: string | null }

/** @throws DeviceError for a name that no device has */
export const deviceOf = (name: string): Device => {
  const found = devices.find((device) => device.name === name)
  if (found === undefined) throw new DeviceError(`device: expected one of ${devices.map((device) => device.name).join(', ')}, got ${name}`)
  return found
}

/** Where onnxruntime-node is installed: beside us, or below us where we are installed as a package. */
const runtimeFolder = (): string => {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')))
  } catch {
    return 'node_modules/onnxruntime-node' // where it should be: it is missing, which the attempt to load it has told
  }
}

/** Beside ONNX Runtime's own library. */
const libraryFile = (library: string): string =>
  join(runtimeFolder(), 'bin/napi-v6', process.platform, process.arch, process.platform === 'win32' ? `${library}.dll` : `lib${library}.so`)

const isBundled =
  (providers: ReadonlyArray<string>) =>
  ({ provider, library }: Device): boolean =>
    providers.includes(provider.name) && (library === undefined || existsSync(libraryFile(library)))

/** Runs [1 2] · [3 4]ᵀ = 11 on the device. */
export const probeDevice = async (name: string): Promise<DeviceReport> => {
  const device = deviceOf(name)
  const failed = (detail: string): DeviceReport => ({
    device: name,
    works: false,
    detail,
    remedy: device.remedy.replace('<onnxruntime-node>', runtimeFolder),
  })
  try {
    const bundled = isBundled(await bundledProviders())
    if (!bundled(device)) {
      const there = devices.filter(bundled).map((other) => other.name)
      return failed(`not in this build of ONNX Runtime (it has ${there.join(', ')})`)
    }
    const product = matMul(input('a', [1, 2], 'float32'), input('b', [2, 1], 'float32'))
    const session = await nodeEngine({ device, threads: 1 }).open({ y: product }, noWeights)
    const { y } = await session.run({
      a: { data: Float32Array.of(1, 2), shape: [1, 2] },
      b: { data: Float32Array.of(3, 4), shape: [2, 1] },
    })
    await session.release()
    return y?.[0] === 11
      ? { device: name, works: true, detail: 'ran a product', remedy: null }
      : failed(`computed ${y?.[0]} where 11 is right`)
  } catch (error) {
    return failed(firstLine(error))
  }
}

export const probeDevices = async (): Promise<ReadonlyArray<DeviceReport>> => {
  const reports: DeviceReport[] = []
  for (const { name } of devices) reports.push(await probeDevice(name))
  return reports
}

/**
 * The device of a run. `auto` is the first automatic one that works: CUDA, else the CPU. A device asked for that does not work is an error,
 * never another device.
 */
export const chooseDevice = async (wanted: string): Promise<Device> => {
  if (wanted === 'auto') {
    const automatic = devices.filter((device) => device.automatic !== null).sort((a, b) => (b.automatic ?? 0) - (a.automatic ?? 0))
    for (const device of automatic) if ((await probeDevice(device.name)).works) return device
    throw new DeviceError('device auto: expected one that works here, got none; salora doctor says why')
  }
  const report = await probeDevice(wanted)
  if (!report.works)
    throw new DeviceError(`device ${wanted}: expected one that works here, got none (${report.detail}); to get it: ${report.remedy ?? ''}`)
  return deviceOf(wanted)
}

/** ONNX Runtime begins with the line of its own source that found the fault. */
const firstLine = (error: unknown): string =>
  ((error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '').replace(/^\/\S+\.cc:\d+ .* was false\. /, '')
