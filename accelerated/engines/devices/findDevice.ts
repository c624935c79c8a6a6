/** A device by its name, as `--device` has it. */
import { DeviceError } from '../../errors/expectedErrors.js'
import { option, words } from '../../errors/words.js'
import type { Device } from './device.js'
import { devices } from './index.js'

/** @param name `cpu`, or `cuda:1:tf32` with the number of a card and TF32 @throws DeviceError if no device has this name */
export const findDevice = (name: string): Device => {
  const [, plain, card, tf32] = /^([^:]*)(?::(\d{1,3}))?(:tf32)?$/.exec(name) ?? []
  const device = devices.find((candidate) => candidate.name === plain)
  const chosen =
    card === undefined && tf32 === undefined ? device : device?.variant?.({ deviceId: Number(card ?? 0), tf32: tf32 !== undefined })
  if (chosen === undefined)
    throw new DeviceError(words`${option('device')}: expected one of ${devices.map((known) => known.name).join(', ')}, got ${name}`)
  return chosen
}
