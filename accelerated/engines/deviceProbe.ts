/** Which devices work on this machine: each one computes a small product, or reports what is missing. */
import { input, matMul } from '../graph/operators.js'
import { DeviceError } from '../errors/deviceError.js'
import type { Device } from './devices/device.js'
import { devices } from './devices/index.js'
import { noWeights } from './engine.js'
import { checkTelemetryOff } from './loadOnnxRuntime.js' // it also switches the telemetry off, before the caller starts threads

export type DeviceReport = { readonly device: string; readonly works: boolean; readonly detail: string; readonly remedy: string | null }

/** @throws DeviceError if no device has this name */
export const deviceOf = (name: string): Device => {
  const device = devices.find((candidate) => candidate.name === name)
  if (device === undefined) throw new DeviceError(`device: expected one of ${devices.map((known) => known.name).join(', ')}, got ${name}`)
  return device
}

/** Never rejects: whatever goes wrong is the report's `detail`. */
export const probeDevice = async (name: string): Promise<DeviceReport> => {
  const device = deviceOf(name)
  const failed = async (detail: string): Promise<DeviceReport> => ({ device: name, works: false, detail, remedy: await device.remedy() })
  try {
    const missing = (await device.missing?.()) ?? null
    if (missing !== null) return await failed(`${missing} (it has ${(await devicesWithNothingMissing()).join(', ')})`)
    const y = await smallProduct(device)
    return y === 11 ? { device: name, works: true, detail: 'ran a product', remedy: null } : await failed(`computed ${y} instead of 11`)
  } catch (error) {
    return await failed(firstLine(error))
  }
}

const devicesWithNothingMissing = async (): Promise<ReadonlyArray<string>> => {
  const missing = await Promise.all(devices.map(async (device) => (await device.missing?.()) ?? null))
  return devices.filter((_, i) => missing[i] === null).map(({ name }) => name)
}

/** [1 2] · [3 4]ᵀ = 11 */
const smallProduct = async (device: Device): Promise<number> => {
  const product = matMul(input('a', [1, 2], 'float32'), input('b', [2, 1], 'float32'))
  const session = await device.engine({ threads: 1 }).open({ y: product }, noWeights)
  const { y } = await session.run({
    a: { data: Float32Array.of(1, 2), shape: [1, 2] },
    b: { data: Float32Array.of(3, 4), shape: [2, 1] },
  })
  await session.release()
  return Number(y?.[0])
}

export const probeDevices = async (): Promise<ReadonlyArray<DeviceReport>> => {
  const reports: DeviceReport[] = []
  for (const { name } of devices) reports.push(await probeDevice(name))
  return reports
}

/**
 * The device of a run. For `auto`, it is the working device with the largest `automatic` number. Otherwise it is the named one, without a fallback.
 * @throws DeviceError if it does not work here
 */
export const chooseDevice = async (name: string): Promise<Device> => {
  checkTelemetryOff()
  if (name === 'auto') {
    const automatic = devices.filter((device) => device.automatic !== null).sort((a, b) => (b.automatic ?? 0) - (a.automatic ?? 0))
    for (const device of automatic) if ((await probeDevice(device.name)).works) return device
    throw new DeviceError('device auto: expected one that works here, got none; run salora doctor to see why')
  }
  const report = await probeDevice(name)
  if (!report.works)
    throw new DeviceError(`device ${name}: expected one that works here, got none (${report.detail}); to get it: ${report.remedy ?? ''}`)
  return deviceOf(name)
}

/** ONNX Runtime's messages begin with a line number of its own source. */
const firstLine = (error: unknown): string =>
  ((error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '').replace(/^\/\S+\.cc:\d+ .* was false\. /, '')
