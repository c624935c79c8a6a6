/** A device that reports, at the first answer of each graph, how many float nodes ONNX Runtime ran on the CPU instead. The CPU reports nothing. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import { devicePlacement, placementLine, placementWarns, type PlacementReport } from '../runs/devicePlacement.js'

/** @param report called once, and again if a later graph leaves other nodes */
export const watchedDevice = (device: Device, report: PlacementReport): Device => {
  const { onPlacement, news } = devicePlacement(device.name, false)
  const engineOf: Device['engine'] = (settings) =>
    device.engine({
      ...settings,
      onPlacement: (placement) => {
        onPlacement(placement)
        for (const event of news()) report(placementLine(event), placementWarns(event))
      },
    })
  return { ...device, engine: engineOf }
}
