/** Which devices work here, and the card. */
import { deviceOf, probeDevices } from '../../../accelerated/engines/deviceProbe.js'
import { versions } from '../../../finetuning/runs/versions.js'
import type { Stage } from '../stage.js'

export const devicesStage: Stage = {
  name: 'doctor',
  title: 'Devices',
  run: async ({ device }) => {
    const devices = await probeDevices()
    const chosen = devices.find((report) => report.device === device)
    if (chosen?.works !== true)
      throw new Error(`--device ${device}: expected one that works here, got none (${chosen?.detail ?? 'no such device'})`)
    return { device, card: (await deviceOf(device).card?.(0)) ?? null, devices, versions }
  },
}
