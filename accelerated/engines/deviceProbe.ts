/** Which devices work on this machine: each one takes a small training step, or reports what is missing. */
import { DeviceError } from '../errors/expectedErrors.js'
import { option, words } from '../errors/words.js'
import type { Device } from './devices/device.js'
import { findDevice } from './devices/findDevice.js'
import { devices } from './devices/index.js'
import { noWeights, type Engine } from './engine.js'
import { checkTelemetryOff } from './loadOnnxRuntime.js' // it also switches the telemetry off, before the caller starts threads
import { gradient } from '../graph/gradient.js'
import { input, logSoftmax, matMul, mul, neg, reduceSum, sub } from '../graph/operators.js'

export type DeviceReport = { readonly device: string; readonly works: boolean; readonly detail: string; readonly remedy: string | null }

/** Never rejects: whatever goes wrong is the report's `detail`. */
export const probeDevice = async (name: string): Promise<DeviceReport> => {
  const device = findDevice(name)
  const failed = async (detail: string): Promise<DeviceReport> => ({ device: name, works: false, detail, remedy: await device.remedy() })
  try {
    const missing = (await device.missing?.()) ?? null
    if (missing !== null) return await failed(`${missing} (it has ${(await devicesWithNothingMissing()).join(', ')})`)
    const wrong = await probeStep(device.engine({ threads: 1 }))
    return wrong === null ? { device: name, works: true, detail: 'ran a training step', remedy: null } : await failed(wrong)
  } catch (error) {
    return await failed(firstLine(error))
  }
}

const devicesWithNothingMissing = async (): Promise<readonly string[]> => {
  const missing = await Promise.all(devices.map(async (device) => (await device.missing?.()) ?? null))
  return devices.filter((_, i) => missing[i] === null).map(({ name }) => name)
}

export const probeDevices = async (): Promise<readonly DeviceReport[]> => {
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
    for (const device of inAutomaticOrder()) if ((await probeDevice(device.name)).works) return device
    throw new DeviceError('device auto: expected one that works here, got none; run salora doctor to see why')
  }
  const device = findDevice(name)
  const report = await probeDevice(name)
  if (!report.works)
    throw new DeviceError(
      words`${option('device')} ${name}: expected one that works here, got none (${report.detail}); to get it: ${report.remedy ?? ''}`,
    )
  return device
}

/** The device that `auto` takes, among those that were probed; null: none of them works. */
export const automaticDevice = (reports: readonly DeviceReport[]): string | null =>
  inAutomaticOrder().find(({ name }) => reports.some(({ device, works }) => device === name && works))?.name ?? null

const inAutomaticOrder = (): readonly Device[] =>
  devices.filter((device) => device.automatic !== null).sort((a, b) => (b.automatic ?? 0) - (a.automatic ?? 0))

/** ONNX Runtime's messages begin with a line number of its own source. */
const firstLine = (error: unknown): string =>
  ((error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '').replace(/^\/\S+\.cc:\d+ .* was false\. /, '')

/** A training step whose result is known: logistic regression on two examples, from zeros. It has products, a softmax, a gradient and an update. */
const shape = [2, 2]
const feed = (...data: readonly number[]) => ({ data: Float32Array.from(data), shape })

/** W after the step: −xᵀ (½ − y), for the softmax of zeros is ½. */
const expected = [-1, 1, -1, 1]

/** The largest difference from the numbers that the step must have. A device without errors of its own has 1e-7. */
const tolerance = 1e-3

/** Null if the engine takes the step; otherwise what it computed, in words. @throws whatever the engine throws */
export const probeStep = async (engine: Engine): Promise<string | null> => {
  const [x, y, W] = [input('x', shape, 'float32'), input('y', shape, 'float32'), input('W', shape, 'float32')]
  const loss = neg(reduceSum(mul(logSoftmax(matMul(x, W)), y)))
  const [slope] = gradient(loss, [W])
  if (slope === undefined) throw new Error('probeStep: expected a gradient, got none')
  const session = await engine.open({ loss, next: sub(W, slope) }, noWeights)
  const results = await session.run({ x: feed(1, 2, 3, 4), y: feed(1, 0, 0, 1), W: feed(0, 0, 0, 0) })
  await session.release()
  const computed = Array.from([...(results['loss'] ?? []), ...(results['next'] ?? [])], Number)
  const right = [2 * Math.LN2, ...expected]
  if (right.every((value, i) => Math.abs((computed[i] ?? NaN) - value) < tolerance)) return null
  return `computed ${computed.map(rounded).join(', ')} instead of ${right.map(rounded).join(', ')}`
}

const rounded = (value: number): string => String(Number(value.toPrecision(4)))
