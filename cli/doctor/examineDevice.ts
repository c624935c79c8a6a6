/** What a device can do here: whether it takes a training step, and the speed of each precision that it has arithmetic for. */
import { deviceOf, probeDevice, type DeviceReport } from '../../accelerated/engines/deviceProbe.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'

export type Speedup = { readonly precision: string; readonly device: string; readonly speedup: number }

/** speedups: over float32, of products */
export type Examined = { readonly report: DeviceReport; readonly speedups: ReadonlyArray<Speedup> }

export const examineDevice = async (name: string): Promise<Examined> => {
  const report = await probeDevice(name)
  if (!report.works) return { report, speedups: [] }
  const device = deviceOf(name)
  const speedups: Speedup[] = []
  for (const precision of precisions) {
    if (precision.speedup === undefined) continue
    const isSupported = await checkDevice(precision, device).then(
      () => true,
      () => false,
    )
    if (isSupported) speedups.push({ precision: precision.name, device: name, speedup: await precision.speedup(device) })
  }
  return { report, speedups }
}
